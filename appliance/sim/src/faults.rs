//! Faults at work.

use crate::branch::Branch;
use crate::fault::{Fault, What};
use crate::policies::HEADQUARTERS;
use crate::queue::Happening;
use crate::world::World;
use hawser_shard::io::{Command, RekeyWhat};
use rand::{Rng, RngExt};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

impl World {
    /// Something goes wrong for a while, from now on: for scenarios.
    pub fn strike(&mut self, what: What, lasts: Duration) {
        let at = self.now - self.start;
        self.plan.faults.push(Fault { at, lasts, what });
        let fault = self.plan.faults.len() - 1;
        self.begin_fault(fault);
        self.queue.push(self.now + lasts, Happening::End(fault));
    }

    pub(crate) fn begin_fault(&mut self, at: usize) {
        let what = self.fault(at);
        self.trace.note(self.now, format_args!("begins: {what:?}"));
        self.active.push(at);
        let until = self.start + self.plan.faults[at].until();
        match what {
            What::Rebind(branch) => {
                let branch = usize::from(branch);
                if let Some(nat) = self.plan.seats[branch].nat {
                    self.nats[nat].forget(Some(branch));
                }
            }
            What::NatReboot(nat) => self.nats[nat].forget(None),
            What::Readdress(nat) => self.readdress(nat),
            What::Apply(percent) => self.apply(percent),
            What::ShortMappings(nat, lifetime) => self.nats[nat].shortened = Some(lifetime),
            What::Freeze(branch) => {
                self.with_branch(usize::from(branch), |branch, _| branch.freeze(true));
            }
            What::Crash(branch) => {
                self.with_branch(usize::from(branch), Branch::crash);
            }
            What::Stall => self.stalled_until = until,
            What::SlowWork(takes) => self.work_takes = takes,
            What::LostWork(share) => self.work_lost = share,
            What::SlowPlugins(takes) => self.plugins_take = takes,
            What::SilentPlugins => self.plugins_silent = true,
            What::SlowMail(takes) => self.mail_takes = takes,
            What::Replay(..) | What::Garbage(_) => self.attack(at),
            What::Rekey => self.rekey_all(),
            What::Loss(..)
            | What::Delay(..)
            | What::Duplicate(..)
            | What::Corrupt(..)
            | What::Partition(_)
            | What::Mute(_)
            | What::EspLost(_)
            | What::Deaf(_) => self.change_weather(),
        }
    }

    pub(crate) fn end_fault(&mut self, at: usize) {
        let what = self.fault(at);
        self.trace.note(self.now, format_args!("ends: {what:?}"));
        self.active.retain(|f| *f != at);
        match what {
            What::ShortMappings(nat, _) => self.nats[nat].shortened = None,
            What::Stall => {
                let lasted = self.plan.faults[at].lasts;
                self.drops.late(self.now - self.start, lasted);
            }
            What::Freeze(branch) => {
                self.with_branch(usize::from(branch), |branch, now| {
                    branch.freeze(false);
                    branch.timeout(now);
                });
            }
            What::Crash(branch) => self.with_branch(usize::from(branch), Branch::boot),
            What::SlowWork(_) => self.work_takes = Duration::ZERO,
            What::LostWork(_) => self.work_lost = 0.0,
            What::SlowPlugins(_) => self.plugins_take = Duration::ZERO,
            What::SilentPlugins => self.plugins_silent = false,
            What::SlowMail(_) => self.mail_takes = Duration::ZERO,
            _ => self.change_weather(),
        }
    }

    /// An attacker sends once, and will again while his fault lasts.
    pub(crate) fn attack(&mut self, at: usize) {
        if !self.active.contains(&at) {
            return;
        }
        let a_second = match self.fault(at) {
            What::Replay(branch, a_second) => {
                self.replay(usize::from(branch));
                a_second
            }
            What::Garbage(a_second) => {
                self.garbage();
                a_second
            }
            _ => return,
        };
        let wait = Duration::from_secs(1) / u32::from(a_second.max(1));
        self.queue.push(self.now + wait, Happening::Attack(at));
    }

    fn elsewhere(&mut self) -> SocketAddr {
        let ip = Ipv4Addr::new(203, 0, 113, self.rng.random_range(1..250));
        SocketAddr::new(ip.into(), self.rng.random_range(1..u16::MAX))
    }

    fn replay(&mut self, branch: usize) {
        let count = self.overheard[branch].len();
        if count == 0 {
            return;
        }
        let pick = self.rng.random_range(0..count);
        let (own, to, bytes) = self.overheard[branch][pick].clone();
        let from = if self.rng.random_bool(0.3) {
            own
        } else {
            self.elsewhere()
        };
        self.queue
            .push(self.now, Happening::AtGateway(None, from, to, bytes));
    }

    fn garbage(&mut self) {
        let len = self.rng.random_range(0..300);
        let mut bytes = vec![0; len];
        self.rng.fill_bytes(&mut bytes);
        let port = if self.rng.random_bool(0.5) { 500 } else { 4500 };
        // Half of it begins as something overheard does.
        let branch = self.rng.random_range(0..self.overheard.len());
        if self.rng.random_bool(0.5)
            && let Some((.., like)) = self.overheard[branch].back()
        {
            let keep = like.len().min(40).min(bytes.len());
            bytes[..keep].copy_from_slice(&like[..keep]);
        }
        let to = format!("{HEADQUARTERS}:{port}");
        let from = self.elsewhere();
        if let Ok(to) = to.parse() {
            self.queue
                .push(self.now, Happening::AtGateway(None, from, to, bytes));
        }
    }

    /// An operator applies another policy.
    fn apply(&mut self, percent: u8) {
        let headquarters = self.plan.headquarters.changed(percent);
        let policy = Arc::new(headquarters.policy());
        self.gateway.command(self.now, &Command::Apply(policy));
        self.after_gateway();
    }

    /// An operator rekeys every device.
    fn rekey_all(&mut self) {
        let views = self.gateway.show(self.now);
        for view in views {
            let command = Command::Rekey(view.line.device, RekeyWhat::All);
            self.gateway.command(self.now, &command);
        }
        self.after_gateway();
    }
}
