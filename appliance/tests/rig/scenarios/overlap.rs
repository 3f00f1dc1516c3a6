//! Claims that are refused: another identity's networks, a default route, outer endpoints, the headquarters' own networks.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{HANDSHAKE, Scenario, connect, expect_pings, scenario, start_branch};
use crate::headquarters::Headquarters;
use crate::rig::Rig;
use crate::site::Site;
use crate::strongswan::StrongSwan;

/// charon tells of a refusal at once, of silence only after this.
const REFUSAL: Duration = Duration::from_secs(5);

pub fn scenarios() -> Vec<Scenario> {
    let greedy = [
        ("default-route", "0.0.0.0/0"),
        ("outer-endpoints", "198.51.100.0/24"),
        ("headquarters-outer-address", "192.0.2.0/24"),
        ("headquarters-network", "192.168.0.0/16"),
    ];
    let greedy = greedy.map(|(name, claim)| {
        scenario(format!("overlap::{name}"), move |rig| {
            refused_claim(rig, claim)
        })
        .hawser_only()
    });
    let stolen = scenario("overlap::networks-of-another-identity", another_identity).hawser_only();
    greedy.into_iter().chain([stolen]).collect()
}

/// A branch whose `claim` the template would allow is refused it, and the other one lives on.
fn refused_claim(rig: &Rig, claim: &str) -> Result<()> {
    let site = Site {
        branch_networks: "0.0.0.0/0",
        ..Site::strong()
    };
    let (honest, greedy) = (rig.branch(1)?, rig.branch(2)?);
    let (headquarters, _strongswan) = connect(rig, &site, &honest)?;
    let before = rig.hq.ip("route show table all")?;
    let strongswan = StrongSwan::start(&greedy.ns, &rig.dir("branch2")?, &[])?;
    let mut connection = site.at_branch(&greedy);
    connection.local_ts = claim.to_owned();
    strongswan.load(&[connection])?;
    expect_refusal(&strongswan)?;
    ensure!(
        rig.hq.ip("route show table all")? == before,
        "the claim of {claim} changed the routes"
    );
    expect_event(&headquarters, "route_refused")?;
    expect_pings(rig, &site, &honest)
}

/// `b.example` claims what `a.example` has.
fn another_identity(rig: &Rig) -> Result<()> {
    let hq_site = Site {
        branch_id: "*.example".to_owned(),
        ..Site::strong()
    };
    let site = |name: &str| Site {
        branch_id: name.to_owned(),
        ..hq_site.clone()
    };
    let (owner, thief) = (rig.branch(1)?, rig.branch(2)?);
    let headquarters = Headquarters::start(rig, &hq_site)?;
    let owners = start_branch(rig, &site("a.example"), &owner)?;
    owners.initiate(HANDSHAKE)?;
    expect_pings(rig, &hq_site, &owner)?;
    let thiefs = StrongSwan::start(&thief.ns, &rig.dir("branch2")?, &[])?;
    let mut connection = site("b.example").at_branch(&thief);
    connection.local_ts = owner.subnet();
    thiefs.load(&[connection])?;
    expect_refusal(&thiefs)?;
    expect_event(&headquarters, "selector_conflict")?;
    expect_pings(rig, &hq_site, &owner)
}

fn expect_refusal(strongswan: &StrongSwan) -> Result<()> {
    ensure!(
        strongswan.initiate(REFUSAL).is_err(),
        "the claim was granted"
    );
    let log = strongswan.log();
    ensure!(
        log.contains("received TS_UNACCEPTABLE notify"),
        "refused, but not by TS_UNACCEPTABLE"
    );
    Ok(())
}

/// An event of this name is there.
fn expect_event(headquarters: &Headquarters, name: &str) -> Result<()> {
    let events = headquarters.hawser()?.json(&["events"])?;
    let found = events["events"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|one| one["event"]["event"] == name);
    ensure!(found, "no event {name} among {events}");
    Ok(())
}
