//! The events: the last ones kept, and a stream of JSON lines.

use super::Admin;
use super::api::VERSION;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hawser_engine::sentence;
use hawser_engine::{EventStream, Feed};
use hawser_flight::Record;
use hyper::body::{Bytes, Frame};
use serde::Deserialize;
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Events kept for `hawser events`.
const KEPT: usize = 1000;
/// Of these, what `-f` begins with.
const BEGIN: usize = 10;
/// Lines on their way to one reader; a reader that falls behind further is cut off.
const BACKLOG: usize = 4096;

/// The last events and those who read along.
#[derive(Debug, Default)]
pub(super) struct EventLog(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lines: VecDeque<Bytes>,
    readers: Vec<mpsc::Sender<Bytes>>,
    ended: bool,
}

/// Keeps the events of an engine until it ends.
pub(super) async fn keep(mut source: EventStream, events: Arc<EventLog>) {
    while let Some(feed) = source.next().await {
        match feed {
            Feed::Event(record) => events.push(&record),
            Feed::Lost(count) => tracing::warn!("{count} events were not kept: too many at once"),
        }
    }
    events.end();
}

impl EventLog {
    /// Keeps an event and hands it to those who read along.
    fn push(&self, record: &Record) {
        let line = line(record);
        let mut inner = self.lock();
        if inner.lines.len() == KEPT {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line.clone());
        inner
            .readers
            .retain(|reader| reader.try_send(line.clone()).is_ok());
    }

    /// Nothing happens any more: those who read along get what is left.
    fn end(&self) {
        let mut inner = self.lock();
        inner.readers.clear();
        inner.ended = true;
    }

    fn read(&self, follow: bool) -> Lines {
        let mut inner = self.lock();
        let count = if follow { BEGIN } else { KEPT };
        let skipped = inner.lines.len().saturating_sub(count);
        let kept = inner.lines.iter().skip(skipped).cloned().collect();
        let (sender, live) = mpsc::channel(BACKLOG);
        if follow && !inner.ended {
            inner.readers.push(sender);
        }
        Lines { kept, live }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record as a line: its own fields, the version, the time in RFC 3339 and a sentence.
fn line(record: &Record) -> Bytes {
    let mut value = json!(record);
    value["version"] = json!(VERSION);
    value["time"] = json!(sentence::time(record.unix_ms));
    value["text"] = json!(sentence::of(record));
    Bytes::from(format!("{value}\n"))
}

/// Whether to go on.
#[derive(Debug, Deserialize)]
pub(super) struct Follow {
    #[serde(default)]
    follow: bool,
}

/// `GET /v1/events`.
pub(super) async fn stream(State(admin): State<Admin>, Query(query): Query<Follow>) -> Response {
    let body = Body::new(admin.events.read(query.follow));
    ([(CONTENT_TYPE, "application/jsonl")], body).into_response()
}

/// The body of an answer: kept lines, then those that come.
struct Lines {
    kept: VecDeque<Bytes>,
    live: mpsc::Receiver<Bytes>,
}

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(line) = self.kept.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(line))));
        }
        self.live
            .poll_recv(context)
            .map(|line| line.map(|l| Ok(Frame::data(l))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hawser_flight::Event;

    fn record(revision: u64) -> Record {
        let event = Event::ConfigApplied { revision };
        Record {
            unix_ms: 1_700_000_000_000,
            shard: 0,
            peer: None,
            event,
        }
    }

    #[test]
    fn the_ring_is_bounded_and_a_line_says_version_time_and_text() {
        let log = EventLog::default();
        (0..1500).for_each(|n| log.push(&record(n)));
        let kept = log.read(false).kept;
        assert_eq!(kept.len(), KEPT);
        let first: serde_json::Value = serde_json::from_slice(&kept[0]).unwrap();
        assert_eq!(first["version"], 1);
        assert_eq!(first["event"]["revision"], 500);
        assert_eq!(first["time"], "2023-11-14T22:13:20.000Z");
        assert!(!first["text"].as_str().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_reader_misses_nothing_and_one_that_sleeps_is_cut_off() {
        let log = EventLog::default();
        log.push(&record(1));
        let mut awake = log.read(true);
        let asleep = log.read(true);
        assert_eq!(awake.kept.len(), 1);
        for n in 0..=BACKLOG as u64 {
            log.push(&record(n));
            assert!(awake.live.recv().await.is_some());
        }
        assert_eq!(log.lock().readers.len(), 1);
        drop(asleep);
    }

    #[tokio::test]
    async fn reading_along_ends_behind_the_last_event() {
        let log = EventLog::default();
        let mut reader = log.read(true);
        log.push(&record(1));
        log.end();
        assert!(reader.live.recv().await.is_some());
        assert!(reader.live.recv().await.is_none());
        assert!(log.read(true).live.recv().await.is_none());
    }
}
