//! What somebody sees who looks on, in virtual time.
#![allow(clippy::unwrap_used, missing_docs)]

mod net;

use hawser_flight::MessageError;
use hawser_shard::capture::{CapturedKeys, Packet};
use hawser_shard::io::{Command, CommandId, DeviceId, RekeyWhat};
use hawser_shard::trace::{Sight, Target, Traced, What};
use net::*;
use std::net::IpAddr;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);
const ID: CommandId = CommandId(77);

fn look_on(world: &mut World, node: usize, device: Option<DeviceId>, address: IpAddr) {
    look_at(world, node, What::Messages, device, address);
}

fn look_at(world: &mut World, node: usize, what: What, device: Option<DeviceId>, address: IpAddr) {
    let target = Target { device, address };
    let until = world.now + 60 * SECOND;
    for shard in &mut world.nodes[node].shards {
        assert!(shard.trace(world.now, ID, target, what, until));
    }
}

/// `< IKE_AUTH 1: IDi SA ...` for each message.
fn outline(traced: &[Traced]) -> Vec<String> {
    let line = |t: &Traced| {
        let arrow = if t.inbound { '<' } else { '>' };
        let kinds: Vec<&str> = t.payloads.iter().map(|(kind, _)| kind.as_str()).collect();
        let reason = t.unreadable.map(|r| format!("{r:?}")).unwrap_or_default();
        format!(
            "{arrow} {} {}: {}{reason}",
            t.exchange,
            t.message_id,
            kinds.join(" ")
        )
    };
    traced.iter().map(line).collect()
}

#[test]
fn a_handshake_is_seen_from_its_first_message_on_by_the_address_alone() {
    let mut world = World::new(5);
    let hq = world.add(hq(&Spec::default()), 3, None);
    let outer = nat(1).outside;
    look_on(&mut world, hq, None, outer);
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 1, SECOND), (1, 1));
    let traced = std::mem::take(&mut world.nodes[hq].traced);
    let told = outline(&traced);
    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(
        told[0].starts_with("< IKE_SA_INIT 0: SA KE NONCE"),
        "{told:#?}"
    );
    assert!(
        told[1].starts_with("> IKE_SA_INIT 0: SA KE NONCE"),
        "{told:#?}"
    );
    assert!(told[2].starts_with("< IKE_AUTH 1: IDi "), "{told:#?}");
    assert!(told[3].starts_with("> IKE_AUTH 1: IDr AUTH "), "{told:#?}");
    assert!(
        traced[3]
            .payloads
            .iter()
            .any(|(k, t)| k == "TSr" && t.contains("192.168.100.0"))
    );
    assert!(traced.iter().all(|t| t.repeated == 0 && t.left_out == 0));
    // A device that is known by its number.
    let device = world.show(hq)[0].line.device;
    for shard in &mut world.nodes[hq].shards {
        shard.end_trace(ID);
    }
    look_on(
        &mut world,
        hq,
        Some(device),
        "203.0.113.99".parse().unwrap(),
    );
    world.command(hq, Command::Ping(device));
    world.run(SECOND);
    let told = outline(&world.nodes[hq].traced);
    assert_eq!(told, ["> INFORMATIONAL 0: ", "< INFORMATIONAL 0: "]);
}

#[test]
fn nobody_else_is_seen_and_it_ends_by_itself() {
    let mut world = World::new(6);
    let hq = world.add(hq(&Spec::default()), 1, None);
    look_on(&mut world, hq, None, "203.0.113.99".parse().unwrap());
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 1, SECOND), (1, 1));
    assert!(world.nodes[hq].traced.is_empty());
    let device = world.show(hq)[0].line.device;
    look_on(&mut world, hq, Some(device), nat(1).outside);
    world.run(61 * SECOND);
    world.nodes[hq].traced.clear();
    world.command(hq, Command::Ping(device));
    world.run(SECOND);
    assert!(world.nodes[hq].traced.is_empty());
}

#[test]
fn what_is_sent_again_is_counted_and_what_is_forged_says_so() {
    let mut world = World::new(7);
    let hq = world.add(hq(&Spec::default()), 1, None);
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    let device = world.show(hq)[0].line.device;
    look_on(&mut world, hq, Some(device), nat(1).outside);
    world.nodes[branch].frozen = true;
    world.command(hq, Command::Ping(device));
    world.run(8 * SECOND);
    let traced = std::mem::take(&mut world.nodes[hq].traced);
    let repeated: Vec<u32> = traced.iter().map(|t| t.repeated).collect();
    assert_eq!(repeated[..3], [0, 1, 2], "{traced:#?}");
    let (path, mut forged) = world.nodes[branch].overheard.last().unwrap().clone();
    *forged.last_mut().unwrap() ^= 1;
    let destination = path.remote;
    world.inject(nat(1).translate(4500), hq, destination, forged);
    world.run(SECOND);
    let refused = |t: &Traced| t.unreadable == Some(MessageError::IntegrityFailed);
    assert!(world.nodes[hq].traced.iter().any(refused));
}

fn packets(world: &mut World, node: usize) -> Vec<Packet> {
    let seen = std::mem::take(&mut world.nodes[node].captured).into_iter();
    seen.map(|sight| match sight {
        Sight::Packet(packet) => packet,
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn packets_of_one_peer_are_captured_as_they_are_and_nobody_elses() {
    let mut world = World::new(5);
    let hq = world.add(hq(&Spec::default()), 3, None);
    let outer = nat(1).outside;
    look_at(&mut world, hq, What::Packets, None, outer);
    let ours = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    let spec = Spec {
        lan: "172.16.2.0/24",
        ..Spec::default()
    };
    let other = world.add(branch(&spec), 1, Some(nat(2)));
    world.run(SECOND);
    assert_eq!(
        world.ping(other, hq, [172, 16, 2, 5], LAN, 5, SECOND),
        (5, 5)
    );
    let seen = packets(&mut world, hq);
    assert!(seen.iter().all(|p| p.path.remote.ip() == outer));
    let handshake: Vec<bool> = seen.iter().map(|p| p.inbound).collect();
    assert_eq!(handshake, [true, false, true, false]);
    // On the NAT traversal port IKE has the marker, and ESP has none.
    assert!(seen[2].path.encapsulated && seen[2].payload.starts_with(&[0; 4]));
    assert_eq!(world.ping(ours, hq, BRANCH, LAN, 5, SECOND), (5, 5));
    let seen = packets(&mut world, hq);
    let (came, gone): (Vec<_>, Vec<_>) = seen.iter().partition(|p| p.inbound);
    assert_eq!((came.len(), gone.len()), (5, 5));
    let spi = |packet: &Packet| packet.payload[..4].to_vec();
    assert!(
        came.iter()
            .all(|p| spi(p) == spi(came[0]) && spi(p) != [0; 4])
    );
    world.run(60 * SECOND);
    let _ = packets(&mut world, hq);
    assert_eq!(world.ping(ours, hq, BRANCH, LAN, 1, SECOND), (1, 1));
    assert!(packets(&mut world, hq).is_empty(), "its time is over");
}

#[test]
fn keys_are_told_of_what_is_made_meanwhile_and_of_nothing_else() {
    let mut world = World::new(5);
    let hq = world.add(hq(&Spec::default()), 3, None);
    let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    world.run(SECOND);
    let device = world.show(hq)[0].line.device;
    look_at(&mut world, hq, What::Keys, Some(device), nat(1).outside);
    assert_eq!(world.ping(branch, hq, BRANCH, LAN, 2, SECOND), (2, 2));
    assert!(world.nodes[hq].captured.is_empty(), "it was there before");
    world.command(hq, Command::Rekey(device, RekeyWhat::All));
    world.run(SECOND);
    let told = std::mem::take(&mut world.nodes[hq].captured);
    let ike = |s: &&Sight| matches!(s, Sight::Keys(CapturedKeys::Ike { keys, .. }) if keys.sk_ei.len() == 16 && keys.sk_ar.len() == 20);
    assert_eq!(told.iter().filter(ike).count(), 1, "{told:?}");
    let esp = told.iter().filter_map(|s| match s {
        Sight::Keys(CapturedKeys::Esp {
            from, encr, integ, ..
        }) => {
            assert_eq!((encr.len(), integ.len()), (16, 20));
            Some(*from)
        }
        _ => None,
    });
    let outer = nat(1).outside;
    assert_eq!(
        esp.collect::<Vec<_>>(),
        [outer, HQ.parse::<IpAddr>().unwrap()]
    );
}
