//! The lines of `hawser trace`, as the gateway writes them, and as the command reads and prints them.

use super::api::ChildSaRow;
use hawser_flight::Event;
use hawser_shard::trace::Traced;
use hawser_shard::view::ChildSaView;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a line is about; version and time are added.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum TraceLine {
    /// The first line.
    Begun {
        /// Who is looked at.
        of: String,
    },
    /// An IKE message.
    Message(Box<Traced>),
    /// An event.
    Event {
        /// In words.
        text: String,
        /// As everywhere.
        event: Event,
    },
    /// The counters of the Child SAs, once a second.
    Esp {
        /// Of every IKE SA.
        children: Vec<ChildSaView>,
    },
    /// Too much came at once.
    LeftOut {
        /// Messages and events that are missing before this line.
        count: u64,
    },
}

/// A line as the command reads it.
#[derive(Debug, Deserialize)]
pub(crate) struct TraceRow {
    time: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum What {
    Begun { of: String },
    Message(Box<MessageRow>),
    Event { text: String },
    Esp { children: Vec<ChildSaRow> },
    LeftOut { count: u64 },
}

#[derive(Debug, Deserialize)]
struct MessageRow {
    inbound: bool,
    path: hawser_flight::Path,
    octets: usize,
    exchange: String,
    message_id: u32,
    response: bool,
    spi_i: String,
    spi_r: String,
    fragment: Option<[u16; 2]>,
    repeated: u32,
    payloads: Vec<(String, String)>,
    unreadable: Option<String>,
}

impl fmt::Display for TraceRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The date goes without saying.
        let time = self.time.split_once('T').map_or("", |(_, time)| time);
        let time = time.trim_end_matches('Z');
        match &self.what {
            What::Begun { of } => writeln!(f, "{time} looking on at {of}"),
            What::Message(message) => write!(f, "{time} {message}"),
            What::Event { text } => writeln!(f, "{time} * {text}"),
            What::LeftOut { count } => {
                writeln!(f, "{time} ! {count} messages or events are missing here")
            }
            What::Esp { children } => children.iter().try_for_each(|c| {
                writeln!(
                    f,
                    "{time} = ESP {} {}/{}: in {} packets, {} octets; out {} packets, {} octets{}",
                    c.name,
                    c.spi_in,
                    c.spi_out,
                    c.packets_in,
                    c.bytes_in,
                    c.packets_out,
                    c.bytes_out,
                    if c.outbound_active {
                        ""
                    } else {
                        "; not sent on"
                    },
                )
            }),
        }
    }
}

impl fmt::Display for MessageRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = if self.inbound { '<' } else { '>' };
        let kind = if self.response { "response" } else { "request" };
        let (exchange, id, octets) = (&self.exchange, self.message_id, self.octets);
        write!(
            f,
            "{arrow} {exchange} {kind} {id}, {octets} octets, {}",
            self.path
        )?;
        write!(f, ", SPIs {}_{}", self.spi_i, self.spi_r)?;
        if let Some([number, total]) = self.fragment {
            write!(f, ", fragment {number} of {total}")?;
        }
        if self.repeated > 0 {
            write!(f, ", the same for the {}. time again", self.repeated)?;
        }
        if let Some(reason) = &self.unreadable {
            write!(f, ", not readable: {reason}")?;
        }
        writeln!(f)?;
        for (kind, text) in &self.payloads {
            writeln!(f, "{:17}{kind:<6}{text}", "")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_gateway_writes_the_command_reads() {
        let message = Traced {
            inbound: true,
            path: hawser_flight::Path {
                local: "192.0.2.1:4500".parse().unwrap(),
                remote: "198.51.100.6:60739".parse().unwrap(),
                encapsulated: true,
            },
            octets: 332,
            exchange: "IKE_AUTH".into(),
            message_id: 1,
            response: false,
            from_initiator: true,
            spi_i: "0f5366d97dc1806f".into(),
            spi_r: "15a68cae6176d81f".into(),
            fragment: None,
            repeated: 2,
            device: None,
            payloads: vec![("IDi".into(), "test".into())],
            unreadable: None,
            left_out: 0,
        };
        let text = |line: TraceLine| {
            let mut value = json!(line);
            value["time"] = json!("2026-11-24T03:01:44.075Z");
            serde_json::from_value::<TraceRow>(value)
                .unwrap()
                .to_string()
        };
        assert_eq!(
            text(TraceLine::Message(Box::new(message))),
            "03:01:44.075 < IKE_AUTH request 1, 332 octets, 192.0.2.1/4500 - 198.51.100.6/60739, SPIs \
             0f5366d97dc1806f_15a68cae6176d81f, the same for the 2. time again\n                 IDi   test\n"
        );
        let event = Event::PeerUp;
        let up = TraceLine::Event {
            text: "up".into(),
            event,
        };
        assert_eq!(text(up), "03:01:44.075 * up\n");
        let missing = text(TraceLine::LeftOut { count: 3 });
        assert!(missing.contains("3 messages"), "{missing}");
    }
}
