//! `hawser doctor`.

use super::client::{self, Call, print};
use super::{Health, Remote};
use crate::admin::api::{Offloads, VERSION};
use clap::Args;
use quinn_udp::UdpSocketState;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};

/// Whether this machine has what a gateway needs.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// The admin socket of a gateway that may be running: it is asked what it has of the kernel's offloads.
    #[arg(long, value_name = "PATH", default_value = crate::admin::DEFAULT_SOCKET)]
    socket: PathBuf,
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
        let mut findings = vec![
            net_admin(),
            tun(),
            port(500),
            port(4500),
            forwarding(),
            offload(),
            reverse_path(Path::new("/proc/sys/net/ipv4/conf")),
        ];
        findings.extend(self.running());
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

    /// What a gateway that runs has of the offloads; nothing where none answers.
    fn running(&self) -> Option<Finding> {
        let remote = Remote {
            socket: self.socket.clone(),
            json: false,
        };
        let offloads: Offloads = client::ask(&remote, &Call::get("/v1/offloads")).ok()?;
        let (fine, text) = judge_running(&offloads);
        Some(Finding {
            what: "running gateway",
            fine,
            text,
        })
    }
}

fn judge_running(offloads: &Offloads) -> (bool, String) {
    let Offloads {
        trains,
        trains_refused,
        inner: [all, tcp, none],
        inner_gone,
        ..
    } = offloads;
    let sending = match (trains, trains_refused) {
        (0, _) => "sends every datagram alone (no UDP GSO, or `--no-offload`)".to_owned(),
        (n, 0) => format!("sends trains of datagrams on {n} of {n} outer sockets"),
        (n, refused) => format!(
            "the way out refuses trains of datagrams on {refused} of {n} outer sockets: see `ethtool -K DEVICE tx on` \
             on the devices that they leave by; it is tried again by itself"
        ),
    };
    let inner = match (tcp, none) {
        (0, 0) => format!("all {all} queues of inner devices take super-packets of TCP and UDP"),
        (_, 0) => "super-packets of TCP only on inner devices; Linux has those of UDP from 6.2 on"
            .to_owned(),
        _ => format!("{none} queues of inner devices take one packet at a time"),
    };
    let gone = match inner_gone {
        0 => String::new(),
        n => format!("; {n} queues have lost their device, which is being made again"),
    };
    let fine = *trains > 0 && *trains_refused == 0 && *none == 0 && *inner_gone == 0;
    (fine, format!("{sending}; {inner}{gone}"))
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

/// Many datagrams in one system call, out (GSO) and in (GRO), on sockets like the outer ones.
fn offload() -> Finding {
    let segments = UdpSocket::bind("127.0.0.1:0")
        .and_then(|socket| Ok((UdpSocketState::new((&socket).into())?, socket)))
        .map(|(state, _)| (state.max_gso_segments(), state.gro_segments()));
    let (fine, text) = judge_offload(segments);
    Finding {
        what: "UDP offload",
        fine,
        text,
    }
}

fn judge_offload(segments: io::Result<(usize, usize)>) -> (bool, String) {
    const ONE_BY_ONE: &str = "takes a system call for every packet, which is slow";
    match segments {
        Ok((2.., 2..)) => (true, "GSO and GRO are there".to_owned()),
        Ok((gso, 2..)) => (
            false,
            format!("no GSO ({gso} segment): sending {ONE_BY_ONE}; Linux has it from 4.18 on"),
        ),
        Ok((2.., gro)) => (
            false,
            format!("no GRO ({gro} segment): receiving {ONE_BY_ONE}; Linux has it from 5.0 on"),
        ),
        Ok(_) => (
            false,
            format!("neither GSO nor GRO: each way {ONE_BY_ONE}; Linux has both from 5.0 on"),
        ),
        Err(error) => (false, format!("a UDP socket cannot be made: {error}")),
    }
}

/// A strict reverse path filter asks the routing tables whether a packet's source is reached
/// through the interface that it came in by. The mark that keeps outer packets out of the
/// tunnels' table is not on packets that come in: where a tunnel's route covers a peer's outer
/// address, the answer is the TUN interface, and the peer's packets are dropped unseen.
fn reverse_path(conf: &Path) -> Finding {
    let strict = strict_interfaces(conf);
    let text = if strict.is_empty() {
        "no interface filters strictly".to_owned()
    } else {
        let names = strict.join(", ");
        let remedies: String = strict
            .iter()
            .map(|name| {
                // In the name of a setting a dot is written as a slash (sysctl(8)).
                let name = name.replace('.', "/");
                format!(" `sysctl -w net.ipv4.conf.{name}.rp_filter=2`")
            })
            .collect();
        format!(
            "strict on {names}: packets of a peer whose outer address lies in a network behind a \
             tunnel are dropped unseen;{remedies}"
        )
    };
    Finding {
        what: "rp_filter",
        fine: strict.is_empty(),
        text,
    }
}

/// Interfaces that filter strictly: the greater of `all` and their own value counts, and 1 is
/// strict, 2 loose (ip-sysctl).
fn strict_interfaces(conf: &Path) -> Vec<String> {
    let value = |name: &str| {
        let text = fs::read_to_string(conf.join(name).join("rp_filter")).unwrap_or_default();
        text.trim().parse().unwrap_or(0u8)
    };
    let all = value("all");
    let entries = fs::read_dir(conf).into_iter().flatten().flatten();
    let mut strict: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !["all", "default", "lo"].contains(&name.as_str()))
        .filter(|name| value(name).max(all) == 1)
        .collect();
    strict.sort();
    strict
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn conf(values: &[(&str, u8)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, value) in values {
            fs::create_dir(dir.path().join(name)).unwrap();
            let file = dir.path().join(name).join("rp_filter");
            fs::write(file, format!("{value}\n")).unwrap();
        }
        dir
    }

    #[test]
    fn a_strict_reverse_path_filter_is_named_with_its_remedy() {
        let dir = conf(&[
            ("all", 0),
            ("default", 1),
            ("lo", 1),
            ("eth0", 0),
            ("wan", 2),
        ]);
        assert!(reverse_path(dir.path()).fine);
        let dir = conf(&[("all", 1), ("lo", 0), ("eth0.7", 0), ("wan", 2)]);
        let found = reverse_path(dir.path());
        assert!(!found.fine);
        assert!(found.text.contains("strict on eth0.7:"), "{}", found.text);
        let remedy = "`sysctl -w net.ipv4.conf.eth0/7.rp_filter=2`";
        assert!(found.text.contains(remedy), "{}", found.text);
        assert!(!found.text.contains("wan"), "{}", found.text);
    }

    #[test]
    fn what_a_running_gateway_lost_is_named() {
        let fine = Offloads {
            trains: 2,
            inner: [1, 0, 0],
            ..Offloads::default()
        };
        assert!(judge_running(&fine).0, "{}", judge_running(&fine).1);
        let refused = Offloads {
            trains_refused: 1,
            ..fine.clone()
        };
        let gone = Offloads {
            inner: [0; 3],
            inner_gone: 1,
            ..fine.clone()
        };
        let alone = Offloads { trains: 0, ..fine };
        for (offloads, name) in [
            (refused, "refuses trains of datagrams on 1 of 2"),
            (gone, "1 queues have lost their device"),
            (alone, "every datagram alone"),
        ] {
            let (fine, text) = judge_running(&offloads);
            assert!(!fine && text.contains(name), "{text}");
        }
    }

    #[test]
    fn missing_offload_is_named() {
        assert!(judge_offload(Ok((64, 64))).0);
        for (segments, name) in [
            ((1, 64), "no GSO"),
            ((64, 1), "no GRO"),
            ((1, 1), "neither"),
        ] {
            let (fine, text) = judge_offload(Ok(segments));
            assert!(!fine && text.starts_with(name), "{text}");
        }
    }
}
