//! Unprotected messages: answered and heeded at bounded rates, and without effect.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::{Event, MessageError};
use hawser_shard::io::{Command, KeRequest, Question, RekeyWhat, Reply};
use net::*;
use std::net::SocketAddr;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(20);

const INVALID_MAJOR_VERSION: [u8; 2] = [0, 5];
const INVALID_SPI: [u8; 2] = [0, 11];

fn to(port: u16) -> SocketAddr {
    SocketAddr::new(HQ.parse().unwrap(), port)
}

fn pair() -> (World, usize, usize) {
    let mut world = World::new(1);
    let hq = world.add(hq(&Spec::default()), 2, None);
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    world.nodes[hq].overheard.clear();
    (world, hq, branch)
}

/// An IKE header, and a Notify payload with a type and data.
fn notify(version: u8, flags: u8, kind: [u8; 2], data: &[u8]) -> Vec<u8> {
    let mut message = vec![7; 8];
    message.extend([0; 8]);
    message.extend([41, version, 37, flags, 0, 0, 0, 0]);
    let payload = 8 + data.len() as u8;
    message.extend([0, 0, 0, 28 + payload]);
    message.extend([0, 0, 0, payload, 0, 0, kind[0], kind[1]]);
    message.extend(data);
    message
}

#[test]
fn another_major_version_is_told_ours_at_a_bounded_rate() {
    let (mut world, hq, _) = pair();
    let source = "203.0.113.9:500".parse().unwrap();
    for _ in 0..100 {
        let request = notify(0x10, 0x08, INVALID_SPI, &[]);
        world.inject(source, hq, to(500), request);
        // A response is never answered.
        let response = notify(0x30, 0x28, INVALID_SPI, &[]);
        world.inject(source, hq, to(500), response);
    }
    world.run(MS);
    let answers = &world.nodes[hq].overheard;
    assert!((1..=40).contains(&answers.len()), "{}", answers.len());
    for (path, answer) in answers {
        assert_eq!(path.remote, source);
        assert_eq!(answer[..8], [7; 8]);
        assert_eq!((answer[17], answer[19]), (0x20, 0x20));
        assert_eq!(answer[34..36], INVALID_MAJOR_VERSION);
    }
}

#[test]
fn esp_of_an_sa_that_is_gone_is_answered_with_invalid_spi_at_a_bounded_rate() {
    let (mut world, hq, _) = pair();
    let source = "203.0.113.9:4500".parse().unwrap();
    let mut packet = vec![0x5a, 1, 2, 3];
    packet.extend([9; 60]);
    for _ in 0..200 {
        world.inject(source, hq, to(4500), packet.clone());
    }
    world.run(MS);
    let answers = &world.nodes[hq].overheard;
    assert!((1..=40).contains(&answers.len()), "{}", answers.len());
    for (path, answer) in answers {
        assert_eq!(path.remote, source);
        assert_eq!(answer[..4], [0; 4], "the non-ESP marker");
        // A request of an initiator, outside of every IKE SA.
        assert_eq!((answer[4 + 18], answer[4 + 19]), (37, 0x08));
        assert_eq!(answer[4 + 34..4 + 36], INVALID_SPI);
        assert_eq!(answer[4 + 36..], [0x5a, 1, 2, 3]);
    }
}

#[test]
fn a_peer_is_told_in_its_ike_sa_that_a_spi_is_unknown_and_not_often() {
    let (mut world, hq, branch) = pair();
    let source = world.nodes[branch].nat.as_ref().unwrap().translate(4500);
    let spi = &world.show(hq)[0].ike_sas[0].children[0].spi_in;
    let unknown = u32::from_str_radix(spi, 16).unwrap() ^ 1;
    let packet = [&unknown.to_be_bytes()[..], &[9; 60]].concat();
    for _ in 0..100 {
        world.inject(source, hq, to(4500), packet.clone());
        world.run(MS);
    }
    let told = |node: &Node, wanted: Event| node.events.iter().filter(|e| **e == wanted).count();
    let hint = Event::InvalidSpiHint { spi: unknown };
    assert_eq!(told(&world.nodes[branch], hint), 1, "in 2 s");
    let report = Event::UnknownSpiReported { spi: unknown };
    assert_eq!(told(&world.nodes[hq], report), 1);
    assert_eq!(world.nodes[hq].overheard.len(), 1, "nothing unprotected");
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
}

/// Requests for a rekeyed IKE SA come while its keys are still being computed.
#[test]
fn what_comes_early_for_a_rekeyed_ike_sa_is_held() {
    let (mut world, hq, branch) = pair();
    let device = world.show(hq)[0].line.device;
    let agree = |q: &Question| matches!(q, Question::KeyExchange(KeRequest::Agree { .. }));
    world.nodes[hq].withhold = agree;
    world.command(hq, Command::Rekey(device, RekeyWhat::Ike));
    world.run(10 * MS);
    world.nodes[hq].overheard.clear();
    // The branch has the new one already, and uses it.
    let device = world.show(branch)[0].line.device;
    world.nodes[branch].replies.clear();
    world.command(branch, Command::Ping(device));
    world.run(10 * MS);
    assert!(world.nodes[hq].overheard.is_empty(), "not INVALID_IKE_SPI");
    let early: u64 = world.nodes[hq]
        .shards
        .iter_mut()
        .flat_map(|shard| shard.counters().message_errors.iter().collect::<Vec<_>>())
        .filter_map(|(reason, n)| (reason == MessageError::Early).then_some(n))
        .sum();
    assert_eq!(early, 1);
    world.release(hq);
    // Long before the branch asks again.
    world.run(5 * MS);
    let answered = |r: &Reply| matches!(r, Reply::Pong { .. });
    assert!(world.nodes[branch].replies.iter().any(answered));
    world.run(5 * SECOND);
    assert_eq!(world.show(hq)[0].ike_sas.len(), 1);
}

#[test]
fn a_hint_about_a_living_sa_leads_to_a_few_probes_and_nothing_else() {
    let (mut world, hq, branch) = pair();
    let spi = &world.show(hq)[0].ike_sas[0].children[0].spi_out;
    let spi = u32::from_str_radix(spi, 16).unwrap().to_be_bytes();
    world.nodes[hq].events.clear();
    let probes = |world: &World| {
        let sent = |e: &&Event| matches!(e, Event::ProbeSent { .. });
        world.nodes[hq].events.iter().filter(sent).count()
    };
    for source in ["203.0.113.9:500", "198.51.100.1:9999"] {
        let source: SocketAddr = source.parse().unwrap();
        for _ in 0..50 {
            let hint = notify(0x20, 0x08, INVALID_SPI, &spi);
            world.inject(source, hq, to(500), hint);
            world.run(MS);
        }
        let expected = if source.port() == 500 { 0..=0 } else { 1..=5 };
        assert!(expected.contains(&probes(&world)), "{}", probes(&world));
    }
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 3, MS), (3, 3));
    assert_eq!(world.show(hq)[0].ike_sas[0].children.len(), 1);
}

#[test]
fn what_our_gateway_says_of_an_unknown_spi_makes_the_other_end_ask() {
    let (mut world, hq, branch) = pair();
    // Headquarters has lost everything, and is there again.
    world.nodes[hq].frozen = true;
    world.nodes[hq].address = "192.0.2.99".parse().unwrap();
    let again = world.add(net::hq(&Spec::default()), 2, None);
    world.nodes[branch].events.clear();
    world.inner(branch, 0, udp(BRANCH, LAN));
    world.run(Duration::from_millis(100));
    let asked = |e: &Event| matches!(e, Event::ProbeSent { .. });
    assert!(world.nodes[branch].events.iter().any(asked));
    let _ = again;
}

#[test]
fn an_unknown_critical_payload_in_a_first_message_is_answered() {
    let mut world = World::new(1);
    let hq = world.add(hq(&Spec::default()), 1, None);
    let mut bytes = vec![7; 8];
    bytes.extend([0; 8]);
    // Next payload 200, version 2.0, IKE_SA_INIT, initiator, Message ID 0.
    bytes.extend([200, 0x20, 34, 0x08, 0, 0, 0, 0, 0, 0, 0, 32]);
    bytes.extend([0, 0x80, 0, 4]);
    let to = std::net::SocketAddr::new(HQ.parse().unwrap(), 500);
    world.inject("198.51.100.9:500".parse().unwrap(), hq, to, bytes);
    world.run(Duration::from_millis(100));
    let (_, answer) = world.nodes[hq].overheard.first().expect("an answer");
    // UNSUPPORTED_CRITICAL_PAYLOAD is notify 1, its data the payload's type (RFC 7296 2.5).
    assert_eq!(answer[answer.len() - 3..], [0, 1, 200]);
}
