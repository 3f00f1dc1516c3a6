//! A device's own cycle is observed, and our rekey of the IKE SA keeps clear of it.
#![allow(clippy::unwrap_used)]

mod net;

use hawser_flight::{Event, Lineage, Role};
use hawser_shard::io::Command;
use hawser_shard::view::IkeSaView;
use net::*;
use std::time::Duration;

const BRANCH: [u8; 4] = [172, 16, 1, 5];
const LAN: [u8; 4] = [192, 168, 100, 7];
const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(20);

/// Headquarters' hard lifetime: by itself it rekeys 304 to 312 s after the SA was made.
const LIFETIME: u64 = 320;

struct Site {
    world: World,
    hq: usize,
    branch: usize,
}

impl Site {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let ike_life = LIFETIME;
        let hq = world.add(
            hq(&Spec {
                ike_life,
                ..Spec::default()
            }),
            2,
            None,
        );
        let branch = world.add(branch(&Spec::default()), 1, Some(nat(1)));
        Self { world, hq, branch }
    }

    /// The branch reauthenticates, break before make: its next handshake follows within 2 s.
    fn reauthenticate(&mut self) {
        let device = self.world.show(self.branch)[0].line.device;
        self.world.command(self.branch, Command::Reset(device));
        self.world.run(5 * SECOND);
    }

    fn at_hq(&mut self) -> IkeSaView {
        let mut peers = self.world.show(self.hq);
        assert_eq!(peers.len(), 1, "one device");
        assert_eq!(peers[0].ike_sas.len(), 1);
        peers.remove(0).ike_sas.remove(0)
    }

    fn our_rekeys(&self) -> usize {
        let ours = |e: &&Event| {
            matches!(
                e,
                Event::IkeSaEstablished {
                    role: Role::Initiator,
                    lineage: Lineage::Rekey(_),
                    ..
                }
            )
        };
        self.world.nodes[self.hq].events.iter().filter(ours).count()
    }
}

#[test]
fn we_do_not_rekey_when_a_device_is_about_to_reauthenticate() {
    for seed in 0..10 {
        let mut site = Site::new(seed);
        site.world.run(5 * SECOND);
        assert_eq!(site.at_hq().peer_renews_in_s, None);
        site.world.run(296 * SECOND);
        site.reauthenticate();
        assert_eq!(site.our_rekeys(), 0, "the branch was faster");
        let sa = site.at_hq();
        let [from, until] = sa.peer_renews_in_s.expect("a habit");
        let ours = sa.rekeys_in_s.unwrap();
        assert!((from..=until).contains(&296), "{from} to {until}");
        assert!(ours <= from, "in {ours} s, before {from} to {until}");
        assert!(ours > 200, "not much earlier: {ours}");
        // This time we are faster, and the branch's own time comes on the rekeyed SA.
        site.world.run(Duration::from_secs(ours + 2));
        assert_eq!(site.our_rekeys(), 1);
        let sa = site.at_hq();
        let [from, until] = sa.peer_renews_in_s.expect("the habit survives the SA");
        assert!(from < 60 && until < 60, "{from} to {until}");
        site.reauthenticate();
        let Site { world, hq, branch } = &mut site;
        assert_eq!(world.ping(*branch, *hq, BRANCH, LAN, 3, MS), (3, 3));
    }
}
