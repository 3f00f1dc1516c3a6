//! Plugins that mean harm decide for one template, and neither its own tunnels nor its neighbours'
//! lose a packet.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../plugin/tests/fixtures/mod.rs"]
mod fixtures;

use common::Site;
use common::fleet::{Fleet, Over, branch, headquarters, peers};
use fixtures::{Fixture, hostile};
use hawser_engine::{EventStream, Feed};
use hawser_flight::{Event, HandshakeFailure, Record};
use hawser_plugin::{Hook, LoadError, Options, PluginFault, PluginInfo, Plugins, Scope, Source};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
/// Numbers of branches that want in.
const STRANGERS: std::ops::RangeInclusive<u8> = 201..=203;

fn wild() -> Scope {
    Scope::template("wild")
}

fn load(plugins: &Plugins, fixture: &Fixture) -> Result<PluginInfo, LoadError> {
    let hook: Hook = fixture.world.parse().unwrap();
    plugins.load(hook, &wild(), &fixture.source())
}

/// The plugins of the neighbours.
fn neighbours(plugins: &Plugins) -> Vec<PluginInfo> {
    let mut all = plugins.list();
    all.retain(|info| info.scope == Scope::template("branches"));
    all
}

/// The next event that is wanted.
async fn next(events: &mut EventStream, wanted: impl Fn(&Record) -> bool) -> Arc<Record> {
    let next = async {
        while let Some(feed) = events.next().await {
            if let Feed::Event(record) = feed
                && wanted(&record)
            {
                return record;
            }
        }
        panic!("the events have ended");
    };
    timeout(PATIENCE, next).await.unwrap()
}

fn is_change(event: &Event, wanted: &str, of: &str, said: &str) -> bool {
    matches!(event, Event::PluginChanged { change, plugin, detail, .. }
        if *change == wanted && plugin.starts_with(of) && detail.contains(said))
}

/// What is refused when it is loaded, each by its name.
fn refused(plugins: &Plugins) {
    let whole = Fixture::dpd("whole", 1_000).build();
    let of = |bytes: &[u8]| Source {
        bytes: bytes.to_vec(),
        ..Source::default()
    };
    let error = |source: &Source| plugins.load(Hook::DpdPolicy, &wild(), source).unwrap_err();
    let error_of = |fixture: Fixture| error(&fixture.source());
    assert!(matches!(
        error_of(hostile::trap_at_init()),
        LoadError::SelfTest {
            step: "init",
            fault: PluginFault::Trap(_)
        }
    ));
    assert!(matches!(
        error_of(hostile::of_another_host()),
        LoadError::Import(_)
    ));
    assert!(matches!(
        error(&of(b"#!/bin/sh\n")),
        LoadError::NotAComponent(_)
    ));
    assert!(matches!(
        error(&of(&whole[..whole.len() / 2])),
        LoadError::Truncated(_)
    ));
    assert!(matches!(
        error_of(Fixture::log("lines")),
        LoadError::AnotherHook { .. }
    ));
    let always_wider = Fixture::allow_remote("wider", "172.16.0.0/16");
    assert!(matches!(
        load(plugins, &always_wider).unwrap_err(),
        LoadError::SelfTest {
            fault: PluginFault::WiderThanAsked(_),
            ..
        }
    ));
}

/// DPD plugins that fail while they decide: each says how, and the third time is the last.
async fn misbehaving(plugins: &Plugins, events: &mut EventStream) {
    for (fixture, said) in [
        (hostile::endless_loop(), "exceeded its deadline of 5ms"),
        (hostile::deep_recursion(), "exhausted its stack"),
        (hostile::memory_bomb(), "needed more than 16777216 octets"),
        (hostile::huge_answer(), "answered with too much"),
        (hostile::wild_answer(), "gave a bad answer"),
        (hostile::trap(), "trapped: "),
    ] {
        let name = fixture.name.clone();
        let before = neighbours(plugins);
        load(plugins, &fixture).unwrap();
        for _ in 0..3 {
            next(events, |r| is_change(&r.event, "fault", &name, said)).await;
        }
        next(events, |r| is_change(&r.event, "disabled", &name, said)).await;
        let after = neighbours(plugins);
        let busy = before
            .iter()
            .zip(&after)
            .any(|(b, a)| a.answers > b.answers);
        assert!(
            busy,
            "the neighbours were not asked beside {name}: {after:?}"
        );
    }
    let nth = hostile::trap_at_the_fifth_call();
    load(plugins, &nth).unwrap();
    next(events, |r| {
        is_change(&r.event, "fault", &nth.name, "trapped: ")
    })
    .await;
}

/// An authorization plugin that fails: nobody new gets in, and who is in stays.
async fn closed(hq: &Site, plugins: &Plugins, events: &mut EventStream) {
    let before = peers(&hq.engine).await.len();
    let loops = Fixture::allow("loops").misbehaves("(loop $l (br $l))");
    load(plugins, &loops).unwrap();
    for number in STRANGERS {
        let stranger = branch(number, "wild", hq);
        next(events, |r| {
            matches!(
                r.event,
                Event::PluginUndecided {
                    fallback: "refused",
                    ..
                }
            )
        })
        .await;
        next(events, |r| {
            matches!(
                r.event,
                Event::HandshakeFailed {
                    reason: HandshakeFailure::NotAuthorized,
                    ..
                }
            )
        })
        .await;
        stranger.engine.shutdown().await;
    }
    assert_eq!(peers(&hq.engine).await.len(), before);
    let list = plugins.list();
    let gate = list.iter().find(|info| info.name == loops.name).unwrap();
    assert!(gate.disabled.is_some(), "{gate:?}");
    // A neighbour's branch gets in all the same.
    let guest = branch(100, "guest", hq);
    common::fleet::up(&guest.engine, 1).await;
    guest.engine.shutdown().await;
}

/// Every question that nobody decided, by template.
async fn undecided(mut events: EventStream) -> Vec<String> {
    let mut templates = Vec::new();
    while let Some(feed) = events.next().await {
        if let Feed::Event(record) = feed
            && matches!(record.event, Event::PluginUndecided { .. })
            && let Some(peer) = &record.peer
        {
            templates.push(peer.template.to_string());
        }
    }
    templates
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_plugins_end_in_their_errors_and_no_tunnel_notices() {
    let hq = Site::with_plugins(headquarters(2), Options::default());
    let plugins = hq.engine.plugins().unwrap();
    let mut events = hq.engine.subscribe_events();
    let undecided = tokio::spawn(undecided(hq.engine.subscribe_events()));
    for good in [
        Fixture::dpd_with_rests("good", 1_000),
        Fixture::allow("open"),
    ] {
        let hook: Hook = good.world.parse().unwrap();
        let scope = Scope::template("branches");
        plugins.load(hook, &scope, &good.source()).unwrap();
    }
    let identities = ["north", "south", "wild", "wild", "wild"];
    let fleet = Arc::new(Fleet::start(hq, &identities).await);
    let end = Over::default();
    let over = end.flag();
    let traffic = {
        let (fleet, over) = (Arc::clone(&fleet), Arc::clone(&over));
        tokio::task::spawn_blocking(move || fleet.traffic(&over))
    };
    let work = async {
        refused(&plugins);
        misbehaving(&plugins, &mut events).await;
        closed(&fleet.hq, &plugins, &mut events).await;
        drop(end);
    };
    let (rekeys, ()) = tokio::join!(fleet.rekey(&over), work);
    let counted = traffic.await.unwrap();
    let of_neighbours = neighbours(&plugins);
    Arc::into_inner(fleet).unwrap().end().await;
    let undecided = undecided.await.unwrap();
    println!(
        "{} packets, {rekeys} rekeys; {} questions undecided",
        counted.sent,
        undecided.len()
    );
    assert_eq!(counted.lost, 0, "of {}", counted.sent);
    assert!(counted.sent > 1_000);
    assert!(
        !undecided.is_empty() && undecided.iter().all(|t| t == "wild"),
        "{undecided:?}"
    );
    for info in of_neighbours {
        assert!(
            info.faults.is_empty() && info.disabled.is_none(),
            "{info:?}"
        );
        assert!(info.answers > 0, "{info:?}");
    }
}
