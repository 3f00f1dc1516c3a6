//! What must hold.

use crate::branch::Branch;
use crate::packet;
use crate::plan::PATIENCE;
use crate::queue::Happening;
use crate::world::World;
use hawser_shard::io::Command;
use hawser_shard::view::{PeerStatus, PeerView};
use std::collections::HashSet;
use std::time::Duration;

/// A round trip within this time proves a pair: questions come every 5 s, and answers may be slow.
const FRESH: Duration = Duration::from_secs(14);

/// What a calm has not brought about in so many looks, it never does.
const CALM_LOOKS: u8 = 3;

/// When everybody's patience is over, and whatever was replaced is gone.
const LONG_CALM: Duration = Duration::from_secs(400);

impl World {
    /// A minute after everything has healed a branch is usable; else a minute after it was heard
    /// again; and if it never was, headquarters does not take it for usable.
    pub(crate) fn judge(&mut self, at: usize) {
        let Some(branch) = &self.branches[at] else {
            return;
        };
        if !branch.is_honest() || self.now - self.ledger[at].answered < FRESH {
            return;
        }
        let (counts, alone) = (branch.counts(), branch.alone_since());
        let lost = branch.lost_one_at();
        if self.is_held_by_another(at) {
            return;
        }
        let Some(reached) = self.ledger[at].reached else {
            return self.judge_silent(at, counts);
        };
        // It may give up by itself, long after everything has healed.
        let last = reached.max(lost);
        if self.now < last + PATIENCE {
            return self.queue.push(last + PATIENCE, Happening::Judge(at));
        }
        if alone.is_some_and(|since| self.ledger[at].sent <= since) && !self.is_mapped(at) {
            return self.judge_silent(at, counts);
        }
        let ago = (self.now - last).as_secs_f64();
        self.fail(format!(
            "branch {at} is not usable {ago:.0} s after it was heard again; it has {counts:?} SAs and pairs"
        ));
    }

    /// Whether anything could reach a branch.
    fn is_mapped(&mut self, at: usize) -> bool {
        let nat = self.plan.seats[at].nat;
        nat.is_none_or(|nat| self.nats[nat].keeps(self.now, at))
    }

    /// The right status of one that is silent.
    fn judge_silent(&mut self, at: usize, counts: (usize, usize)) {
        let views = self.gateway.show(self.now);
        let up = self
            .views_of(at, &views)
            .any(|v| v.line.status == PeerStatus::Up);
        if up {
            self.fail(format!(
                "branch {at} is silent, and taken for up; it has {counts:?} SAs and pairs"
            ));
        } else {
            let now = self.now;
            self.trace
                .note(now, format_args!("branch {at} is silent, and known to be"));
        }
    }

    /// Whether somebody who came first, and lives, holds its network.
    fn is_held_by_another(&mut self, at: usize) -> bool {
        let contested = self.contested(at);
        let views = self.gateway.show(self.now);
        let identity = &self.plan.seats[at].plan.identity;
        contested
            && self
                .views_of(at, &views)
                .any(|v| *v.line.identity != **identity && has_child(v))
    }

    /// Whether another branch claims its network.
    fn contested(&self, at: usize) -> bool {
        let of = |seat: &crate::plan::Seat| (seat.plan.tenant, seat.plan.lan);
        let own = of(&self.plan.seats[at]);
        self.plan.seats.iter().filter(|s| of(s) == own).count() > 1
    }

    fn views_of<'v>(
        &self,
        at: usize,
        views: &'v [PeerView],
    ) -> impl Iterator<Item = &'v PeerView> + use<'v> {
        let plan = &self.plan.seats[at].plan;
        let tenant = format!("tenant{}", plan.tenant);
        let inside = packet::inside(plan.lan).octets();
        let net = format!("10.{}.{}.0/24", inside[1], inside[2]);
        views.iter().filter(move |v| {
            *v.line.tenant == *tenant && v.line.networks.iter().any(|n| n.starts_with(&net))
        })
    }

    /// At any time: every route is a Child SA's, and memory is bounded.
    pub(crate) fn look(&mut self) {
        let views = self.gateway.show(self.now);
        self.after_gateway();
        let children = views
            .iter()
            .flat_map(|v| &v.ike_sas)
            .flat_map(|sa| &sa.children);
        let spis: HashSet<u64> = children
            .filter_map(|c| u64::from_str_radix(&c.spi_in, 16).ok())
            .collect();
        let stray = self
            .gateway
            .routes()
            .find(|(_, owners)| owners.iter().any(|o| !spis.contains(o)))
            .map(|(route, owners)| {
                format!("{route:?} belongs to {owners:x?}, which is no Child SA")
            });
        if let Some(stray) = stray {
            self.fail(stray);
        }
        for at in 0..self.branches.len() {
            let holders: HashSet<_> = self
                .views_of(at, &views)
                .filter(|v| has_child(v))
                .map(|v| &v.line.identity)
                .collect();
            if holders.len() > 1 {
                let why = format!("the network of branch {at} is of {holders:?} at once");
                self.fail(why);
            }
        }
        let peers = self.plan.seats.len();
        let [timers, asks, devices, moving, pairs] = self.gateway.footprint();
        let bounded = timers <= 20 * peers + 200
            && asks <= 20 * peers + 200
            && devices <= 2 * peers
            && moving <= 20 * peers
            && pairs <= 40 * peers;
        if !bounded {
            self.fail(format!("memory grows: {:?}", self.gateway.footprint()));
        }
    }

    /// After a long calm: one IKE SA and one Child SA a device, one device a branch.
    pub(crate) fn calm(&mut self, looks: u8) {
        let Some(disorder) = self.disorder() else {
            return;
        };
        if looks + 1 == CALM_LOOKS {
            return self.fail(format!("after a long calm {disorder}"));
        }
        let again = self.now + Duration::from_secs(30);
        self.queue.push(again, Happening::Calm(looks + 1));
    }

    /// Whatever a scenario did with a branch: within a minute it is usable, after a long calm it still is, and both
    /// sides have one IKE SA and one pair.
    ///
    /// # Errors
    /// What of this does not hold.
    pub fn settles(&mut self, at: usize) -> Result<(), String> {
        self.answers_within(at, PATIENCE)
            .ok_or("it is not usable after a minute")?;
        self.run(LONG_CALM);
        self.answers_within(at, Duration::from_secs(3))
            .ok_or("it is not usable after a long calm")?;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if let Some(disorder) = self.disorder() {
            return Err(format!("after a long calm {disorder}"));
        }
        let counts = self.branch(at).map(Branch::counts);
        match counts {
            Some((1, 1)) => Ok(()),
            _ => Err(format!("the branch has {counts:?} SAs and pairs")),
        }
    }

    /// What is more than one where one is enough, at headquarters.
    pub fn disorder(&mut self) -> Option<String> {
        let views = self.gateway.show(self.now);
        for view in &views {
            let established = view
                .ike_sas
                .iter()
                .filter(|sa| sa.state == "established")
                .count();
            let children: usize = view.ike_sas.iter().map(|sa| sa.children.len()).sum();
            if established > 1 || children > 1 {
                let line = &view.line;
                return Some(format!(
                    "{} at {} ({:?}) has {established} established IKE SAs with {children} Child SAs",
                    line.identity, line.endpoint, line.networks
                ));
            }
        }
        for at in 0..self.branches.len() {
            let live = self.views_of(at, &views).filter(|v| !v.ike_sas.is_empty());
            let devices = live.count();
            if self.branches[at].is_some() && devices > 1 && !self.contested(at) {
                return Some(format!("branch {at} is {devices} devices"));
            }
        }
        let [_, asks, _, _, _] = self.gateway.footprint();
        (asks > 0).then(|| format!("{asks} questions are open"))
    }

    /// Headquarters ends: nothing is left.
    pub(crate) fn shut_down(&mut self) {
        self.gateway.command(self.now, &Command::Shutdown);
        self.after_gateway();
        self.run(Duration::from_secs(10));
        if self.failure.is_some() {
            return;
        }
        let routes = self.gateway.routes().count();
        let pairs = self.gateway.footprint()[4];
        if !self.gateway.is_finished() || routes > 0 || pairs > 0 {
            self.fail(format!(
                "after shutdown: finished {}, {routes} routes, {pairs} pairs",
                self.gateway.is_finished()
            ));
        }
    }
}

fn has_child(view: &PeerView) -> bool {
    view.ike_sas.iter().any(|sa| !sa.children.is_empty())
}
