//! The ring: bounded, in order, and honest about what it forgot.
#![allow(clippy::unwrap_used, missing_docs)]

use hawser_flight::{CloseCause, Event, Lineage, Ring, Role};
use proptest::prelude::*;

fn installed(selectors: usize) -> Event {
    Event::ChildSaInstalled {
        spi_in: 0x0100_0001,
        spi_out: 0xb3b7_65e6,
        suite: "aes128-sha1".into(),
        local: "192.168.100.0/24 ".repeat(selectors),
        remote: "172.16.19.0/24 ".repeat(selectors),
        lineage: Lineage::Rekey(0x0100_0000),
    }
}

fn events() -> Vec<Event> {
    vec![
        Event::IkeSaEstablished {
            role: Role::Responder,
            spi_i: u64::MAX,
            spi_r: 1,
            suite: "aes128-sha1-modp1024".into(),
            peer_behind_nat: true,
            local_behind_nat: false,
            lineage: Lineage::Initial,
            endpoint: "120.208.142.17:8192".parse().unwrap(),
        },
        installed(1),
        Event::PeerUp,
        Event::ProbeSent { message_id: 0 },
        Event::Retransmitted {
            exchange: 37,
            message_id: 0,
            attempt: 1,
        },
        Event::ProbeAnswered {
            message_id: 0,
            rtt_us: 12_345,
        },
        Event::EndpointMoved {
            from: "120.208.142.17:8192".parse().unwrap(),
            to: "[2001:db8::7]:4500".parse().unwrap(),
        },
        Event::OperatorAction { verb: "reset" },
        Event::PeerDown {
            cause: CloseCause::Admin,
        },
    ]
}

#[test]
fn what_was_recorded_comes_back_in_order() {
    let mut ring = Ring::new(4096);
    for (at, event) in events().iter().enumerate() {
        // Two in the same millisecond, one of each lane among them.
        ring.record(1000 + at as u64 / 2, event);
    }
    let recording = ring.recording();
    let told: Vec<Event> = recording.entries.iter().map(|e| e.event.clone()).collect();
    assert_eq!(told, events());
    let times: Vec<u64> = recording.entries.iter().map(|e| e.at_ms).collect();
    assert_eq!(
        times,
        [1000, 1000, 1001, 1001, 1002, 1002, 1003, 1003, 1004]
    );
    assert_eq!(recording.lasting_overwritten.events, 0);
}

#[test]
fn probes_do_not_push_out_the_story_of_the_sas() {
    let mut ring = Ring::new(2048);
    ring.record(5, &events()[0]);
    for n in 0..100_000u32 {
        let at = 10 + u64::from(n) * 20_000;
        ring.record(at, &Event::ProbeSent { message_id: n });
    }
    let recording = ring.recording();
    assert_eq!(recording.entries[0].event, events()[0]);
    assert_eq!(recording.lasting_overwritten.events, 0);
    let gone = recording.routine_overwritten;
    let kept = recording.entries.len() as u64 - 1;
    assert!(kept > 20, "{kept}");
    assert_eq!(gone.events + kept, 100_000);
    assert_eq!(gone.until_ms + 20_000, recording.entries[1].at_ms);
}

#[test]
fn an_event_with_very_many_selectors_is_cut_and_kept() {
    let mut ring = Ring::new(1024);
    ring.record(1, &installed(64));
    let recording = ring.recording();
    let Event::ChildSaInstalled { local, .. } = &recording.entries[0].event else {
        panic!("{recording:?}")
    };
    assert!(local.starts_with("192.168.100.0/24") && local.ends_with('…'));
}

#[test]
fn events_are_read_back_from_json() {
    for event in events() {
        let json = serde_json::to_string(&event).unwrap();
        assert!(json.contains("\"event\":"), "{json}");
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }
}

#[test]
fn times_move_to_another_epoch() {
    let mut ring = Ring::new(1024);
    ring.record(7, &Event::PeerUp);
    let mut recording = ring.recording();
    recording.shift(1_700_000_000_000);
    assert_eq!(recording.entries[0].at_ms, 1_700_000_000_007);
    assert_eq!(recording.lasting_overwritten.until_ms, 0);
}

proptest! {
    #[test]
    fn whatever_comes_the_ring_keeps_its_size_and_the_end_of_the_story(
        octets in 0usize..8192,
        story in prop::collection::vec((0u64..100_000, 0usize..9), 1..400),
    ) {
        let mut ring = Ring::new(octets);
        let (mut now, all) = (0, events());
        let mut told = Vec::new();
        for (pause, which) in &story {
            now += pause;
            ring.record(now, &all[*which]);
            told.push((now, all[*which].clone()));
        }
        let recording = ring.recording();
        let kept: Vec<_> = recording.entries.iter().map(|e| (e.at_ms, e.event.clone())).collect();
        prop_assert_eq!(kept.last(), told.last());
        let gone = recording.lasting_overwritten.events + recording.routine_overwritten.events;
        prop_assert_eq!(gone as usize + kept.len(), told.len());
        // In order, and nothing that was not told.
        let mut rest = told.iter();
        for entry in &kept {
            prop_assert!(rest.any(|t| t == entry));
        }
        prop_assert!(ring.octets() <= octets.clamp(1024, 65_536) + 1024 + size_of::<Ring>());
    }
}
