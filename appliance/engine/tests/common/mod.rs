//! Sites with socketpairs in place of TUNs.
#![allow(dead_code, clippy::unwrap_used)]

use hawser_engine::{Engine, EngineHandle, EngineOptions, InnerDevices, StartError};
use hawser_policy::{
    Admission, ChildTemplate, EspProposal, Identity, IdentityPattern, IkePolicy, IkeProposal,
    Initiate, Lifetimes, Listen, LogOutput, Observability, Pad, PadEntry, PeerTemplate, Policy,
    Retransmission, Secret, TemplateId, Tenant, TenantId, TrafficSelector,
};
use hawser_shard::io::ShardId;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;

pub(crate) mod fleet;

pub(crate) struct Site {
    pub(crate) engine: EngineHandle,
    /// The inside, one end for each shard.
    inner: Vec<UnixDatagram>,
}

impl Site {
    pub(crate) fn start(policy: Policy) -> Self {
        Self::try_start(policy).unwrap()
    }

    pub(crate) fn try_start(policy: Policy) -> Result<Self, StartError> {
        Self::launch(policy, EngineOptions::default())
    }

    /// With plugins.
    pub(crate) fn with_plugins(policy: Policy, plugins: hawser_plugin::Options) -> Self {
        let options = EngineOptions {
            plugins: Some(plugins),
            ..EngineOptions::default()
        };
        Self::launch(policy, options).unwrap()
    }

    /// With plugins and a log.
    pub(crate) fn with_log(policy: Policy, plugins: hawser_plugin::Options) -> Self {
        let options = EngineOptions {
            plugins: Some(plugins),
            log: true,
            ..EngineOptions::default()
        };
        Self::launch(policy, options).unwrap()
    }

    fn launch(policy: Policy, options: EngineOptions) -> Result<Self, StartError> {
        let (mut inner, mut fds) = (Vec::new(), Vec::new());
        for _ in 0..policy.shards.unwrap() {
            let (ours, theirs) = UnixDatagram::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            fds.push(theirs.into());
            inner.push(ours);
        }
        Ok(Self {
            inner,
            ..Self::open(policy, fds, options)?
        })
    }

    /// With these descriptors as the shards' inner devices.
    pub(crate) fn start_with(policy: Policy, fds: Vec<OwnedFd>) -> Result<Self, StartError> {
        Self::open(policy, fds, EngineOptions::default())
    }

    fn open(policy: Policy, fds: Vec<OwnedFd>, options: EngineOptions) -> Result<Self, StartError> {
        let shards = (0..).map(|shard| (TenantId(0), ShardId(shard)));
        let fds: HashMap<_, _> = shards.zip(fds).collect();
        let options = EngineOptions {
            inner: InnerDevices::Fds(fds),
            workers: Some(1),
            unpinned: true,
            ..options
        };
        Ok(Self {
            engine: Engine::start(Arc::new(policy), options)?,
            inner: Vec::new(),
        })
    }

    pub(crate) fn ike_port(&self) -> u16 {
        self.engine
            .bound()
            .iter()
            .find(|b| !b.nat)
            .unwrap()
            .address
            .port()
    }

    /// Where a branch begins: a high port has no 500 and 4500 to float between.
    pub(crate) fn nat_port(&self) -> u16 {
        self.engine
            .bound()
            .iter()
            .find(|b| b.nat)
            .unwrap()
            .address
            .port()
    }

    /// Into a queue that the packet's own shard need not have, as a TUN does; says whether there was room.
    pub(crate) fn send(&self, packet: &[u8]) -> bool {
        self.inner[self.inner.len() - 1].send(packet).is_ok()
    }

    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for socket in &self.inner {
            let mut buffer = [0; 65536];
            while let Ok(len) = socket.recv(&mut buffer) {
                all.push(buffer[..len].to_vec());
            }
        }
        all
    }
}

/// A plugin that ships, with its default settings.
pub(crate) fn shipped(name: &str) -> hawser_plugin::Source {
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/dist/");
    hawser_plugin::Source {
        bytes: std::fs::read(format!("{dist}{name}.wasm")).unwrap(),
        ..hawser_plugin::Source::default()
    }
}

/// A file for the log that does not rotate.
pub(crate) fn log_file(path: &Path) -> LogOutput {
    LogOutput::File {
        path: path.to_owned(),
        size: 1 << 30,
        keep: 0,
    }
}

/// An IPv4 packet of UDP with a right header checksum.
pub(crate) fn ipv4(from: [u8; 4], to: [u8; 4], payload: usize) -> Vec<u8> {
    let total = (28 + payload) as u16;
    let mut p = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0];
    p[2..4].copy_from_slice(&total.to_be_bytes());
    p.extend_from_slice(&from);
    p.extend_from_slice(&to);
    let sum: u32 = p
        .chunks(2)
        .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    p[10..12].copy_from_slice(&sum.to_be_bytes());
    p.extend_from_slice(&[0x30, 0x39, 0x30, 0x3a]);
    p.extend_from_slice(&(8 + payload as u16).to_be_bytes());
    p.extend_from_slice(&[0, 0]);
    p.extend((0..payload).map(|i| i as u8));
    p
}

pub(crate) fn headquarters(shards: u8) -> Policy {
    let template = template("10.0.0.0/24", "10.1.0.0/24", "hq.example", None);
    let entry = PadEntry {
        remote: IdentityPattern::Any,
        local: Vec::new(),
        remote_networks: Vec::new(),
        template: TemplateId(0),
        secret: secret(),
    };
    policy(shards, template, vec![entry])
}

pub(crate) fn branch(shards: u8, hq_port: u16) -> Policy {
    let initiate = Initiate {
        remote: ([127, 0, 0, 1], hq_port).into(),
        remote_identity: Identity::parse("hq.example").unwrap(),
        secret: secret(),
    };
    policy(
        shards,
        template("10.1.0.0/24", "10.0.0.0/24", "test", Some(initiate)),
        Vec::new(),
    )
}

pub(crate) fn secret() -> Secret {
    Secret::new(b"a secret that is long enough for anybody".to_vec())
}

pub(crate) fn policy(shards: u8, template: PeerTemplate, pad: Vec<PadEntry>) -> Policy {
    Policy {
        revision: 0,
        listen: Listen {
            addresses: vec![[127, 0, 0, 1].into()],
            port: 0,
            nat_port: 0,
            native_esp: false,
        },
        shards: Some(shards),
        admission: Admission::default(),
        observability: Observability::default(),
        tenants: vec![Tenant {
            id: TenantId(0),
            name: "default".into(),
            interface: "hawser-test".into(),
            mtu: 1400,
            addresses: Vec::new(),
            namespace: None,
            protected: Vec::new(),
        }],
        templates: vec![Arc::new(template)],
        ike_policies: vec![IkePolicy {
            name: "any".into(),
            local: Vec::new(),
            proposals: vec![ike_proposal()],
        }],
        pad: Pad::new(pad),
        plugins: hawser_policy::PluginPolicy::default(),
    }
}

fn ike_proposal() -> IkeProposal {
    IkeProposal::parse("aes128-sha256-x25519").unwrap()
}

pub(crate) fn template(
    local: &str,
    remote: &str,
    name: &str,
    initiate: Option<Initiate>,
) -> PeerTemplate {
    let selector = |t: &str| vec![TrafficSelector::parse(t).unwrap()];
    let hour = std::time::Duration::from_secs(3600);
    PeerTemplate {
        id: TemplateId(0),
        name: "branches".into(),
        tenant: TenantId(0),
        local_identity: Identity::parse(name),
        ike_proposals: vec![ike_proposal()],
        ike_lifetimes: Lifetimes::with_default_margin(Some(hour), None),
        children: vec![ChildTemplate {
            name: "lan".into(),
            proposals: vec![EspProposal::parse("aes128gcm16").unwrap()],
            local: selector(local),
            remote: selector(remote),
            lifetimes: Lifetimes::with_default_margin(Some(hour), None),
            replay_window: 4096,
        }],
        dpd: None,
        nat_keepalive: None,
        retransmission: Retransmission::default(),
        upkeep: hawser_policy::Upkeep::default(),
        allow_any_route: false,
        fragment_size: 1280,
        initiate,
    }
}
