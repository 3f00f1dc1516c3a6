//! Verdicts from sequences of events.
#![allow(clippy::unwrap_used, missing_docs)]

use hawser_flight::verdict::{Confidence, Finding, NodeHealth, Situation, Verdict, judge};
use hawser_flight::{CloseCause, Entry, Event, Lineage, Role};
use std::net::SocketAddr;

const HOME: &str = "120.208.142.17:8192";
const AWAY: &str = "120.208.142.17:22016";
const HOUR: u64 = 3600;

/// What happened, in seconds.
#[derive(Default)]
struct Story {
    entries: Vec<Entry>,
    health: NodeHealth,
    together: u32,
}

impl Story {
    fn at(mut self, seconds: f64, event: Event) -> Self {
        let at_ms = (seconds * 1000.0) as u64;
        self.entries.push(Entry { at_ms, event });
        self
    }

    /// The branch's handshake.
    fn handshake(self, seconds: f64, spi: u64, from: &str) -> Self {
        self.ike(seconds, spi, Role::Responder, Lineage::Initial, from)
    }

    fn ike(self, seconds: f64, spi: u64, role: Role, lineage: Lineage, from: &str) -> Self {
        let endpoint: SocketAddr = from.parse().unwrap();
        self.at(
            seconds,
            Event::IkeSaEstablished {
                role,
                spi_i: spi,
                spi_r: spi + 1,
                suite: "aes128-sha1-modp1024".into(),
                peer_behind_nat: true,
                local_behind_nat: false,
                lineage,
                endpoint,
            },
        )
    }

    /// Probed every 5 s from `begin` on, never answered, given up 15 s later.
    fn silent(self, begin: f64, quiet: u32) -> Self {
        let retransmitted = |attempt| Event::Retransmitted {
            exchange: 37,
            message_id: 4,
            attempt,
        };
        self.at(begin, Event::ProbeSent { message_id: 4 })
            .at(begin + 5.0, retransmitted(1))
            .at(begin + 10.0, retransmitted(2))
            .down(begin + 15.0, CloseCause::DpdTimeout, quiet * 1000 + 15_000)
    }

    fn down(self, seconds: f64, cause: CloseCause, silence_ms: u32) -> Self {
        let clocks = Event::Clocks {
            ike_in_ms: Some(silence_ms + 4000),
            esp_in_ms: Some(silence_ms),
            esp_out_ms: Some(100),
            packets_in: 1000,
            packets_out: 1000,
        };
        self.at(seconds, clocks)
            .at(seconds, Event::PeerDown { cause })
    }

    fn deleted(self, seconds: f64) -> Self {
        self.at(
            seconds,
            Event::DeleteReceived {
                spi: 77,
                message_id: Some(5),
            },
        )
        .down(seconds, CloseCause::DeletedByPeer, 500)
    }

    fn verdict(&self) -> Finding {
        let situation = Situation::last_drop("test", &self.entries, u64::MAX).unwrap();
        judge(&Situation {
            health: self.health,
            together: self.together,
            ..situation
        })
    }
}

fn is(story: &Story, verdict: Verdict, confidence: Confidence) -> Finding {
    let found = story.verdict();
    assert_eq!(
        (found.verdict, found.confidence),
        (verdict, confidence),
        "{found:#?}"
    );
    assert!(!found.advice_branch.is_empty() && !found.advice_headquarters.is_empty());
    found
}

/// The case: reauthentication every day, our rekey in the same second, DELETE 120 s later.
fn collision(rekey_at: f64, deleted_after: f64) -> Story {
    let day = 24.0 * HOUR as f64;
    Story::default()
        .handshake(0.0, 10, HOME)
        .handshake(day, 20, HOME)
        .ike(
            day + rekey_at,
            30,
            Role::Initiator,
            Lineage::Rekey(21),
            HOME,
        )
        .at(
            day + rekey_at,
            Event::DeleteSent {
                spi: 21,
                message_id: Some(5),
            },
        )
        .deleted(day + rekey_at + deleted_after)
}

#[test]
fn the_case() {
    let day = 24.0 * HOUR as f64;
    let found = is(
        &collision(day, 120.0),
        Verdict::ReauthRekeyCollision,
        Confidence::High,
    );
    assert!(found.evidence[0].contains("120 s before"), "{found:#?}");
    assert!(found.advice_branch.contains("reauth_time = 0"));
    assert!(found.advice_headquarters.contains("lifetime"));
    // Called back by us: the verdict stands, and says so.
    let revived = collision(day, 120.0).ike(
        2.0 * day + 123.0,
        40,
        Role::Initiator,
        Lineage::Initial,
        HOME,
    );
    let found = is(&revived, Verdict::ReauthRekeyCollision, Confidence::High);
    assert!(found.evidence.iter().any(|e| e.contains("called it")));
}

#[test]
fn the_case_in_the_first_cycle_is_less_sure() {
    let story = Story::default()
        .handshake(0.0, 10, HOME)
        .ike(86_400.0, 30, Role::Initiator, Lineage::Rekey(11), HOME)
        .deleted(86_520.0);
    is(&story, Verdict::ReauthRekeyCollision, Confidence::Medium);
}

#[test]
fn a_delete_soon_after_any_rekey_of_ours_is_no_collision() {
    let found = is(
        &collision(40_000.0, 33.0),
        Verdict::PeerDeleted,
        Confidence::High,
    );
    assert!(
        found.against[0].contains("rekeyed 33 s before"),
        "{found:#?}"
    );
    // Nor one of the branch's own rekey.
    let story = Story::default()
        .handshake(0.0, 10, HOME)
        .ike(86_400.0, 30, Role::Responder, Lineage::Rekey(11), HOME)
        .deleted(86_520.0);
    is(&story, Verdict::PeerDeleted, Confidence::High);
}

#[test]
fn a_branch_that_reauthenticates_break_before_make_deleted() {
    let story = Story::default()
        .handshake(0.0, 10, HOME)
        .deleted(3600.0)
        .handshake(3600.4, 20, HOME);
    let found = is(&story, Verdict::PeerDeleted, Confidence::High);
    assert!(
        found
            .evidence
            .iter()
            .any(|e| e.contains("break-before-make"))
    );
}

#[test]
fn silence_while_it_was_talking_is_silence() {
    let story = Story::default().handshake(0.0, 10, HOME).silent(100.0, 20);
    let found = is(&story, Verdict::DpdSilent, Confidence::High);
    assert!(found.evidence[0].contains("2 times"), "{found:#?}");
}

#[test]
fn a_quiet_branch_behind_a_nat_lost_its_mapping_and_its_return_tells() {
    let quiet = || Story::default().handshake(0.0, 10, HOME).silent(500.0, 240);
    is(&quiet(), Verdict::NatTimeout, Confidence::Low);
    let moved = |to: &str| Event::EndpointMoved {
        from: HOME.parse().unwrap(),
        to: to.parse().unwrap(),
    };
    is(
        &quiet().at(530.0, moved(AWAY)),
        Verdict::NatTimeout,
        Confidence::High,
    );
    is(
        &quiet().handshake(530.0, 20, AWAY),
        Verdict::NatTimeout,
        Confidence::Medium,
    );
    // From the same port: the mapping was there.
    is(
        &quiet().handshake(530.0, 20, HOME),
        Verdict::DpdSilent,
        Confidence::High,
    );
}

#[test]
fn a_branch_that_goes_on_from_another_port_was_rebound() {
    let silent = || Story::default().handshake(0.0, 10, HOME).silent(100.0, 20);
    let moved = Event::EndpointMoved {
        from: HOME.parse().unwrap(),
        to: AWAY.parse().unwrap(),
    };
    is(
        &silent().at(130.0, moved),
        Verdict::NatRebind,
        Confidence::High,
    );
    let found = is(
        &silent().handshake(130.0, 20, AWAY),
        Verdict::DpdSilent,
        Confidence::Medium,
    );
    assert!(
        found.against[0].contains("120.208.142.17/22016"),
        "{found:#?}"
    );
}

#[test]
fn a_node_that_was_too_busy_blames_itself_first() {
    let mut story = Story::default().handshake(0.0, 10, HOME).silent(100.0, 20);
    story.together = 5000;
    is(&story, Verdict::MassEvent, Confidence::High);
    story.health = NodeHealth {
        loop_lag_ms: 2500,
        socket_drops: 5000,
    };
    is(&story, Verdict::LocalOverload, Confidence::High);
    // What the branch said itself is not our load.
    let mut story = Story::default().handshake(0.0, 10, HOME).deleted(100.0);
    story.health.loop_lag_ms = 2500;
    is(&story, Verdict::PeerDeleted, Confidence::High);
}

#[test]
fn two_of_one_name_are_told_from_one_that_is_replaced() {
    let conflict = |holder: &str| Event::SelectorConflict {
        prefix: "172.16.19.0/24".into(),
        holder: holder.into(),
    };
    let story = |holder| {
        Story::default()
            .handshake(0.0, 10, HOME)
            .at(90.0, conflict(holder))
            .handshake(95.0, 20, AWAY)
            .down(100.0, CloseCause::Superseded, 500)
    };
    is(&story("test"), Verdict::SharedIdentity, Confidence::High);
    is(&story("other"), Verdict::Replaced, Confidence::High);
}

#[test]
fn traffic_left_on_the_old_sa() {
    let story = Story::default()
        .handshake(0.0, 10, HOME)
        .handshake(3600.0, 20, HOME)
        .at(3650.0, Event::InvalidSpiHint { spi: 7 })
        .down(3700.0, CloseCause::DpdTimeout, 90_000)
        .at(
            3700.0,
            Event::IkeSaClosed {
                spi_i: 10,
                spi_r: 11,
                cause: CloseCause::DpdTimeout,
            },
        );
    let found = is(&story, Verdict::StaleSaAfterReauth, Confidence::High);
    assert!(found.evidence[1].contains("does not know our SPI"));
}

#[test]
fn what_we_did_ourselves() {
    let begun = || Story::default().handshake(0.0, 10, HOME);
    let reset = begun()
        .at(99.0, Event::OperatorAction { verb: "reset" })
        .down(100.0, CloseCause::Admin, 500);
    let found = is(&reset, Verdict::Admin, Confidence::High);
    assert!(found.evidence[0].contains("`reset`"));
    let by = |cause| begun().down(100.0, cause, 500);
    is(&by(CloseCause::Shutdown), Verdict::Admin, Confidence::High);
    is(
        &by(CloseCause::ConfigurationChanged),
        Verdict::AuthzRevoked,
        Confidence::High,
    );
    is(
        &by(CloseCause::Expired),
        Verdict::ExpiredNoRekey,
        Confidence::High,
    );
    is(&by(CloseCause::Internal), Verdict::Unknown, Confidence::Low);
}

#[test]
fn esp_that_never_comes() {
    let clocks = Event::Clocks {
        ike_in_ms: Some(30_000),
        esp_in_ms: None,
        esp_out_ms: Some(100),
        packets_in: 0,
        packets_out: 400,
    };
    let story = Story::default()
        .handshake(0.0, 10, HOME)
        .at(
            40.0,
            Event::ProbeAnswered {
                message_id: 0,
                rtt_us: 900,
            },
        )
        .at(60.0, Event::ProbeSent { message_id: 1 })
        .at(75.0, clocks)
        .at(
            75.0,
            Event::PeerDown {
                cause: CloseCause::DpdTimeout,
            },
        );
    is(&story, Verdict::EspOneWay, Confidence::Medium);
}

#[test]
fn an_earlier_drop_is_judged_without_what_came_later() {
    let story = Story::default()
        .handshake(0.0, 10, HOME)
        .deleted(100.0)
        .handshake(200.0, 20, HOME)
        .down(300.0, CloseCause::Admin, 500);
    let first = Situation::last_drop("test", &story.entries, 150_000).unwrap();
    assert_eq!(judge(&first).verdict, Verdict::PeerDeleted);
    assert_eq!(story.verdict().verdict, Verdict::Admin);
    assert!(Situation::last_drop("test", &story.entries, 50_000).is_none());
}
