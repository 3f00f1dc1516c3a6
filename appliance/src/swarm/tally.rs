//! What the swarm counted, and how it is said.

use super::gateway::Usage;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What all branches together have seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Branches whose tunnel is up.
    pub(super) up: u32,
    /// From a branch's first packet to its first tunnel.
    pub(super) handshakes: Vec<Duration>,
    pub(super) failures: BTreeMap<&'static str, u64>,
    pub(super) downs: BTreeMap<&'static str, u64>,
    pub(super) ike_rekeys: u64,
    pub(super) child_rekeys: u64,
    pub(super) round_trips: Vec<Duration>,
    pub(super) pings_lost: u64,
}

impl Tally {
    /// Branches that have been up.
    pub(super) fn first_ups(&self) -> u32 {
        self.handshakes.len() as u32
    }
}

/// The figures of a run.
#[derive(Debug)]
pub(super) struct Report {
    /// Branches that are up at the end.
    pub(super) up: u32,
    branches: u32,
    arrival: Duration,
    hold: Duration,
    handshakes: Quantiles,
    round_trips: Quantiles,
    pings_lost: u64,
    ike_rekeys: u64,
    child_rekeys: u64,
    failures: BTreeMap<&'static str, u64>,
    downs: BTreeMap<&'static str, u64>,
    gateway: Option<Gateway>,
}

/// What the tunnels cost the responder.
#[derive(Clone, Copy, Debug)]
struct Gateway {
    cpu_per_handshake: Duration,
    memory_per_tunnel: u64,
    /// Of one core, while the tunnels were held.
    at_rest: f64,
}

/// Of measured times.
#[derive(Clone, Copy, Debug)]
struct Quantiles {
    count: usize,
    p50: Duration,
    p99: Duration,
    max: Duration,
}

impl Quantiles {
    fn of(times: &[Duration]) -> Self {
        let mut times = times.to_vec();
        times.sort_unstable();
        let at = |part: f64| {
            let index = (times.len() as f64 * part).ceil() as usize;
            times
                .get(index.saturating_sub(1))
                .copied()
                .unwrap_or_default()
        };
        Self {
            count: times.len(),
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }

    fn json(&self) -> Value {
        json!({ "count": self.count, "p50_ms": ms(self.p50), "p99_ms": ms(self.p99), "max_ms": ms(self.max) })
    }

    fn text(&self) -> String {
        let Self {
            count,
            p50,
            p99,
            max,
        } = self;
        format!(
            "{count}, p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            ms(*p50),
            ms(*p99),
            ms(*max)
        )
    }
}

impl Report {
    /// Of what was counted while `branches` arrived in `arrival` and were held for `hold`; the responder's usage before,
    /// between and after.
    pub(super) fn new(
        tally: &Tally,
        branches: u32,
        arrival: Duration,
        hold: Duration,
        usage: [Option<Usage>; 3],
    ) -> Self {
        let handshakes = tally.first_ups().max(1);
        let gateway = match usage {
            [Some(before), Some(after), Some(end)] => Some(Gateway {
                cpu_per_handshake: after.cpu.saturating_sub(before.cpu) / handshakes,
                memory_per_tunnel: after.resident.saturating_sub(before.resident)
                    / u64::from(handshakes),
                at_rest: end.cpu.saturating_sub(after.cpu).as_secs_f64()
                    / hold.as_secs_f64().max(0.001),
            }),
            _ => None,
        };
        Self {
            up: tally.up,
            branches,
            arrival,
            hold,
            handshakes: Quantiles::of(&tally.handshakes),
            round_trips: Quantiles::of(&tally.round_trips),
            pings_lost: tally.pings_lost,
            ike_rekeys: tally.ike_rekeys,
            child_rekeys: tally.child_rekeys,
            failures: tally.failures.clone(),
            downs: tally.downs.clone(),
            gateway,
        }
    }

    /// Tunnels that came up in a second.
    fn rate(&self) -> f64 {
        self.handshakes.count as f64 / self.arrival.as_secs_f64().max(0.001)
    }

    pub(super) fn json(&self) -> Value {
        let gateway = self.gateway.map(|g| {
            json!({
                "cpu_per_handshake_ms": ms(g.cpu_per_handshake),
                "memory_per_tunnel_bytes": g.memory_per_tunnel,
                "cpu_at_rest_of_a_core": g.at_rest,
            })
        });
        json!({
            "version": 1,
            "branches": self.branches,
            "up": self.up,
            "arrival_s": self.arrival.as_secs_f64(),
            "hold_s": self.hold.as_secs_f64(),
            "handshakes": self.handshakes.json(),
            "handshakes_per_second": self.rate(),
            "handshakes_failed": self.failures,
            "downs": self.downs,
            "ike_rekeys": self.ike_rekeys,
            "child_rekeys": self.child_rekeys,
            "pings": self.round_trips.json(),
            "pings_lost": self.pings_lost,
            "gateway": gateway,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut lines = vec![
            format!("{} of {} branches up", self.up, self.branches),
            format!(
                "handshakes: {}; {:.0}/s over {:.1} s",
                self.handshakes.text(),
                self.rate(),
                self.arrival.as_secs_f64()
            ),
            format!(
                "rekeys: {} of IKE SAs, {} of Child SAs in {:.0} s",
                self.ike_rekeys,
                self.child_rekeys,
                self.hold.as_secs_f64()
            ),
        ];
        if self.round_trips.count > 0 || self.pings_lost > 0 {
            lines.push(format!(
                "pings: {}; {} lost",
                self.round_trips.text(),
                self.pings_lost
            ));
        }
        let counts = |counts: &BTreeMap<&str, u64>| {
            let each: Vec<String> = counts
                .iter()
                .map(|(what, count)| format!("{count} {what}"))
                .collect();
            each.join(", ")
        };
        let failed = [
            ("handshakes failed", &self.failures),
            ("tunnels lost", &self.downs),
        ];
        let failed = failed.into_iter().filter(|(_, what)| !what.is_empty());
        lines.extend(failed.map(|(name, what)| format!("{name}: {}", counts(what))));
        lines.extend(self.gateway.map(|g| {
            format!(
                "gateway: {:.2} ms CPU a handshake, {:.1} KiB a tunnel, {:.1} % of a core at rest",
                ms(g.cpu_per_handshake),
                g.memory_per_tunnel as f64 / 1024.0,
                100.0 * g.at_rest
            )
        }));
        lines.join("\n")
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let times: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        let quantiles = Quantiles::of(&times);
        assert_eq!(quantiles.p50, Duration::from_millis(100));
        assert_eq!(quantiles.p99, Duration::from_millis(198));
        assert_eq!(quantiles.max, Duration::from_millis(200));
        assert_eq!(Quantiles::of(&[]).max, Duration::ZERO);
    }
}
