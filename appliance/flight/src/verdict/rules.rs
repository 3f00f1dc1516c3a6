//! The table of rules. The order is meaning: the first that fits decides.

use super::situation::{Return, Situation};
use super::{Advice, Confidence, Ground, Verdict};
use crate::cause::CloseCause;
use crate::event::{Event, Lineage, Role};
use std::net::IpAddr;

/// One rule.
pub(super) struct Rule {
    pub(super) verdict: Verdict,
    /// What it finds, or nothing.
    pub(super) test: fn(&Situation<'_>) -> Option<Ground>,
    pub(super) advice: Advice,
}

/// A shard's loop that waited longer was too slow for what came: DPD's retries are 2 s at least.
const LAG_MS: u32 = 2000;
/// Packets that the node lost around a drop and that explain it.
const LOST: u64 = 100;
/// Devices that have to drop at once; the engine counts only those beyond chance.
const MASS: u32 = 10;
/// NATs keep a UDP mapping for at least so long (RFC 4787 asks for 2 minutes, many give 30 s).
const MAPPING_MS: u64 = 30_000;
/// How long a reauthenticating branch takes to come back at most.
const BREAK_MS: u64 = 3000;

pub(super) static RULES: &[Rule] = &[
    Rule {
        verdict: Verdict::LocalOverload,
        test: local_overload,
        advice: Advice {
            branch: "Nothing: it did what it should.",
            headquarters: "Give this node more cores or fewer branches, and look at \
                           hawser_shard_loop_lag_seconds and hawser_esp_drops_total.",
        },
    },
    Rule {
        verdict: Verdict::MassEvent,
        test: mass_event,
        advice: Advice {
            branch: "Nothing at a single branch: look for what they share (carrier, NAT, power).",
            headquarters: "Look at the uplink, its firewall and routing at that time; \
                           `hawser drops --by peer` lists who dropped.",
        },
    },
    Rule {
        verdict: Verdict::StaleSaAfterReauth,
        test: stale_sa,
        advice: Advice {
            branch: "strongSwan: set `charon.make_before_break = yes`, so that the new SA stands \
                     before the old one goes.",
            headquarters: "Hawser: `uniqueness = \"device\"`; Comware: `sa duration` in the ikev2 \
                           profile shorter, so that what is left behind ends soon.",
        },
    },
    Rule {
        verdict: Verdict::ReauthRekeyCollision,
        test: reauth_rekey_collision,
        advice: Advice {
            branch: "strongSwan: set `reauth_time = 0` (ipsec.conf: `reauth = no`) and let \
                     `rekey_time` renew the keys; with `close_action = start` it comes back by itself.",
            headquarters: "Make the IKE SA's lifetime longer than the branch's reauth_time, by more \
                           than its over_time: Hawser `ike_lifetime`, Comware `sa duration` in the ikev2 \
                           profile; and leave `revive` on.",
        },
    },
    Rule {
        verdict: Verdict::SharedIdentity,
        test: shared_identity,
        advice: Advice {
            branch: "strongSwan: give each branch its own `local.id` (ipsec.conf: `leftid`); \
                     Comware: `identity local`.",
            headquarters: "Hawser: `uniqueness = \"device\"` keeps both until then; Comware: one \
                           `match remote identity` and keychain peer a branch.",
        },
    },
    Rule {
        verdict: Verdict::PeerDeleted,
        test: peer_deleted,
        advice: Advice {
            branch: "strongSwan: `close_action = start` brings a tunnel back that was not meant to \
                     end; its log says at this time who ended it.",
            headquarters: "Nothing, if the branch was meant to go; else leave `revive` on, so that \
                           Hawser calls it back.",
        },
    },
    Rule {
        verdict: Verdict::Replaced,
        test: replaced,
        advice: Advice {
            branch: "strongSwan: one connection for this peer, begun in one way (`start`, or `trap`, \
                     in all of `start_action`, `dpd_action` and `close_action`), so that it does not \
                     begin several SAs; and a network that no other branch has.",
            headquarters: "Hawser: `uniqueness = \"device\"`, which asks the old SA before it goes.",
        },
    },
    Rule {
        verdict: Verdict::AuthzRevoked,
        test: authz_revoked,
        advice: Advice {
            branch: "Nothing, until headquarters allows it again.",
            headquarters: "Check the template or authorization plugin that refused it: \
                           `hawser config diff` and `hawser plugin list`.",
        },
    },
    Rule {
        verdict: Verdict::Admin,
        test: admin,
        advice: Advice {
            branch: "Nothing.",
            headquarters: "Nothing: somebody here wanted it; the timeline says which command.",
        },
    },
    Rule {
        verdict: Verdict::ExpiredNoRekey,
        test: expired,
        advice: Advice {
            branch: "strongSwan: make `rekey_time` shorter than headquarters' lifetime, and neither \
                     0 nor (ipsec.conf) `rekey = no`.",
            headquarters: "Hawser: `ike_lifetime`, and `lifetime` of the Child SA, longer than the \
                           branch's rekey_time; Comware: `sa duration` in the ikev2 profile, and `sa \
                           duration time-based` in the IPsec policy.",
        },
    },
    Rule {
        verdict: Verdict::NatRebind,
        test: nat_rebind,
        advice: Advice {
            branch: "On its router, give the tunnel a fixed mapping and one uplink. What it sends \
                     shows the new port: strongSwan `dpd_delay = 20s`, Comware `dpd interval 20 \
                     periodic`.",
            headquarters: "Nothing: Hawser follows the new port with the first authentic packet; \
                           Comware does not, and ends the tunnel soon with `dpd interval 20 periodic`.",
        },
    },
    Rule {
        verdict: Verdict::NatTimeout,
        test: nat_timeout,
        advice: Advice {
            branch: "strongSwan: `charon.keep_alive = 20s`; Comware: `ikev2 nat-keepalive 20`; the \
                     interval must be shorter than the NAT's UDP timeout.",
            headquarters: "Let DPD be periodic with an interval below 30 s: Hawser `mode = \
                           \"periodic\"`, Comware `dpd interval 20 periodic`.",
        },
    },
    Rule {
        verdict: Verdict::EspOneWay,
        test: esp_one_way,
        advice: Advice {
            branch: "Let its firewall and NAT pass ESP (UDP 4500, or IP protocol 50), and check its \
                     routes and policy for headquarters' networks.",
            headquarters: "Check that UDP 4500 and IP protocol 50 reach this node, and that the \
                           selectors are the ones the branch means.",
        },
    },
    Rule {
        verdict: Verdict::DpdSilent,
        test: dpd_silent,
        advice: Advice {
            branch: "Look whether it has power and an uplink; strongSwan: `start_action = start`, and \
                     `dpd_delay = 30s` with `dpd_action = start`, bring it back without anybody.",
            headquarters: "Nothing, unless others drop at the same time; DPD is set by `[templates.dpd]`, \
                           Comware `dpd interval`.",
        },
    },
    UNKNOWN,
];

pub(super) const UNKNOWN: Rule = Rule {
    verdict: Verdict::Unknown,
    test: |situation| Some(unknown(situation)),
    advice: Advice {
        branch: "Keep its log of this time.",
        headquarters: "`hawser bugreport PEER` collects what is known.",
    },
};

fn found(confidence: Confidence, evidence: impl Into<String>) -> Ground {
    Ground {
        confidence: Some(confidence),
        evidence: vec![evidence.into()],
        against: Vec::new(),
    }
}

impl Ground {
    fn also(mut self, evidence: Option<String>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    fn but(mut self, against: Option<String>) -> Self {
        self.against.extend(against);
        self
    }
}

/// The device was given up because it did not answer.
fn is_silent(s: &Situation<'_>) -> bool {
    matches!(
        s.cause(),
        Some(CloseCause::DpdTimeout | CloseCause::RetransmitTimeout)
    )
}

fn local_overload(s: &Situation<'_>) -> Option<Ground> {
    let health = s.health;
    let (slow, lossy) = (health.loop_lag_ms >= LAG_MS, health.socket_drops >= LOST);
    if !is_silent(s) || !(slow || lossy) {
        return None;
    }
    let confidence = match slow && lossy || health.loop_lag_ms >= 2 * LAG_MS {
        true => Confidence::High,
        false => Confidence::Medium,
    };
    let lag = format!(
        "a shard's loop was {} late",
        seconds(health.loop_lag_ms.into())
    );
    let lost = format!(
        "this node dropped {} packets of its own",
        health.socket_drops
    );
    Some(match (slow, lossy) {
        (true, true) => found(confidence, lag).also(Some(lost)),
        (true, false) => found(confidence, lag),
        _ => found(confidence, lost),
    })
}

fn mass_event(s: &Situation<'_>) -> Option<Ground> {
    let many = s.together >= MASS;
    many.then(|| {
        let evidence = format!("{} devices dropped at the same time", s.together);
        found(Confidence::High, evidence).also(s.cause().map(|c| format!("this one by {c}")))
    })
}

/// A newer handshake stood when the SA went that carried the traffic.
fn stale_sa(s: &Situation<'_>) -> Option<Ground> {
    let newest = s.established().next()?;
    let spis = |e: &Event| match e {
        Event::IkeSaClosed { spi_i, spi_r, .. } => Some((*spi_i, *spi_r)),
        _ => None,
    };
    // Closed with the drop, or right behind it: its Child SAs go first.
    let near = s.after().iter().take_while(|e| e.at_ms <= s.at_ms() + 50);
    let closed: Vec<_> = near
        .chain(s.lately(50))
        .filter_map(|e| spis(&e.event))
        .collect();
    let older = s.established().skip(1).find(|e| closed.contains(&e.spis()));
    let (older, hints) = (older?, hints(s, newest.at_ms));
    let newest_stands = !closed.contains(&newest.spis());
    let reauthenticated = newest.lineage == Lineage::Initial && newest.role == Role::Responder;
    if !reauthenticated || !newest_stands || older.at_ms == newest.at_ms {
        return None;
    }
    let evidence = format!(
        "it authenticated anew {} before, and what carried its traffic was the SA of before",
        seconds(s.ago(newest.at_ms))
    );
    Some(found(Confidence::High, evidence).also(hints))
}

fn hints(s: &Situation<'_>, since_ms: u64) -> Option<String> {
    let is_hint =
        |e: &&crate::Entry| e.at_ms >= since_ms && matches!(e.event, Event::InvalidSpiHint { .. });
    let count = s.before().iter().filter(is_hint).count();
    (count > 0).then(|| format!("it said {count} times that it does not know our SPI"))
}

/// The case: we rekey the IKE SA in the second in which the branch's reauthentication is due. It
/// inherits its deadline, cannot reauthenticate an SA that is being replaced, and deletes the new
/// one when the deadline is over (strongSwan: reauth_time plus over_time).
fn reauth_rekey_collision(s: &Situation<'_>) -> Option<Ground> {
    let newest = s.established().next()?;
    let came_back = s
        .returned()
        .filter(|r| r.by_itself && r.after_ms <= BREAK_MS);
    if s.cause() != Some(CloseCause::DeletedByPeer)
        || newest.lineage == Lineage::Initial
        || newest.role != Role::Initiator
        || came_back.is_some()
    {
        return None;
    }
    let age = s.ago(newest.at_ms);
    let root = s.root_ms(&newest);
    let reauth = root.map(|root| newest.at_ms - root);
    let cycle = s.cycle_ms(newest.at_ms);
    let at_cycle = |(due, cycle): (u64, u64)| due.abs_diff(cycle) <= (cycle / 50).max(5000);
    let due = reauth.zip(cycle).is_some_and(at_cycle);
    // strongSwan's over_time: 120 s of margin in the case, a tenth of the time otherwise.
    let tenth = reauth.is_some_and(|r| age.abs_diff(r / 10) <= (r / 50).max(1500));
    let overdue = age.abs_diff(120_000) <= 15_000 || tenth && age >= 2000;
    let confidence = match (due, overdue) {
        (true, true) => Confidence::High,
        (true, false) | (false, true) => Confidence::Medium,
        (false, false) => return None,
    };
    let rekeyed = format!(
        "we rekeyed the IKE SA {} before the branch deleted the new one",
        seconds(age)
    );
    let cycle = cycle.filter(|_| due);
    let told = cycle.map(|c| {
        format!(
            "the rekey fell on its reauthentication, every {}",
            seconds(c)
        )
    });
    let late = overdue.then(|| "that is how long strongSwan waits beyond a missed one".to_owned());
    let revived = s.returned().filter(|r| !r.by_itself).map(|r| {
        format!(
            "it did not come back by itself: we called it {} later",
            seconds(r.after_ms)
        )
    });
    Some(
        found(confidence, rekeyed)
            .also(told)
            .also(late)
            .also(revived),
    )
}

fn shared_identity(s: &Situation<'_>) -> Option<Ground> {
    let conflict = s.lately(120_000).find_map(|e| match &e.event {
        Event::SelectorConflict { prefix, holder } if holder == s.identity => {
            Some((e.at_ms, prefix))
        }
        _ => None,
    });
    if let Some((at_ms, prefix)) = conflict {
        let evidence = format!(
            "another device called {} claimed {prefix} {} before",
            s.identity,
            seconds(s.ago(at_ms))
        );
        return Some(found(Confidence::High, evidence));
    }
    if !matches!(s.cause(), None | Some(CloseCause::Superseded)) {
        return None;
    }
    let back = turns(s);
    (back >= 2).then(|| {
        let evidence = format!("two addresses took turns {back} times within half an hour");
        found(Confidence::Medium, evidence)
    })
}

/// How often an address came again after another one, by moves or by handshakes of its own.
fn turns(s: &Situation<'_>) -> usize {
    let mut seen: Vec<IpAddr> = Vec::new();
    let mut back = 0;
    let recent: Vec<_> = s.lately(1_800_000).collect();
    for entry in recent.iter().rev() {
        let address = match &entry.event {
            Event::EndpointMoved { to, .. } => to.ip(),
            Event::IkeSaEstablished {
                role: Role::Responder,
                lineage: Lineage::Initial,
                endpoint,
                ..
            } => endpoint.ip(),
            _ => continue,
        };
        if seen.last() != Some(&address) {
            back += usize::from(seen.contains(&address));
            seen.push(address);
        }
    }
    back
}

fn peer_deleted(s: &Situation<'_>) -> Option<Ground> {
    if s.cause() != Some(CloseCause::DeletedByPeer) {
        return None;
    }
    let deletes = s.lately(1000).filter(|e| is_delete(&e.event)).count();
    let evidence = match deletes {
        0 => "its Child SA went by a DELETE of the branch".to_owned(),
        _ => "the branch sent a DELETE, authenticated".to_owned(),
    };
    let back = s.returned();
    let reauthenticated = back
        .as_ref()
        .filter(|r| r.by_itself && r.after_ms <= BREAK_MS)
        .map(|r| {
            format!(
                "it authenticated anew {} later: it reauthenticates break-before-make",
                seconds(r.after_ms)
            )
        });
    let rekeyed = s
        .established()
        .next()
        .filter(|e| e.lineage != Lineage::Initial && s.ago(e.at_ms) < 300_000)
        .map(|e| {
            format!(
                "the IKE SA had been rekeyed {} before",
                seconds(s.ago(e.at_ms))
            )
        });
    Some(
        found(Confidence::High, evidence)
            .also(reauthenticated)
            .but(rekeyed),
    )
}

fn is_delete(event: &Event) -> bool {
    matches!(event, Event::DeleteReceived { .. })
}

fn replaced(s: &Situation<'_>) -> Option<Ground> {
    (s.cause() == Some(CloseCause::Superseded)).then(|| {
        let taken = s.lately(1000).find_map(|e| match &e.event {
            Event::SelectorConflict { prefix, holder } => Some((prefix, holder)),
            _ => None,
        });
        if let Some((prefix, holder)) = taken {
            let evidence = format!("{holder} had got {prefix} while it was away");
            return found(Confidence::High, evidence);
        }
        let evidence = "a newer IKE SA of the same device took over";
        let newest = s.established().next();
        let newest = newest.map(|e| format!("the newest began {} before", seconds(s.ago(e.at_ms))));
        found(Confidence::High, evidence).also(newest)
    })
}

fn authz_revoked(s: &Situation<'_>) -> Option<Ground> {
    let told = "the configuration, or a plugin, no longer allows it";
    (s.cause() == Some(CloseCause::ConfigurationChanged)).then(|| found(Confidence::High, told))
}

fn admin(s: &Situation<'_>) -> Option<Ground> {
    match s.cause()? {
        CloseCause::Shutdown => Some(found(Confidence::High, "the gateway was shut down")),
        CloseCause::Admin => {
            let verb = s.lately(60_000).find_map(|e| match e.event {
                Event::OperatorAction { verb } => Some(verb),
                _ => None,
            });
            let told = format!("an operator said `{}`", verb.unwrap_or("reset"));
            Some(found(Confidence::High, told))
        }
        _ => None,
    }
}

fn expired(s: &Situation<'_>) -> Option<Ground> {
    if s.cause() != Some(CloseCause::Expired) {
        return None;
    }
    let refused = s.lately(600_000).find_map(|e| match e.event {
        Event::ChildSaRefused { reason, .. } => Some(format!("a Child SA was refused: {reason}")),
        _ => None,
    });
    let told = "the lifetime ended and neither side had rekeyed";
    Some(found(Confidence::High, told).also(refused))
}

/// It came back from another port: how, if it did.
fn from_elsewhere(s: &Situation<'_>) -> Option<Return> {
    let before = s.endpoint()?;
    s.returned().filter(|r| r.endpoint != before)
}

fn nat_rebind(s: &Situation<'_>) -> Option<Ground> {
    if !is_silent(s) || !s.is_behind_nat() {
        return None;
    }
    let quiet = s.quiet_before_probe_ms()?;
    if quiet >= MAPPING_MS {
        return None;
    }
    let back = from_elsewhere(s).filter(|r| r.old_keys)?;
    let talked = format!(
        "it had been talking until {} before the probe that it did not answer",
        seconds(quiet)
    );
    let moved = format!(
        "{} later it went on with its old keys from {}, before {}",
        seconds(back.after_ms),
        label(back.endpoint),
        s.endpoint().map(label).unwrap_or_default()
    );
    Some(found(Confidence::High, moved).also(Some(talked)))
}

fn nat_timeout(s: &Situation<'_>) -> Option<Ground> {
    if !is_silent(s) || !s.is_behind_nat() {
        return None;
    }
    let quiet = s.quiet_before_probe_ms()?;
    if quiet < MAPPING_MS {
        return None;
    }
    let told = format!(
        "it is behind a NAT, and nothing had come for {} when the first probe went unanswered",
        seconds(quiet)
    );
    Some(match (from_elsewhere(s), s.returned()) {
        (Some(back), _) => {
            let confidence = match back.old_keys {
                true => Confidence::High,
                false => Confidence::Medium,
            };
            let how = if back.old_keys {
                "its old keys"
            } else {
                "a handshake"
            };
            let moved = format!(
                "{} later it came back with {how} from another port, {}",
                seconds(back.after_ms),
                label(back.endpoint)
            );
            found(confidence, told).also(Some(moved))
        }
        // The same port again: the mapping was there all the time.
        (None, Some(_)) => return None,
        (None, None) => found(Confidence::Low, told).but(Some(
            "it has not come back yet: it may as well be off; from where it returns will tell"
                .to_owned(),
        )),
    })
}

fn esp_one_way(s: &Situation<'_>) -> Option<Ground> {
    let clocks = s.clocks()?;
    let answered = s
        .lately(600_000)
        .any(|e| matches!(e.event, Event::ProbeAnswered { .. }));
    let ended = s.cause();
    let fits = ended.is_none() || is_silent(s);
    let one_way = clocks.packets_in == 0 && clocks.packets_out >= 10;
    (fits && one_way && answered).then(|| {
        let told = format!(
            "{} ESP packets went to it and none came back, while it answered IKE",
            clocks.packets_out
        );
        found(Confidence::Medium, told)
    })
}

fn dpd_silent(s: &Situation<'_>) -> Option<Ground> {
    if !is_silent(s) {
        return None;
    }
    let told = match s.attempts() {
        Some(n) => format!("a request was sent again {n} times and never answered"),
        None => "a request was never answered".to_owned(),
    };
    let heard = s.clocks().and_then(|c| {
        let silence = [c.ike_in_ms, c.esp_in_ms].into_iter().flatten().min()?;
        Some(format!(
            "the last that came of it was {} before",
            seconds(silence.into())
        ))
    });
    let back = s.returned().map(|r| {
        let by = if r.by_itself {
            "it came"
        } else {
            "we brought it"
        };
        format!("{by} back {} later", seconds(r.after_ms))
    });
    let moved = from_elsewhere(s).filter(|_| s.is_behind_nat()).map(|r| {
        format!(
            "it came back from another port, {}: its NAT may have had a part",
            label(r.endpoint)
        )
    });
    let confidence = match moved {
        Some(_) => Confidence::Medium,
        None => Confidence::High,
    };
    Some(found(confidence, told).also(heard).also(back).but(moved))
}

fn unknown(s: &Situation<'_>) -> Ground {
    let cause = s.cause().map(|c| format!("its last Child SA ended by {c}"));
    Ground::default().also(cause)
}

/// A time in words, from milliseconds.
fn seconds(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..600_000 => format!("{} s", ms / 1000),
        600_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// As the case writes an endpoint.
fn label(endpoint: std::net::SocketAddr) -> String {
    format!("{}/{}", endpoint.ip(), endpoint.port())
}
