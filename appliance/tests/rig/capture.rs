//! The IKE and ESP datagrams that pass an interface, in order.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::eventually;
use crate::netns::Namespace;

/// A running tcpdump.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    file: PathBuf,
}

/// One UDP datagram.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Where it came from.
    pub from: SocketAddr,
    /// Where it went.
    pub to: SocketAddr,
    /// What UDP carried.
    pub payload: Vec<u8>,
}

impl Capture {
    /// Captures UDP over IPv4 on ports 500 and 4500 of `interface`.
    pub fn start(ns: &Namespace, interface: &str, dir: &Path) -> Result<Self> {
        let file = dir.join("capture.pcap");
        let log = dir.join("tcpdump.log");
        let mut command = ns.command("tcpdump");
        command
            .args(["--immediate-mode", "-U", "-n", "-i", interface, "-w"])
            .arg(&file)
            .args(["udp port 500 or udp port 4500"]);
        let child = ns.spawn(&mut command, &log)?;
        eventually("tcpdump listens", Duration::from_secs(5), || {
            Ok(fs::read_to_string(&log)
                .unwrap_or_default()
                .contains("listening on"))
        })?;
        Ok(Self { child, file })
    }

    /// Stops and returns what passed.
    pub fn stop(mut self) -> Result<Vec<Datagram>> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("tcpdump's process id")?;
        kill_process(pid, Signal::INT).context("stopping tcpdump")?;
        self.child.wait().context("waiting for tcpdump")?;
        parse(&fs::read(&self.file).with_context(|| format!("reading {}", self.file.display()))?)
    }
}

/// Reads a little-endian pcap of Ethernet frames with IPv4 inside.
fn parse(pcap: &[u8]) -> Result<Vec<Datagram>> {
    ensure!(
        pcap.get(..4) == Some(&[0xd4, 0xc3, 0xb2, 0xa1]),
        "not a little-endian pcap"
    );
    let mut datagrams = Vec::new();
    let mut rest = &pcap[24..];
    while let Some((header, tail)) = rest.split_at_checked(16) {
        let length = u32::from_le_bytes(header[8..12].try_into()?) as usize;
        let (frame, tail) = tail.split_at_checked(length).context("a frame cut short")?;
        datagrams.push(datagram(frame)?);
        rest = tail;
    }
    Ok(datagrams)
}

fn datagram(frame: &[u8]) -> Result<Datagram> {
    let packet = frame.get(14..).context("a short frame")?;
    ensure!(packet.first() == Some(&0x45), "not plain IPv4");
    let udp = packet.get(20..).context("a short packet")?;
    let address = |at: usize, port: usize| -> Result<SocketAddr> {
        let host: [u8; 4] = packet[at..at + 4].try_into()?;
        Ok(SocketAddr::from((
            host,
            u16::from_be_bytes(udp[port..port + 2].try_into()?),
        )))
    };
    let length = usize::from(u16::from_be_bytes(udp[4..6].try_into()?));
    let payload = udp.get(8..length).context("a short datagram")?.to_vec();
    Ok(Datagram {
        from: address(12, 0)?,
        to: address(16, 2)?,
        payload,
    })
}
