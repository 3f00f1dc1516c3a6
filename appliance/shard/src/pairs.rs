//! Pairs of Child SAs: in the SAD, in the SPD, as routes and as claims.

use crate::Shard;
use crate::io::{Message, Output, RouteChange, ShardId};
use crate::one_way::Unanswered;
use crate::timers::TimerKey;
use hawser_crypto::{EspOpener, EspSealer};
use hawser_esp::mtu::Encapsulation;
use hawser_esp::{InboundSa, OutboundSa, ReplayWindow};
use hawser_flight::{CloseCause, Event, Lineage, Path, Role};
use hawser_ike::io::ChildInstall;
use hawser_ike::select::EspSuite;
use hawser_policy::{Esn, TenantId, TrafficSelector};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// MTU of the outer path: Ethernet's. Path MTU discovery outside is not used: outer packets are
/// sent without DF, and what fits 1500 octets is not fragmented on the way in practice.
const PATH_MTU: usize = 1500;

/// How long a device that reauthenticates has to install its new pair before we send on it
/// unconfirmed; until then the old one carries what goes to it.
const REAUTHENTICATION_WAIT: Duration = Duration::from_secs(1);

/// Where a pair is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PairLife {
    InUse,
    /// It has ended, and only takes what was under way.
    Lingers,
    /// Kept with its IKE SA, which was given up; whether it was sent on.
    Parked {
        active: bool,
    },
    /// Kept with its IKE SA, which was deleted: what opens under it proves that the peer lives.
    Buried,
}

/// A pair of Child SAs. Its inbound half is in the SAD, under `spi_in`.
pub(crate) struct Pair {
    pub(crate) peer: usize,
    pub(crate) tenant: TenantId,
    /// Local SPI of its IKE SA.
    pub(crate) ike_spi: u64,
    pub(crate) path: Path,
    pub(crate) spi_in: u32,
    pub(crate) outbound: OutboundSa,
    pub(crate) suite: EspSuite,
    pub(crate) local: Vec<TrafficSelector>,
    pub(crate) remote: Vec<TrafficSelector>,
    /// We send on it.
    pub(crate) active: bool,
    /// We answered for it, and send on it when the peer has shown that it has it.
    pub(crate) unconfirmed: bool,
    /// Inbound SPI of the pair of an earlier IKE SA that it takes over from, which stays sent on
    /// behind it until it ends.
    pub(crate) reauthenticated: Option<u32>,
    pub(crate) life: PairLife,
    /// Index of its template in that of its IKE SA.
    pub(crate) child: usize,
    /// Inbound SPI of the pair that it replaces.
    pub(crate) predecessor: Option<u32>,
    /// Largest inner packet.
    pub(crate) mtu: u16,
    /// Bytes in either direction after which it is rekeyed, and after which it ends.
    pub(crate) soft_bytes: u64,
    pub(crate) hard_bytes: u64,
    pub(crate) rekeying: bool,
    /// What was sent on it since anything came.
    pub(crate) unanswered: Unanswered,
}

impl Pair {
    /// Unique over all shards: the SPI's bucket is one shard's.
    pub(crate) fn owner(&self) -> u64 {
        u64::from(self.spi_in)
    }
}

pub(crate) fn largest_inner(path: &Path, suite: &EspSuite) -> u16 {
    let around = Encapsulation {
        outer_v6: path.remote.is_ipv6(),
        udp: path.encapsulated,
        encr: suite.encr,
        integ: suite.integ,
    };
    u16::try_from(around.max_inner(PATH_MTU)).unwrap_or(u16::MAX)
}

/// How ESP of an IKE SA travels: native only if nobody is behind a NAT (RFC 3948 2.1).
pub(crate) fn esp_path(path: Path, nat: hawser_ike::nat::NatState) -> Path {
    if nat.any() {
        return path;
    }
    let mut native = Path {
        encapsulated: false,
        ..path
    };
    native.local.set_port(0);
    native.remote.set_port(0);
    native
}

impl Shard {
    pub(crate) fn install_pair(
        &mut self,
        now: Instant,
        key: usize,
        ike_spi: u64,
        install: ChildInstall,
    ) {
        let of = self.peers.get(key);
        let of = of.and_then(|peer| Some((peer.device, peer.find_ike_sa(ike_spi)?.path())));
        if let Some((device, path)) = of {
            self.tell_child_keys(device, path, &install);
        }
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let Some(sa) = peer.find_ike_sa(ike_spi) else {
            return;
        };
        let Some(settings) = sa.template().children.get(install.child) else {
            return tracing::error!(child = install.child, "a Child SA of no template");
        };
        let suite = install.suite;
        let opener = EspOpener::new(suite.encr, suite.integ, &install.encr_in, &install.integ_in);
        let sealer = EspSealer::new(
            suite.encr,
            suite.integ,
            &install.encr_out,
            &install.integ_out,
        );
        let (Ok(opener), Ok(sealer)) = (opener, sealer) else {
            tracing::error!(suite = %suite, "key lengths do not fit the suite");
            return;
        };
        let esn = if suite.esn { Esn::Yes } else { Esn::No };
        let window = ReplayWindow::new(settings.replay_window);
        let (local, remote) = (install.local, install.remote);
        let inbound = InboundSa::new(install.spi_in, opener, esn, window, &local, &remote);
        let path = esp_path(sa.path(), sa.nat());
        let bytes = settings.lifetimes.bytes.unwrap_or(u64::MAX);
        let reauthenticated = match (install.lineage, sa.role()) {
            (Lineage::Initial, Role::Responder) => self.replaced(key, &path, &local, &remote),
            _ => None,
        };
        let predecessor = match install.lineage {
            Lineage::Rekey(spi) => u32::try_from(spi).ok(),
            Lineage::Initial => None,
        };
        let outbound = install.outbound && reauthenticated.is_none();
        let pair = Pair {
            peer: key,
            tenant: peer.tenant,
            ike_spi,
            path,
            spi_in: install.spi_in,
            outbound: OutboundSa::new(install.spi_out, sealer, esn, 1),
            suite,
            local,
            remote,
            active: false,
            unconfirmed: !outbound,
            reauthenticated,
            life: PairLife::InUse,
            child: install.child,
            predecessor,
            mtu: largest_inner(&path, &suite).min(self.policy.tenant(peer.tenant).mtu),
            soft_bytes: bytes / 10 * 9,
            hard_bytes: bytes,
            rekeying: false,
            unanswered: Unanswered::default(),
        };
        let event = Event::ChildSaInstalled {
            spi_in: install.spi_in,
            spi_out: install.spi_out,
            suite: suite.to_string(),
            local: join(&pair.local),
            remote: join(&pair.remote),
            lineage: install.lineage,
        };
        let label = Arc::clone(&peer.label);
        self.event(Some(label), event);
        self.add_pair(now, key, pair, inbound, outbound);
    }

    fn add_pair(
        &mut self,
        now: Instant,
        key: usize,
        pair: Pair,
        inbound: InboundSa,
        outbound: bool,
    ) {
        let spi_in = pair.spi_in;
        if pair.reauthenticated.is_some() {
            self.timers
                .at(now + REAUTHENTICATION_WAIT, TimerKey::Confirm(spi_in));
        } else if pair.predecessor.is_some() {
            self.counters.child_rekeys += 1;
        }
        if pair.suite.is_weak() {
            self.counters.weak_suites += 1;
        }
        // Where nothing sends that it is to replace, there is nothing to wait for.
        let alone = !self.is_served(key, pair.predecessor.or(pair.reauthenticated));
        let at = self.pairs.insert(pair);
        self.route(at, true);
        self.sad.insert(inbound, at);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.pairs.push(at);
        }
        self.claim(now, key);
        if outbound || alone {
            self.activate_pair(key, spi_in);
        }
        self.peer_up(now, key);
    }

    /// The pair that a reauthenticating device leaves behind: the same selectors, the same
    /// endpoint, and we send on it.
    fn replaced(
        &self,
        key: usize,
        path: &Path,
        local: &[TrafficSelector],
        remote: &[TrafficSelector],
    ) -> Option<u32> {
        let pairs = &self.peers.get(key)?.pairs;
        let mut pairs = pairs.iter().filter_map(|p| self.pairs.get(*p));
        let same =
            |p: &&Pair| p.active && p.path == *path && p.local == local && p.remote == remote;
        pairs.find(same).map(|p| p.spi_in)
    }

    /// A device that reauthenticated has had time to install its new pair.
    pub(crate) fn confirm_timeout(&mut self, spi_in: u32) {
        let at = self.sad.get(spi_in).map(|entry| entry.owner);
        let pair = at.and_then(|at| self.pairs.get(at));
        let waiting =
            pair.filter(|p| p.reauthenticated.is_some() && !p.active && p.life == PairLife::InUse);
        if let Some(key) = waiting.map(|p| p.peer) {
            self.activate_pair(key, spi_in);
        }
    }

    /// Whether a pair, or one that replaced it, is sent on.
    fn is_served(&self, key: usize, spi_in: Option<u32>) -> bool {
        let pairs = self.peers.get(key).map_or(&[][..], |peer| &peer.pairs);
        let mut pairs = pairs.iter().filter_map(|p| self.pairs.get(*p));
        pairs.any(|p| p.active && (Some(p.spi_in) == spi_in || p.predecessor == spi_in))
    }

    /// The device's pair with this inbound SPI, if it has not ended.
    fn pair_of(&self, key: usize, spi_in: u32) -> Option<usize> {
        let at = self.sad.get(spi_in)?.owner;
        self.peers.get(key)?.pairs.contains(&at).then_some(at)
    }

    /// Routes of a pair's networks, and word to the other shards.
    pub(crate) fn route(&mut self, at: usize, install: bool) {
        let Some(pair) = self.pairs.get(at) else {
            return;
        };
        let (tenant, owner) = (pair.tenant, pair.owner());
        let mut nets: Vec<_> = pair
            .remote
            .iter()
            .flat_map(TrafficSelector::to_nets)
            .collect();
        nets.sort_unstable();
        nets.dedup();
        for net in nets {
            let change = RouteChange {
                tenant,
                net,
                owner,
                install,
            };
            self.out.push_back(Output::Route(change));
        }
        for shard in (0..self.shards).map(ShardId).filter(|s| *s != self.id) {
            let message = if install {
                Message::SelectorsAdded {
                    shard: self.id,
                    tenant,
                    owner,
                    local: pair.local.clone(),
                    remote: pair.remote.clone(),
                }
            } else {
                Message::SelectorsRemoved {
                    shard: self.id,
                    tenant,
                    owner,
                }
            };
            self.out.push_back(Output::Send(shard, message));
        }
    }

    /// From now on packets from the inside take this pair; its predecessor sends no more.
    pub(crate) fn activate_pair(&mut self, key: usize, spi_in: u32) {
        let Some(at) = self.pair_of(key, spi_in) else {
            return;
        };
        let Some(pair) = self.pairs.get_mut(at).filter(|p| !p.active) else {
            return;
        };
        (pair.active, pair.unconfirmed) = (true, false);
        let (predecessor, tenant) = (pair.predecessor, pair.tenant);
        let (local, remote) = (pair.local.clone(), pair.remote.clone());
        if let Some(tables) = self.spds.get_mut(usize::from(tenant.0)) {
            tables.insert_own(at, &local, &remote);
        }
        if let Some(old) = predecessor.and_then(|spi| self.pair_of(key, spi)) {
            self.deactivate_pair(old);
        }
    }

    pub(crate) fn deactivate_pair(&mut self, at: usize) {
        let Some(pair) = self.pairs.get_mut(at) else {
            return;
        };
        pair.active = false;
        if let Some(tables) = self.spds.get_mut(usize::from(pair.tenant.0)) {
            tables.remove_own(at);
        }
    }

    /// Outbound ends at once, inbound after `linger`.
    pub(crate) fn remove_pair(
        &mut self,
        now: Instant,
        spi_in: u32,
        cause: CloseCause,
        linger: Duration,
    ) {
        let Some(at) = self.sad.get(spi_in).map(|entry| entry.owner) else {
            return;
        };
        let Some(pair) = self.pairs.get(at) else {
            return;
        };
        let (key, spi_out, ike_spi) = (pair.peer, pair.outbound.spi(), pair.ike_spi);
        let ending = self.is_ending(key, ike_spi);
        let Some(pair) = self.pairs.get_mut(at) else {
            return;
        };
        match std::mem::replace(&mut pair.life, PairLife::Lingers) {
            PairLife::InUse => {}
            // It has ended already, and now what was under way need not be waited for.
            PairLife::Lingers if linger.is_zero() => return self.linger_over(spi_in),
            PairLife::Buried if linger.is_zero() && !ending => {
                return self.exhume(key, at);
            }
            ended => {
                pair.life = ended;
                return;
            }
        }
        let clocks = self.clocks(key, spi_in);
        self.remember_clock(key, spi_in);
        let buried = ending || cause == CloseCause::Expired && self.is_struggling(key, ike_spi);
        let missed = match ending {
            true => Vec::new(),
            false => self.missed(key, at, cause),
        };
        self.miss_pair(now, key, cause);
        self.activate_successor(key, spi_in);
        self.deactivate_pair(at);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.pairs.retain(|p| *p != at);
            let label = Arc::clone(&peer.label);
            let event = Event::ChildSaRemoved {
                spi_in,
                spi_out,
                cause,
            };
            self.event(Some(label), event);
        }
        self.route(at, false);
        self.claim(now, key);
        if buried {
            self.bury_pair(key, at);
        } else if linger.is_zero() {
            self.linger_over(spi_in);
        } else {
            self.timers.at(now + linger, TimerKey::Linger(spi_in));
        }
        if self.peers.get(key).is_some_and(|p| p.pairs.is_empty()) {
            self.record_clocks(key, clocks);
            self.peer_down(now, key, cause);
            self.lost_last_pair(now, key, missed);
            self.has_left(now, key);
        }
    }

    /// A pair that we asked for has ended without a successor: another is asked for in a while.
    pub(crate) fn miss_pair(&mut self, now: Instant, key: usize, cause: CloseCause) {
        let replaced = matches!(cause, CloseCause::Rekeyed | CloseCause::RekeyCollision);
        let Some(peer) = self.peers.get(key).filter(|_| !replaced) else {
            return;
        };
        let template = Arc::clone(&peer.template);
        self.initiate_again(now, &template);
    }

    /// A pair never ends while its successor only receives.
    fn activate_successor(&mut self, key: usize, spi_in: u32) {
        let Some(peer) = self.peers.get(key) else {
            return;
        };
        let pairs = || peer.pairs.iter().filter_map(|p| self.pairs.get(*p));
        let replaced = |spi| pairs().any(|p| p.predecessor == Some(spi) && p.active);
        let after = |p: &Pair| p.predecessor.or(p.reauthenticated);
        let waits = |p: &&Pair| after(p) == Some(spi_in) && !p.active && !replaced(p.spi_in);
        if let Some(successor) = pairs().find(waits).map(|p| p.spi_in) {
            self.activate_pair(key, successor);
        }
    }

    /// Nothing more is taken under this SPI.
    pub(crate) fn linger_over(&mut self, spi_in: u32) {
        let Some(at) = self.sad.get(spi_in).map(|entry| entry.owner) else {
            return;
        };
        // The SPI may be another pair's by now.
        let lingers = |p: &Pair| p.life == PairLife::Lingers;
        if self.pairs.get(at).is_none_or(lingers) {
            self.sad.remove(spi_in);
            self.pairs.try_remove(at);
        }
    }
}

fn join(selectors: &[TrafficSelector]) -> String {
    selectors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}
