//! Handshakes that take a detour or must fail.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{HANDSHAKE, Scenario, expect_one_each, expect_pings, scenario};
use crate::command::eventually;
use crate::headquarters::Headquarters;
use crate::rig::Rig;
use crate::site::Site;
use crate::strongswan::StrongSwan;

/// The two agree on the second group.
const BOTH_GROUPS: &str = "aes128gcm16-prfsha256-x25519-ecp256";
const SECOND_GROUP: &str = "aes128gcm16-prfsha256-ecp256";
const REFUSAL: Duration = Duration::from_secs(5);

/// What a branch has other than the headquarters expects.
type Change = fn(&mut Site);

pub fn scenarios() -> Vec<Scenario> {
    let refused: [(&str, Change, &str); 3] = [
        (
            "no-common-proposal",
            |site| site.ike = "aes256-sha512-modp4096".to_owned(),
            "received NO_PROPOSAL_CHOSEN notify",
        ),
        (
            "wrong-secret",
            |site| site.psk = "guess".to_owned(),
            "received AUTHENTICATION_FAILED notify",
        ),
        (
            "unknown-identity",
            |site| site.branch_id = "nobody".to_owned(),
            "received AUTHENTICATION_FAILED notify",
        ),
    ];
    let refused = refused.map(|(name, change, words)| {
        scenario(format!("negotiation::{name}"), move |rig| {
            is_refused(rig, change, words)
        })
    });
    let detours = [
        scenario(
            "negotiation::another-group-asked-of-the-branch",
            group_of_the_headquarters,
        ),
        scenario(
            "negotiation::headquarters-initiates",
            headquarters_initiates,
        )
        .hawser_only(),
    ];
    refused.into_iter().chain(detours).collect()
}

fn is_refused(rig: &Rig, change: Change, words: &str) -> Result<()> {
    let site = Site::strong();
    let mut theirs = site.clone();
    change(&mut theirs);
    let branch = rig.branch(1)?;
    let headquarters = Headquarters::start(rig, &site)?;
    let strongswan = super::start_branch(rig, &theirs, &branch)?;
    ensure!(
        strongswan.initiate(REFUSAL).is_err(),
        "a tunnel that must not be"
    );
    ensure!(
        strongswan.log().contains(words),
        "refused, but the branch did not read `{words}`"
    );
    eventually("nothing is kept", HANDSHAKE, || {
        Ok(headquarters.count()?.ike == 0)
    })?;
    Ok(())
}

/// INVALID_KE_PAYLOAD from the headquarters.
fn group_of_the_headquarters(rig: &Rig) -> Result<()> {
    let site = Site {
        ike: SECOND_GROUP.to_owned(),
        ..Site::strong()
    };
    let branch = rig.branch(1)?;
    let _headquarters = Headquarters::start(rig, &site)?;
    let strongswan = super::start_branch(
        rig,
        &Site {
            ike: BOTH_GROUPS.to_owned(),
            ..site.clone()
        },
        &branch,
    )?;
    strongswan.initiate(HANDSHAKE)?;
    expect_pings(rig, &site, &branch)?;
    ensure!(
        strongswan
            .log()
            .contains("peer didn't accept DH group CURVE_25519"),
        "no other group was asked for"
    );
    Ok(())
}

/// The headquarters begins, and the branch asks for another group.
fn headquarters_initiates(rig: &Rig) -> Result<()> {
    let initiate = r#"initiate = { remote = "203.0.113.6", identity = "test", secret = "test" }"#;
    let site = Site {
        ike: BOTH_GROUPS.to_owned(),
        template: initiate,
        ..Site::strong()
    };
    let branch = rig.public_branch(1)?;
    let strongswan = StrongSwan::start(&branch.ns, &rig.dir("branch1")?, &[])?;
    let connection = Site {
        ike: SECOND_GROUP.to_owned(),
        ..site.clone()
    }
    .at_branch(&branch);
    strongswan.load(&[connection])?;
    let headquarters = Headquarters::start(rig, &site)?;
    eventually("the headquarters has a tunnel", HANDSHAKE, || {
        Ok(headquarters.count()?.child == 1)
    })?;
    expect_pings(rig, &site, &branch)?;
    headquarters.rekey()?;
    expect_pings(rig, &site, &branch)?;
    expect_one_each(&headquarters, &strongswan, HANDSHAKE)?;
    let log = strongswan.log();
    ensure!(
        log.contains("DH group CURVE_25519 unacceptable"),
        "the branch asked for no other group"
    );
    Ok(())
}
