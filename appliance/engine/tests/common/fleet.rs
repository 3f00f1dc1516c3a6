//! Headquarters with branches, and packets that go to and fro without a break, each counted.

use super::{Site, policy, secret, template};
use hawser_engine::EngineHandle;
use hawser_policy::{
    DpdMode, DpdSettings, Identity, IdentityPattern, Initiate, PadEntry, PeerTemplate, Policy,
    TemplateId,
};
use hawser_shard::io::{Command, DeviceId, PeerFilter, RekeyWhat, Reply};
use hawser_shard::view::PeerView;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A tunnel is up after so long, and a packet has arrived, or it never will.
const PATIENCE: Duration = Duration::from_secs(20);
const LOST: Duration = Duration::from_secs(5);
/// Octets of a packet's payload.
const PAYLOAD: usize = 400;

/// Headquarters with the templates `branches` (whoever comes) and `wild` (the identity `wild`).
pub(crate) fn headquarters(shards: u8) -> Policy {
    let entry = |remote, template| PadEntry {
        remote,
        local: Vec::new(),
        remote_networks: Vec::new(),
        template: TemplateId(template),
        secret: secret(),
    };
    let wild = Identity::parse("wild").unwrap();
    let pad = vec![
        entry(IdentityPattern::Exact(wild), 1),
        entry(IdentityPattern::Any, 0),
    ];
    let of = |name: &str, id| PeerTemplate {
        id: TemplateId(id),
        name: name.into(),
        dpd: Some(DpdSettings {
            mode: DpdMode::OnDemand,
            interval: Duration::from_secs(10),
            retry: Duration::from_secs(5),
            retries: 2,
        }),
        ..template("10.0.0.0/24", "10.1.0.0/16", "hq.example", None)
    };
    let mut policy = policy(shards, of("branches", 0), pad);
    policy.templates.push(Arc::new(of("wild", 1)));
    policy
}

/// Branch `number`, 10.1.`number`.0/24, under an identity.
pub(crate) fn branch(number: u8, identity: &str, hq: &Site) -> Site {
    let initiate = Initiate {
        remote: ([127, 0, 0, 1], hq.nat_port()).into(),
        remote_identity: Identity::parse("hq.example").unwrap(),
        secret: secret(),
    };
    let network = format!("10.1.{number}.0/24");
    let template = template(&network, "10.0.0.0/24", identity, Some(initiate));
    Site::start(policy(1, template, Vec::new()))
}

/// The peers of a gateway.
pub(crate) async fn peers(engine: &EngineHandle) -> Vec<PeerView> {
    let replies = engine.command(Command::Show(PeerFilter::All)).await;
    let views = replies.into_iter().flat_map(|(_, reply)| match reply {
        Reply::Show(views) => views,
        _ => Vec::new(),
    });
    views.collect()
}

/// Waits until a gateway has so many peers.
pub(crate) async fn up(engine: &EngineHandle, count: usize) -> Vec<PeerView> {
    let begin = Instant::now();
    loop {
        let there = peers(engine).await;
        if there.len() >= count {
            return there;
        }
        assert!(begin.elapsed() < PATIENCE, "{} are up", there.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Headquarters and its branches, all up.
pub(crate) struct Fleet {
    pub(crate) hq: Site,
    /// By number, from 1.
    pub(crate) branches: Vec<(u8, Site)>,
}

/// It is over when this is dropped, as it is when a test fails.
#[derive(Default)]
pub(crate) struct Over(Arc<AtomicBool>);

impl Over {
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What became of the packets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) sent: u64,
    pub(crate) lost: u64,
}

/// One way of a branch: its next packet goes when the one before has arrived.
struct Flow {
    out: bool,
    /// The packet that is under way, and since when.
    under_way: Option<(u64, Instant)>,
}

impl Fleet {
    /// Branches under these identities.
    pub(crate) async fn start(hq: Site, identities: &[&str]) -> Self {
        let branches: Vec<_> = (1..)
            .zip(identities)
            .map(|(number, identity)| (number, branch(number, identity, &hq)))
            .collect();
        up(&hq.engine, branches.len()).await;
        Self { hq, branches }
    }

    /// Renews all keys of all SAs, from both ends in turn, until it is over; says how often that was begun.
    pub(crate) async fn rekey(&self, over: &AtomicBool) -> usize {
        let mut begun = 0;
        while !over.load(Ordering::Relaxed) {
            for (_, branch) in &self.branches {
                begun += rekey(&branch.engine).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            begun += rekey(&self.hq.engine).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        begun
    }

    /// Packets both ways through every tunnel until it is over.
    pub(crate) fn traffic(&self, over: &AtomicBool) -> Counted {
        let ways = self
            .branches
            .iter()
            .flat_map(|(n, _)| [(*n, false), (*n, true)]);
        let mut flows: Vec<(u8, Flow)> = ways
            .map(|(n, out)| {
                let under_way = None;
                (n, Flow { out, under_way })
            })
            .collect();
        let mut counted = Counted::default();
        loop {
            let ending = over.load(Ordering::Relaxed);
            if ending && flows.iter().all(|(_, f)| f.under_way.is_none()) {
                return counted;
            }
            for (number, flow) in &mut flows {
                if flow.under_way.is_none() && !ending && self.send(*number, flow.out, counted.sent)
                {
                    flow.under_way = Some((counted.sent, Instant::now()));
                    counted.sent += 1;
                }
            }
            std::thread::sleep(Duration::from_micros(500));
            let arrived = self.arrived();
            for (_, flow) in &mut flows {
                match flow.under_way {
                    Some((packet, _)) if arrived.contains(&packet) => flow.under_way = None,
                    Some((_, since)) if since.elapsed() > LOST => {
                        flow.under_way = None;
                        counted.lost += 1;
                    }
                    _ => {}
                }
            }
        }
    }

    fn send(&self, branch: u8, out: bool, packet: u64) -> bool {
        let (near, far) = ([10, 0, 0, 1], [10, 1, branch, 2]);
        let (from, to) = if out { (near, far) } else { (far, near) };
        let mut octets = super::ipv4(from, to, PAYLOAD);
        octets[28..36].copy_from_slice(&packet.to_be_bytes());
        match out {
            true => self.hq.send(&octets),
            false => self.branches[usize::from(branch) - 1].1.send(&octets),
        }
    }

    /// The packets that came out anywhere.
    fn arrived(&self) -> Vec<u64> {
        let sites = self.branches.iter().map(|(_, site)| site).chain([&self.hq]);
        let packets = sites.flat_map(Site::received);
        let number = |p: Vec<u8>| Some(u64::from_be_bytes(p.get(28..36)?.try_into().ok()?));
        packets.filter_map(number).collect()
    }

    /// Ends everything.
    pub(crate) async fn end(self) {
        self.hq.engine.shutdown().await;
        for (_, branch) in self.branches {
            branch.engine.shutdown().await;
        }
    }
}

/// Renews the keys of all peers of a gateway; says of how many.
async fn rekey(engine: &EngineHandle) -> usize {
    let devices: Vec<DeviceId> = peers(engine).await.iter().map(|p| p.line.device).collect();
    for device in &devices {
        engine
            .command(Command::Rekey(*device, RekeyWhat::All))
            .await;
    }
    devices.len()
}
