//! The case's lines of a branch that dies, in the file where existing scripts look for them.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{HANDSHAKE, Scenario, expect_pings, scenario, start_branch};
use crate::command::eventually;
use crate::hawser::Hawser;
use crate::rig::Rig;
use crate::site::Site;

/// What must come, in order.
const LINES: [&str; 11] = [
    "Send DPD packet.",
    "Retransmit DPD packet.",
    "Exchange type: INFORMATIONAL",
    "Flags: REQUEST",
    "IPSEC/6/IPSEC_SA_TERMINATE: -Context=1; IPsec SA was deleted.",
    "Reason: An IKE SA deletion message was received.",
    "SA information:",
    "Role: responder",
    "Sour addr: 192.168.100.0/255.255.255.0 Port: 0 Protocol: IP",
    "deleted.",
    "[IKE->IPsec] Send delete DPD request.",
];

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario("logs::case-lines-of-a-branch-that-dies", dies).hawser_only()]
}

fn dies(rig: &Rig) -> Result<()> {
    let branch = rig.branch(1)?;
    let site = Site {
        template: "dpd = { mode = \"periodic\", interval = \"10s\", retry = \"2s\" }",
        ..Site::default()
    };
    let dir = rig.dir("hq")?;
    let log = dir.join("comware.log");
    let end = format!(
        "[log]\nlevel = \"debug\"\noutputs = [\"stderr\", \"file:{}\"]\n\
         [[plugins]]\nhook = \"log-format\"\nplugin = \"log-comware\"\n\
         [plugin_host]\ncache = \"cache\"\n",
        log.display()
    );
    let _hawser = Hawser::start_text(&rig.hq, &dir, "hq.toml", &(site.toml() + "\n" + &end))?;
    let mut strongswan = start_branch(rig, &site, &branch)?;
    strongswan.initiate(HANDSHAKE)?;
    expect_pings(rig, &site, &branch)?;
    strongswan.kill()?;
    eventually("its end is in the log", Duration::from_secs(40), || {
        Ok(fs::read_to_string(&log)?.contains("Send delete DPD request."))
    })?;
    let text = fs::read_to_string(&log)?;
    let mut lines = text.lines();
    for line in LINES {
        ensure!(
            lines.any(|l| l.ends_with(line)),
            "not in its place: {line}\n{text}"
        );
    }
    ensure!(
        text.contains(&format!(", dst = {}/", branch.nat.first_outer())),
        "no endpoint in {text}"
    );
    Ok(())
}
