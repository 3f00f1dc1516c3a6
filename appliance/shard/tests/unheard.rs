//! A branch that reauthenticates does not take an answer that comes sooner than it can find its new IKE SA.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_ike::header::Header;
use hawser_ike::registry::ExchangeType;
use hawser_shard::io::Command;
use hawser_shard::view::PeerStatus;
use net::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// How many answers to IKE_SA_INIT a node has sent.
fn answers(world: &World, node: usize) -> usize {
    let is_answer = |bytes: &[u8]| {
        let message = bytes.strip_prefix(&[0; 4]).unwrap_or(bytes);
        Header::parse(message)
            .is_ok_and(|h| h.flags.response && h.exchange == ExchangeType::IkeSaInit)
    };
    let sent = world.nodes[node].overheard.iter();
    sent.filter(|(_, bytes)| is_answer(bytes)).count()
}

/// Headquarters and a branch whose first answer to IKE_SA_INIT is lost, after it has deleted its IKE SA.
fn unheard(delete: bool) -> (World, usize, usize) {
    let mut world = World::new(1);
    let hq = world.add(hq(&Spec::default()), 2, None);
    let node = world.add(branch(&Spec::default()), 1, Some(nat(1)));
    if delete {
        world.run(SECOND);
        let device = world.show(node)[0].line.device;
        world.command(node, Command::Reset(device));
    }
    let before = answers(&world, hq);
    while answers(&world, hq) == before {
        world.run(MS);
    }
    world.drop_flying();
    (world, hq, node)
}

#[test]
fn the_answer_is_sent_once_more_to_where_a_device_was() {
    let (mut world, hq, _) = unheard(true);
    world.run(300 * MS);
    assert_eq!(world.show(hq)[0].line.status, PeerStatus::Up);
}

#[test]
fn strangers_get_no_answer_unasked() {
    let (mut world, hq, _) = unheard(false);
    let before = answers(&world, hq);
    world.run(300 * MS);
    assert_eq!(answers(&world, hq), before);
}
