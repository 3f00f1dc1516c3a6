//! The gateway at the headquarters: this very program.

use super::command::{command, eventually, run_to, start};
use super::netns::Namespace;
use crate::demo::figures::Figures;
use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, ExitStatus};
use std::time::Duration;
use tokio::process::Child;
use tokio::time::timeout;

/// The case's configuration.
const CONFIG: &str = include_str!("../../../../configs/hq.cfg");
/// Exit codes of an answer: healthy and degraded.
const ANSWERED: [i32; 2] = [0, 2];
/// How long a start and an end may take.
const WITHIN: Duration = Duration::from_secs(10);

/// A running gateway; dropped, it is killed.
pub(super) struct Gateway {
    child: Child,
    socket: PathBuf,
}

/// This program, also where its file has been replaced meanwhile.
fn own() -> String {
    format!("/proc/{}/exe", process::id())
}

impl Gateway {
    /// Starts it with its files in `dir`.
    pub(super) async fn start(hq: &Namespace, dir: &Path) -> anyhow::Result<Self> {
        let (config, socket) = (dir.join("hq.cfg"), dir.join("hawser.sock"));
        fs::write(&config, CONFIG)?;
        let mut run = hq.command(&own());
        run.args(["run", "--config"]).arg(&config);
        run.arg("--socket").arg(&socket);
        let child = start(&mut run, &dir.join("hawser.log"))?;
        let mut gateway = Self { child, socket };
        eventually("the gateway answers", WITHIN, async || {
            let ended = gateway.child.try_wait()?.is_some();
            Ok(ended || gateway.ask(&["status"]).await.is_ok())
        })
        .await?;
        match gateway.child.try_wait()? {
            Some(status) => bail!("the gateway ended with {status}"),
            None => Ok(gateway),
        }
    }

    /// A verb's answer.
    pub(super) async fn ask(&self, words: &[&str]) -> anyhow::Result<Value> {
        let mut verb = command(&own());
        verb.args(words).arg("--json").arg("--socket");
        let text = run_to(verb.arg(&self.socket), &ANSWERED).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The outer endpoint of the peer that is up with this network behind it.
    pub(super) async fn endpoint(&self, network: &str) -> anyhow::Result<Option<String>> {
        let status = self.ask(&["status"]).await?;
        let peers = status["peers"].as_array().into_iter().flatten();
        let mut living = peers.filter(|p| p["status"] == "up" && p["identity"] == "test");
        let peer = living.find(|p| p["networks"][0] == network);
        Ok(peer.and_then(|p| Some(p["endpoint"].as_str()?.to_owned())))
    }

    /// Peers that are up, IKE SAs and Child SAs.
    pub(super) async fn counts(&self) -> anyhow::Result<[u64; 3]> {
        let status = self.ask(&["status"]).await?;
        let counts = [
            &status["counts"]["up"],
            &status["ike_sas"],
            &status["child_sas"],
        ];
        Ok(counts.map(|value| value.as_u64().unwrap_or_default()))
    }

    /// What its events come to so far.
    pub(super) async fn figures(&self) -> anyhow::Result<Figures> {
        let report = self.ask(&["events"]).await?;
        let records = report["events"].as_array().into_iter().flatten();
        let mut figures = Figures::default();
        records.for_each(|record| add(&mut figures, &record["event"]));
        Ok(figures)
    }

    /// SIGTERM, and how it ended.
    pub(super) async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid
            .and_then(Pid::from_raw)
            .context("the gateway has ended")?;
        kill_process(pid, Signal::TERM)?;
        let ended = timeout(WITHIN, self.child.wait()).await;
        Ok(ended.context("the gateway does not end after SIGTERM")??)
    }
}

fn add(figures: &mut Figures, event: &Value) {
    let rekey = event["lineage"]["kind"] == "rekey";
    let count = |counts: &mut BTreeMap<String, u64>, reason: &Value| {
        let reason = reason.as_str().unwrap_or_default().to_owned();
        *counts.entry(reason).or_default() += 1;
    };
    match event["event"].as_str().unwrap_or_default() {
        "ike_sa_established" if rekey => figures.ike_rekeys += 1,
        "ike_sa_established" => figures.handshakes += 1,
        "child_sa_installed" if rekey => figures.child_rekeys += 1,
        "handshake_failed" => count(&mut figures.failures, &event["reason"]),
        "peer_down" => count(&mut figures.downs, &event["cause"]),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hawser_flight::{CloseCause, Event, HandshakeFailure, Lineage, Path, Role};
    use serde_json::json;

    #[test]
    fn events_are_counted_as_they_are_written() {
        let established = |lineage| Event::IkeSaEstablished {
            role: Role::Responder,
            spi_i: 1,
            spi_r: 2,
            suite: String::new(),
            peer_behind_nat: true,
            local_behind_nat: false,
            lineage,
            endpoint: ([120, 208, 142, 17], 8192).into(),
        };
        let path = Path {
            local: "192.0.2.1:4500".parse().unwrap(),
            remote: "198.51.100.6:7".parse().unwrap(),
            encapsulated: true,
        };
        let mut figures = Figures::default();
        for event in [
            established(Lineage::Initial),
            established(Lineage::Rekey(1)),
            Event::PeerDown {
                cause: CloseCause::DeletedByPeer,
            },
            Event::HandshakeFailed {
                role: Role::Responder,
                path,
                claimed_identity: None,
                reason: HandshakeFailure::Timeout,
            },
        ] {
            add(&mut figures, &json!(event));
        }
        assert_eq!((figures.handshakes, figures.ike_rekeys), (1, 1));
        assert_eq!(figures.downs["deleted_by_peer"], 1);
        assert_eq!(figures.failures["timeout"], 1);
    }
}
