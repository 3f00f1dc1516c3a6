//! `hawser doctor`.

use super::Health;
use super::client::print;
use crate::admin::api::VERSION;
use clap::Args;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::net::UdpSocket;

/// Whether this machine has what a gateway needs.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print JSON ("version": 1) in place of text.
    #[arg(long)]
    json: bool,
}

/// One thing looked at.
struct Finding {
    what: &'static str,
    fine: bool,
    text: String,
}

impl Doctor {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let findings = [net_admin(), tun(), port(500), port(4500), forwarding()];
        if self.json {
            let checks: Vec<_> = findings
                .iter()
                .map(|f| json!({ "check": f.what, "ok": f.fine, "text": f.text }))
                .collect();
            print(&format!(
                "{:#}\n",
                json!({ "version": VERSION, "checks": checks })
            ))?;
        } else {
            for Finding { what, fine, text } in &findings {
                let mark = if *fine { "ok" } else { "--" };
                print(&format!("{mark}  {what:<16} {text}\n"))?;
            }
        }
        Ok(Health::when(findings.iter().all(|f| f.fine)))
    }
}

/// CAP_NET_ADMIN makes TUN interfaces and routes (capabilities(7)).
fn net_admin() -> Finding {
    const NET_ADMIN: u32 = 12;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    let bits = line
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let fine = bits >> NET_ADMIN & 1 == 1;
    let text = if fine {
        "CAP_NET_ADMIN is there".to_owned()
    } else {
        "CAP_NET_ADMIN is missing: run as root, or `setcap cap_net_admin,cap_net_bind_service,cap_net_raw+ep hawser`"
            .to_owned()
    };
    Finding {
        what: "rights",
        fine,
        text,
    }
}

fn tun() -> Finding {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    let fine = opened.is_ok();
    let text = match opened {
        Ok(_) => "/dev/net/tun opens".to_owned(),
        Err(error) => {
            format!("/dev/net/tun: {error}; `modprobe tun`, or give the device to the container")
        }
    };
    Finding {
        what: "TUN",
        fine,
        text,
    }
}

fn port(number: u16) -> Finding {
    let bound = UdpSocket::bind(("0.0.0.0", number));
    let fine = bound.is_ok();
    let text = match bound {
        Ok(_) => "free".to_owned(),
        Err(error) => format!("{error}; `ss -ulpn sport = :{number}` says who has it"),
    };
    Finding {
        what: if number == 500 {
            "UDP port 500"
        } else {
            "UDP port 4500"
        },
        fine,
        text,
    }
}

/// Packets between the LAN and the TUN interface are forwarded by the kernel.
fn forwarding() -> Finding {
    let value = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default();
    let fine = value.trim() == "1";
    let text = if fine {
        "IPv4 is forwarded".to_owned()
    } else {
        "IPv4 is not forwarded: `sysctl -w net.ipv4.ip_forward=1`".to_owned()
    };
    Finding {
        what: "forwarding",
        fine,
        text,
    }
}
