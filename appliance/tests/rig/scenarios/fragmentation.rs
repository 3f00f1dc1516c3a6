//! IKE messages larger than the path takes: RFC 7383 in both directions.

use anyhow::{Result, ensure};

use super::{HANDSHAKE, Scenario, expect_pings, scenario};
use crate::headquarters::Headquarters;
use crate::rig::Rig;
use crate::site::Site;
use crate::strongswan::StrongSwan;

/// Networks of the branch: their traffic selectors make IKE_AUTH large both ways.
const NETWORKS: u8 = 60;
/// The smallest IP packet that every host takes, and so the smallest fragment worth having.
const FRAGMENT: u16 = 576;

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario("fragmentation::large-ike-auth", large_ike_auth)]
}

fn large_ike_auth(rig: &Rig) -> Result<()> {
    let site = Site {
        fragment_size: Some(FRAGMENT),
        ..Site::strong()
    };
    let branch = rig.branch(1)?;
    let _headquarters = Headquarters::start(rig, &site)?;
    let strongswan = StrongSwan::start(&branch.ns, &rig.dir("branch1")?, &site.charon_options())?;
    let mut connection = site.at_branch(&branch).with("fragmentation = force");
    for number in 0..NETWORKS {
        // charon routes a network only where it has an address in it.
        branch
            .ns
            .address("lo", &format!("172.16.{}.1/25", 100 + number))?;
        connection.local_ts += &format!(",172.16.{}.0/25", 100 + number);
    }
    strongswan.load(&[connection])?;
    strongswan.initiate(HANDSHAKE)?;
    expect_pings(rig, &site, &branch)?;
    let log = strongswan.log();
    ensure!(
        log.contains("generating IKE_AUTH request 1 [ EF(1/"),
        "the branch did not fragment its IKE_AUTH"
    );
    ensure!(
        log.contains("parsed IKE_AUTH response 1 [ EF(1/"),
        "the headquarters did not fragment its IKE_AUTH"
    );
    Ok(())
}
