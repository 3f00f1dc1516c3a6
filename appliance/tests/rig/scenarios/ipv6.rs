//! IPv6 outside and inside, and IPv6 inside over IPv4.

use anyhow::Result;

use super::{Scenario, connect, expect_one_each, expect_pings, scenario};
use crate::command::eventually;
use crate::rig::Rig;
use crate::site::{Site, TO_HQ};

pub fn scenarios() -> Vec<Scenario> {
    let inside = Site {
        hq: Site::default().hq,
        ..Site::v6()
    };
    vec![
        scenario("ipv6::outside-and-inside", |rig| tunnel(rig, &Site::v6())),
        scenario("ipv6::inside-over-ipv4", move |rig| tunnel(rig, &inside)),
    ]
}

fn tunnel(rig: &Rig, site: &Site) -> Result<()> {
    let branch = rig.branch(1)?;
    let (headquarters, strongswan) = connect(rig, site, &branch)?;
    strongswan.rekey_child()?;
    expect_pings(rig, site, &branch)?;
    strongswan.rekey_ike(TO_HQ)?;
    eventually("the headquarters rekeys", super::HANDSHAKE, || {
        headquarters.rekey().map(|()| true)
    })?;
    expect_pings(rig, site, &branch)?;
    expect_one_each(&headquarters, &strongswan, super::HANDSHAKE)
}
