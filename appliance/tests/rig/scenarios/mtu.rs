//! LANs of 1500 bytes at both ends: TCP goes through without anyone tuning, and what is too big is told so.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::{HANDSHAKE, Scenario, scenario, start_branch};
use crate::command::{eventually, run};
use crate::headquarters::Headquarters;
use crate::netns::{Namespace, veth};
use crate::ping;
use crate::rig::Rig;
use crate::site::Site;

const HQ_HOST: &str = "192.168.100.10";
const BRANCH_HOST: &str = "172.16.1.10";
const MEGABYTES: u32 = 8;

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario("mtu::lan-of-1500-bytes", lan_of_1500).hawser_only()]
}

fn lan_of_1500(rig: &Rig) -> Result<()> {
    let site = Site::strong();
    let branch = rig.branch(1)?;
    let hq_host = lan_host(&rig.hq, "192.168.100.1/24", HQ_HOST)?;
    let branch_host = lan_host(&branch.ns, "172.16.1.1/24", BRANCH_HOST)?;
    let _headquarters = Headquarters::start(rig, &site)?;
    let strongswan = start_branch(rig, &site, &branch)?;
    strongswan.initiate(HANDSHAKE)?;
    ping::both_ways(
        (&branch_host, BRANCH_HOST),
        (&hq_host, HQ_HOST),
        Duration::from_secs(5),
    )?;
    transfer(rig, &hq_host, &branch_host)?;
    too_big(&hq_host, BRANCH_HOST)
}

/// A host on a LAN of its own behind `gateway`, whose LAN address moves there from `lo`.
fn lan_host(gateway: &Namespace, gateway_address: &str, host_address: &str) -> Result<Namespace> {
    let host = Namespace::new("host")?;
    veth(&host, "lan", gateway, "lan")?;
    gateway.ip(&format!("addr del {gateway_address} dev lo"))?;
    gateway.address("lan", gateway_address)?;
    host.address("lan", &format!("{host_address}/24"))?;
    let via = gateway_address.trim_end_matches("/24");
    host.ip(&format!("route add default via {via}"))?;
    Ok(host)
}

/// Bulk TCP both ways, begun by the branch; the segment size that either host learns fits the tunnel.
fn transfer(rig: &Rig, hq_host: &Namespace, branch_host: &Namespace) -> Result<()> {
    let log = rig.path().join("iperf3.log");
    let _server = hq_host.spawn(
        hq_host
            .command("iperf3")
            .args(["-s", "-B", HQ_HOST, "--forceflush"]),
        &log,
    )?;
    eventually("iperf3 listens", Duration::from_secs(5), || {
        Ok(fs::read_to_string(&log)?.contains("listening"))
    })?;
    for direction in [&[][..], &["--reverse"]] {
        let bytes = format!("{MEGABYTES}M");
        let mut client = branch_host.command("iperf3");
        client
            .args([
                "-c",
                HQ_HOST,
                "-B",
                BRANCH_HOST,
                "-n",
                &bytes,
                "-J",
                "--connect-timeout",
                "3000",
            ])
            .args(direction);
        let report: serde_json::Value =
            serde_json::from_str(&run(&mut client)?).context("iperf3's report")?;
        let mss = report["start"]["tcp_mss_default"]
            .as_u64()
            .context("the segment size")?;
        ensure!(
            mss <= 1400 - 40,
            "{direction:?}: a segment size of {mss} does not fit the tunnel"
        );
        let received = report["end"]["sum_received"]["bytes"]
            .as_u64()
            .context("the bytes received")?;
        // The client ends when it has sent its bytes; the last of them may still be on their way.
        ensure!(
            received >= u64::from(MEGABYTES) << 19,
            "{direction:?}: only {received} bytes arrived"
        );
    }
    Ok(())
}

/// A full-sized packet that must not be fragmented is answered with the size that would do.
fn too_big(host: &Namespace, to: &str) -> Result<()> {
    let Err(error) = host.run(&format!("ping -n -c 1 -W 1 -M do -s 1472 {to}")) else {
        bail!("1500 bytes that must not be fragmented went through a tunnel over 1500 bytes");
    };
    let text = format!("{error:#}");
    ensure!(
        text.contains("Frag needed and DF set"),
        "no word of it being too big: {text}"
    );
    Ok(())
}
