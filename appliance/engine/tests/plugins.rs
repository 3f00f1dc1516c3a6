//! Plugins on a gateway that carries packets.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, branch, headquarters, ipv4};
use hawser_engine::{EngineHandle, EventStream, Feed};
use hawser_flight::Event;
use hawser_plugin::{Cache, Hook, Options, Scope, Source};
use hawser_shard::io::{Command, PeerFilter, Reply};
use hawser_shard::view::PeerView;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

fn shipped(name: &str, settings: Value) -> Source {
    Source {
        settings,
        ..common::shipped(name)
    }
}

fn options(cache: &tempfile::TempDir) -> Options {
    Options {
        cache: Some(Cache::open(cache.path().join("plugins")).unwrap()),
        ..Options::default()
    }
}

async fn peers(engine: &EngineHandle) -> Vec<PeerView> {
    let replies = engine.command(Command::Show(PeerFilter::All)).await;
    let views = replies.into_iter().flat_map(|(_, reply)| match reply {
        Reply::Show(views) => views,
        _ => Vec::new(),
    });
    views.collect()
}

async fn up(engine: &EngineHandle) -> PeerView {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(peer) = peers(engine).await.pop() {
            return peer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no tunnel");
}

/// The next decision: who decided, and what.
async fn decision(events: &mut EventStream) -> (String, String) {
    let next = async {
        while let Some(feed) = events.next().await {
            if let Feed::Event(record) = feed
                && let Event::PluginDecided {
                    plugin, decision, ..
                } = &record.event
            {
                return (plugin.to_string(), decision.clone());
            }
        }
        panic!("no decision");
    };
    timeout(PATIENCE, next).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_denies_keeps_a_branch_out_until_another_narrows_it() {
    let cache = tempfile::tempdir().unwrap();
    let hq = Site::with_plugins(headquarters(2), options(&cache));
    let plugins = hq.engine.plugins().unwrap();
    let mut events = hq.engine.subscribe_events();
    let hook = Hook::PeerAuthorization;
    let load = |rules: Value| {
        let source = shipped("authorize-allow-list", json!({ "rules": rules }));
        plugins.load(hook, &Scope::global(), &source).unwrap();
    };
    load(json!([{"identities": ["somebody-else"]}]));
    let branch = Site::start(branch(1, hq.nat_port()));
    let (plugin, denial) = decision(&mut events).await;
    assert_eq!(plugin, "authorize-allow-list");
    assert!(denial.starts_with("deny "), "{denial}");
    assert!(peers(&hq.engine).await.is_empty());

    load(json!([{"identities": ["test"], "selectors": ["10.1.0.0/28"]}]));
    let peer = up(&hq.engine).await;
    assert_eq!(peer.line.networks, ["10.1.0.0/28"]);
    while !decision(&mut events)
        .await
        .1
        .starts_with("narrow to 10.1.0.0/28")
    {}

    let text = hq.engine.render_metrics().await;
    let line = "hawser_plugin_answers_total{plugin=\"authorize-allow-list\",hook=\"peer-authorization\",scope=\"everywhere\",outcome=\"narrow\"} 1";
    assert!(text.contains(line), "{text}");
    branch.send(&ipv4([10, 1, 0, 2], [10, 0, 0, 1], 400));
    hq.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_taken_away_is_asked_no_more() {
    let cache = tempfile::tempdir().unwrap();
    let hq = Site::with_plugins(headquarters(2), options(&cache));
    let plugins = hq.engine.plugins().unwrap();
    let mut events = hq.engine.subscribe_events();
    let (hook, scope) = (Hook::PeerAuthorization, Scope::template("branches"));
    let nobody = json!({"rules": [{"identities": ["somebody-else"]}]});
    let source = shipped("authorize-allow-list", nobody);
    plugins.load(hook, &scope, &source).unwrap();
    let _branch = Site::start(branch(1, hq.nat_port()));
    decision(&mut events).await;
    plugins.unload(hook, &scope, None).unwrap();
    up(&hq.engine).await;
    hq.engine.shutdown().await;
}
