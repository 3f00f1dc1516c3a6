//! What a DPD plugin would have been asked, read from what was recorded.

use hawser_engine::dpd_settings;
use hawser_flight::{Entry, Event, Path};
use hawser_plugin::dpd::{Evidence, Mode, Trigger};
use hawser_policy::DpdSettings;
use std::net::SocketAddr;

/// The pieces of evidence, one for each moment at which DPD had to decide, in order.
///
/// Times are milliseconds since the first entry, which is 1. When ESP went in and out is known only where a pair ended.
pub(crate) fn pieces(
    device: u64,
    identity: &str,
    settings: Option<DpdSettings>,
    entries: &[Entry],
) -> Vec<Evidence> {
    let mut device = Device {
        begin_ms: entries.first().map_or(0, |e| e.at_ms),
        probe: None,
        evidence: Evidence {
            device,
            identity: identity.to_owned(),
            endpoint: String::new(),
            trigger: Trigger::Timer,
            now_ms: 1,
            established_ms: 1,
            ike_in_ms: None,
            esp_in_ms: None,
            esp_out_ms: None,
            transmissions: 0,
            transmitted_ms: None,
            rtt_us: None,
            behind_nat: false,
            moves: 0,
            probes: 0,
            losses: 0,
            ike_sas: 0,
            child_sas: 0,
            template_settings: dpd_settings(settings),
            memo: Vec::new(),
        },
        asked: Vec::new(),
    };
    entries.iter().for_each(|entry| device.happens(entry));
    device.asked
}

/// The device as it stood.
struct Device {
    begin_ms: u64,
    /// Message ID of the probe that is under way.
    probe: Option<u32>,
    evidence: Evidence,
    asked: Vec<Evidence>,
}

impl Device {
    fn happens(&mut self, entry: &Entry) {
        let now = entry.at_ms.saturating_sub(self.begin_ms) + 1;
        self.evidence.now_ms = now;
        match &entry.event {
            Event::IkeSaEstablished {
                peer_behind_nat,
                endpoint,
                ..
            } => self.established(now, *peer_behind_nat, *endpoint),
            Event::IkeSaClosed { .. } => {
                self.evidence.ike_sas = self.evidence.ike_sas.saturating_sub(1);
            }
            Event::ChildSaInstalled { .. } => self.evidence.child_sas += 1,
            Event::ChildSaRemoved { .. } => {
                self.evidence.child_sas = self.evidence.child_sas.saturating_sub(1);
            }
            Event::EndpointMoved { to, .. } => {
                self.evidence.endpoint = label(*to);
                self.evidence.moves += 1;
                self.ask(Trigger::Moved);
            }
            Event::ProbeSent { message_id } => self.probed(now, *message_id),
            Event::Retransmitted { message_id, .. } if self.probe == Some(*message_id) => {
                self.ask(Trigger::Unanswered);
                self.evidence.transmissions = self.evidence.transmissions.saturating_add(1);
                self.evidence.transmitted_ms = Some(now);
            }
            Event::ProbeAnswered { rtt_us, .. } => {
                self.evidence.rtt_us = Some(*rtt_us);
                self.evidence.ike_in_ms = Some(now);
                self.over();
                self.ask(Trigger::Answered);
            }
            Event::ProbeFailed { .. } => {
                self.ask(Trigger::Unanswered);
                self.evidence.losses += 1;
                self.over();
            }
            Event::Clocks {
                ike_in_ms,
                esp_in_ms,
                esp_out_ms,
                ..
            } => {
                let at = |ago: &Option<u32>| ago.map(|ago| now.saturating_sub(ago.into()).max(1));
                self.evidence.ike_in_ms = at(ike_in_ms).or(self.evidence.ike_in_ms);
                self.evidence.esp_in_ms = at(esp_in_ms).or(self.evidence.esp_in_ms);
                self.evidence.esp_out_ms = at(esp_out_ms).or(self.evidence.esp_out_ms);
            }
            _ => {}
        }
    }

    fn established(&mut self, now: u64, behind_nat: bool, endpoint: SocketAddr) {
        if self.evidence.ike_sas == 0 {
            self.evidence.established_ms = now;
        }
        self.evidence.ike_sas += 1;
        self.evidence.behind_nat = behind_nat;
        self.evidence.endpoint = label(endpoint);
        self.evidence.ike_in_ms = Some(now);
        self.ask(Trigger::Established);
    }

    fn probed(&mut self, now: u64, message_id: u32) {
        self.ask(match self.evidence.template_settings.mode {
            Mode::OnDemand => Trigger::BeforeSend,
            Mode::Periodic | Mode::Off => Trigger::Timer,
        });
        self.probe = Some(message_id);
        self.evidence.probes += 1;
        self.evidence.transmissions = 1;
        self.evidence.transmitted_ms = Some(now);
    }

    fn over(&mut self) {
        self.probe = None;
        self.evidence.transmissions = 0;
        self.evidence.transmitted_ms = None;
    }

    fn ask(&mut self, trigger: Trigger) {
        self.evidence.trigger = trigger;
        self.asked.push(self.evidence.clone());
    }
}

fn label(remote: SocketAddr) -> String {
    let path = Path {
        local: remote,
        remote,
        encapsulated: true,
    };
    path.remote_label()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hawser_flight::{Lineage, Role};
    use hawser_policy::DpdMode;
    use std::time::Duration;

    #[test]
    fn a_probe_that_is_never_answered_is_asked_about_at_every_step() {
        let endpoint = "192.0.2.7:4500".parse().unwrap();
        let established = Event::IkeSaEstablished {
            role: Role::Responder,
            spi_i: 1,
            spi_r: 2,
            suite: String::new(),
            peer_behind_nat: true,
            local_behind_nat: false,
            lineage: Lineage::Initial,
            endpoint,
        };
        let again = |attempt| Event::Retransmitted {
            exchange: 37,
            message_id: 4,
            attempt,
        };
        let story = [
            (1_000_000, established),
            (1_030_000, Event::ProbeSent { message_id: 4 }),
            (1_035_000, again(1)),
            (1_040_000, again(2)),
            (1_045_000, Event::ProbeFailed { message_id: 4 }),
        ];
        let entries = story.map(|(at_ms, event)| Entry { at_ms, event });
        let settings = DpdSettings {
            mode: DpdMode::OnDemand,
            interval: Duration::from_secs(20),
            retry: Duration::from_secs(5),
            retries: 2,
        };
        let pieces = pieces(7, "test", Some(settings), &entries);
        let told: Vec<_> = pieces
            .iter()
            .map(|p| (p.now_ms, p.trigger, p.transmissions))
            .collect();
        assert_eq!(
            told,
            [
                (1, Trigger::Established, 0),
                (30_001, Trigger::BeforeSend, 0),
                (35_001, Trigger::Unanswered, 1),
                (40_001, Trigger::Unanswered, 2),
                (45_001, Trigger::Unanswered, 3),
            ]
        );
        assert_eq!(pieces[4].endpoint, "192.0.2.7/4500");
        assert_eq!(pieces[4].template_settings.interval_ms, 20_000);
    }
}
