//! A branch that reauthenticates does not take an answer that comes sooner than it can find its new IKE SA.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_ike::header::Header;
use hawser_ike::registry::ExchangeType;
use hawser_shard::io::Command;
use hawser_shard::view::PeerStatus;
use net::*;
use std::sync::Arc;
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

/// Headquarters and a branch that begins at `port` and whose first answer to IKE_SA_INIT is lost; `delete`: after it has
/// deleted its IKE SA.
fn unheard(delete: bool, port: u16) -> (World, usize, usize) {
    let mut world = World::new(1);
    let hq = world.add(hq(&Spec::default()), 2, None);
    let mut policy = branch(&Spec::default());
    let template = Arc::make_mut(&mut policy.templates[0]);
    template.initiate.as_mut().unwrap().remote.set_port(port);
    let node = world.add(policy, 1, Some(nat(1)));
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
    let (mut world, hq, _) = unheard(true, 500);
    world.run(300 * MS);
    assert_eq!(world.show(hq)[0].line.status, PeerStatus::Up);
}

#[test]
fn the_answer_is_sent_once_more_to_who_knows_of_the_nat() {
    let (mut world, hq, _) = unheard(false, 4500);
    world.run(300 * MS);
    assert_eq!(world.show(hq)[0].line.status, PeerStatus::Up);
}

#[test]
fn strangers_get_no_answer_unasked() {
    let (mut world, hq, _) = unheard(false, 500);
    let before = answers(&world, hq);
    world.run(300 * MS);
    assert_eq!(answers(&world, hq), before);
}
