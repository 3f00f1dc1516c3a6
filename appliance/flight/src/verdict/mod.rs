//! Why a device dropped: one verdict from what was recorded of it.
//!
//! The rules are a table (`rules`); the first that fits decides. A verdict says how sure it is,
//! what speaks for it and what against it, and what to change on each side. It may be revised:
//! when the branch returns, how it returns shows more.

mod rules;
mod situation;

pub use situation::{NodeHealth, Situation};

use crate::cause::reasons;
use serde::{Deserialize, Serialize};

reasons! {
    /// Why a device dropped, the first that fits.
    Verdict {
        /// This node was too busy to answer, or lost packets of its own.
        LocalOverload => "local_overload",
        /// Many devices dropped at the same time: something that they share.
        MassEvent => "mass_event",
        /// The branch reauthenticated, and its traffic stayed on the SA that it left behind.
        StaleSaAfterReauth => "stale_sa_after_reauth",
        /// We rekeyed the IKE SA when the branch's reauthentication was due; it deleted the new SA.
        ReauthRekeyCollision => "reauth_rekey_collision",
        /// Two devices with one identity pushed each other out.
        SharedIdentity => "shared_identity",
        /// The branch said DELETE.
        PeerDeleted => "peer_deleted",
        /// A successor of the same device took over, and did not stay.
        Replaced => "replaced",
        /// The configuration or an authorization plugin no longer allows it.
        AuthzRevoked => "authz_revoked",
        /// An operator, or the end of the gateway.
        Admin => "admin",
        /// The lifetime passed and nobody had rekeyed.
        ExpiredNoRekey => "expired_no_rekey",
        /// The branch's NAT gave it another port while it was talking.
        NatRebind => "nat_rebind",
        /// The branch's NAT forgot it while it was quiet.
        NatTimeout => "nat_timeout",
        /// ESP never came, though IKE did.
        EspOneWay => "esp_one_way",
        /// It does not answer, and nothing says why.
        DpdSilent => "dpd_silent",
        /// None of these.
        Unknown => "unknown",
    }
}

reasons! {
    /// How sure a verdict is.
    Confidence {
        /// The likeliest of several.
        Low => "low",
        /// What was recorded fits this and hardly anything else.
        Medium => "medium",
        /// What was recorded cannot be anything else.
        High => "high",
    }
}

/// What to change, one sentence a side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advice {
    /// At the branch: strongSwan's setting, and Comware's where it is one.
    pub branch: &'static str,
    /// At headquarters: Hawser's setting, and Comware's.
    pub headquarters: &'static str,
}

/// A verdict with its reasons.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// Why.
    pub verdict: Verdict,
    /// How sure that is.
    pub confidence: Confidence,
    /// What speaks for it.
    pub evidence: Vec<String>,
    /// What was recorded that speaks against it.
    pub against: Vec<String>,
    /// What to change at the branch.
    pub advice_branch: String,
    /// What to change at headquarters.
    pub advice_headquarters: String,
}

/// What a rule has found.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    confidence: Option<Confidence>,
    evidence: Vec<String>,
    against: Vec<String>,
}

/// The verdict on a drop. There always is one.
pub fn judge(situation: &Situation<'_>) -> Finding {
    let found = rules::RULES
        .iter()
        .find_map(|rule| Some((rule, (rule.test)(situation)?)));
    let (rule, ground) = found.unwrap_or((&rules::UNKNOWN, Ground::default()));
    finding(rule, ground)
}

/// The verdict on a device that is up and does not work: only what can be seen without a drop.
pub fn judge_living(situation: &Situation<'_>) -> Option<Finding> {
    let seen_alive = [Verdict::SharedIdentity, Verdict::EspOneWay];
    let mut rules = rules::RULES
        .iter()
        .filter(|rule| seen_alive.contains(&rule.verdict));
    rules.find_map(|rule| Some(finding(rule, (rule.test)(situation)?)))
}

/// What to change when this verdict is right.
pub fn advice(verdict: Verdict) -> Advice {
    let mut rules = rules::RULES.iter();
    rules
        .find(|rule| rule.verdict == verdict)
        .map_or(rules::UNKNOWN.advice, |rule| rule.advice)
}

fn finding(rule: &rules::Rule, ground: Ground) -> Finding {
    Finding {
        verdict: rule.verdict,
        confidence: ground.confidence.unwrap_or(Confidence::Low),
        evidence: ground.evidence,
        against: ground.against,
        advice_branch: rule.advice.branch.to_owned(),
        advice_headquarters: rule.advice.headquarters.to_owned(),
    }
}
