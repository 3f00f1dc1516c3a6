//! What operators want.

use crate::Shard;
use crate::io::{Command, CommandId, DeviceId, Output, PeerFilter, RekeyWhat, Reply};
use crate::peer::Peer;
use crate::timers::TimerKey;
use hawser_flight::{CloseCause, Event};
use hawser_ike::IkeSa;
use hawser_policy::{PeerTemplate, Policy};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long shutting down waits for the answers to its DELETEs.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(3);

/// Where a shard is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Running,
    /// Everybody has been told; answers are waited for.
    ShuttingDown,
    Finished,
}

impl Stage {
    /// Nobody is taken in any more.
    pub(crate) fn is_ending(self) -> bool {
        self != Self::Running
    }
}

impl Shard {
    /// An operator's command; answered by one [`Output::Reply`], or ([`Command::Shutdown`]) by
    /// [`Output::Finished`].
    pub fn command(&mut self, now: Instant, id: CommandId, command: Command) {
        self.clock = now;
        let reply = match command {
            Command::Status(filter) => Reply::Status(self.status_view(now, &filter)),
            Command::Show(filter) => Reply::Show(self.peer_views(now, &filter)),
            Command::Recall(device) => self.recalled(device),
            Command::Reset(device) => match self.devices.get(&device).copied() {
                Some(key) => self.reset(now, key),
                None => Reply::NotFound,
            },
            Command::Rekey(device, what) => match self.devices.get(&device).copied() {
                Some(key) => self.rekey_device(now, key, what),
                None => Reply::NotFound,
            },
            Command::Standings => Reply::Standings(self.standings()),
            Command::Audit(device, event) => self.audited(device, event),
            Command::Ping(device) => match self.devices.get(&device).copied() {
                Some(key) => return self.ping(now, id, key),
                None => Reply::NotFound,
            },
            Command::Apply(policy) => self.apply(now, policy),
            Command::Shutdown => return self.shut_down(now),
        };
        self.out.push_back(Output::Reply(id, reply));
    }

    /// The shard of the device tells it; what is about no device is the first shard's to tell.
    fn audited(&mut self, device: Option<DeviceId>, event: Event) -> Reply {
        let label = device.and_then(|device| {
            let key = self.devices.get(&device)?;
            Some(Arc::clone(&self.peers.get(*key)?.label))
        });
        if label.is_none() && (device.is_some() || self.id.0 != 0) {
            return Reply::NotFound;
        }
        self.event(label, event);
        Reply::Done
    }

    fn reset(&mut self, now: Instant, key: usize) -> Reply {
        self.operator_acts(key, "reset");
        if let Some(peer) = self.peers.get_mut(key) {
            for sa in &mut peer.ike_sas {
                sa.delete(&mut crate::env!(self, now), CloseCause::Admin);
            }
        }
        self.drive(now, key);
        Reply::Done
    }

    fn rekey_device(&mut self, now: Instant, key: usize, what: RekeyWhat) -> Reply {
        self.operator_acts(key, "rekey");
        let newest = self.peers.get(key).and_then(Peer::newest);
        let peer = self.peers.get_mut(key);
        let Some(sa) = newest.and_then(|spi| peer?.ike_sa(spi)) else {
            return Reply::Failed("the peer is down".to_owned());
        };
        if what != RekeyWhat::Ike {
            let children: Vec<u32> = sa.children().iter().map(|c| c.spi_in).collect();
            for spi_in in children {
                sa.rekey_child(&mut crate::env!(self, now), spi_in);
            }
        }
        if what != RekeyWhat::Children {
            sa.rekey(&mut crate::env!(self, now));
        }
        self.drive(now, key);
        Reply::Done
    }

    fn operator_acts(&mut self, key: usize, verb: &'static str) {
        let label = self.peers.get(key).map(|p| Arc::clone(&p.label));
        self.event(label, Event::OperatorAction { verb });
    }

    /// A new policy: handshakes from now on follow it, ours are begun anew. DPD, which is the device's, follows at once,
    /// SAs one device after the other (`adapt`).
    fn apply(&mut self, now: Instant, policy: Arc<Policy>) -> Reply {
        let names = |p: &Policy| {
            p.tenants
                .iter()
                .map(|t| (Arc::clone(&t.name), t.interface.clone()))
                .collect::<Vec<_>>()
        };
        if names(&policy) != names(&self.policy) {
            return Reply::Failed("tenants have changed: that needs a restart".to_owned());
        }
        self.drop_initiators();
        let revision = policy.revision;
        let before = std::mem::replace(&mut self.policy, policy);
        self.event(None, Event::ConfigApplied { revision });
        self.refresh_templates(now);
        self.begin_adapting(now, &before);
        self.initiate_all(now);
        Reply::Done
    }

    fn refresh_templates(&mut self, now: Instant) {
        let policy = Arc::clone(&self.policy);
        let named = |t: &Arc<PeerTemplate>| ((t.tenant, Arc::clone(&t.name)), Arc::clone(t));
        let templates: HashMap<_, _> = policy.templates.iter().map(named).collect();
        let keys: Vec<usize> = self.peers.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(peer) = self.peers.get_mut(key) else {
                continue;
            };
            let name = (peer.tenant, Arc::clone(&peer.template.name));
            let Some(current) = templates.get(&name) else {
                continue;
            };
            let before = std::mem::replace(&mut peer.template, Arc::clone(current));
            if before.dpd != current.dpd {
                self.start_dpd(now, key);
                self.arm_peer(key);
            }
        }
    }

    /// Everybody is told, and nobody taken in any more. Asked again, it only says when it is done.
    fn shut_down(&mut self, now: Instant) {
        if self.stage == Stage::Finished {
            return self.out.push_back(Output::Finished);
        }
        if self.stage == Stage::ShuttingDown {
            return;
        }
        self.stage = Stage::ShuttingDown;
        self.drop_initiators();
        self.drop_responders();
        self.drop_all_kept();
        let keys: Vec<usize> = self.peers.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Some(peer) = self.peers.get_mut(key) {
                for sa in &mut peer.ike_sas {
                    sa.delete(&mut crate::env!(self, now), CloseCause::Shutdown);
                }
            }
            self.drive(now, key);
        }
        self.timers.at(now + SHUTDOWN_WAIT, TimerKey::Shutdown);
        self.shutdown_progress();
    }

    /// Finished when nothing is left to say, nor to be passed on to another shard.
    pub(crate) fn shutdown_progress(&mut self) {
        if self.ike_index.is_empty() && self.forwards.is_empty() && self.placing.is_empty() {
            self.shutdown_timeout();
        }
    }

    pub(crate) fn shutdown_timeout(&mut self) {
        if self.stage == Stage::ShuttingDown {
            self.stage = Stage::Finished;
            self.out.push_back(Output::Finished);
        }
    }

    /// Whether a filter speaks of this peer.
    pub(crate) fn is_meant(&self, filter: &PeerFilter, key: usize) -> bool {
        let Some(peer) = self.peers.get(key) else {
            return false;
        };
        match filter {
            PeerFilter::All => true,
            PeerFilter::Tenant(name) => *name == *peer.label.tenant,
            PeerFilter::Device(device) => *device == peer.device,
            PeerFilter::Name(name) => {
                // `120.208.142.17:8192` is as good as `120.208.142.17/8192`.
                let outer = name.parse::<std::net::SocketAddr>();
                let mut endpoints = peer.ike_sas.iter().map(IkeSa::path).chain([peer.path]);
                name.eq_ignore_ascii_case(&peer.label.identity)
                    || peer.label.identity.starts_with(name.as_str())
                    || endpoints.any(|p| {
                        outer == Ok(p.remote) || p.remote_label().starts_with(name.as_str())
                    })
                    || peer.selectors.iter().any(|ts| is_inside(name, ts))
            }
        }
    }
}

/// Whether an operator's inner address, subnet, or prefix of these, names a selector.
fn is_inside(name: &str, selector: &hawser_policy::TrafficSelector) -> bool {
    let by_address = name
        .parse()
        .is_ok_and(|address| selector.contains_address(address));
    let by_network = name.parse().is_ok_and(|net: ipnet::IpNet| {
        let net = hawser_policy::TrafficSelector::from_net(net.trunc());
        selector.start <= net.end && net.start <= selector.end
    });
    by_address || by_network || selector.to_string().starts_with(name)
}
