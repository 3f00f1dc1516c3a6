//! Who answers a shard's questions: the directory, the key-exchange workers, and plugins.

use hawser_crypto::KePrivate;
use hawser_policy::{DpdMode, TenantId, TrafficSelector};
use hawser_shard::hooks::*;
use hawser_shard::io::*;

/// Devices of each kind that an answer names at most (the contract of [`Answer::Located`]).
const LIMIT: usize = 4;

struct Claimed {
    located: Located,
    tenant: TenantId,
    selectors: Vec<TrafficSelector>,
}

/// The directory of the engine in a few lines: no tries, the same answers.
#[derive(Default)]
pub struct Directory {
    claims: Vec<Claimed>,
}

impl Directory {
    /// The devices that have Child SAs.
    pub fn alive(&self) -> Vec<Located> {
        let located = self.claims.iter().map(|c| &c.located);
        located.filter(|l| l.alive).cloned().collect()
    }

    /// How many devices it knows.
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Answers at once.
    pub fn answer(&mut self, request: DirectoryRequest) -> Answer {
        match request {
            DirectoryRequest::Locate {
                tenant,
                identity,
                endpoint,
                selectors,
            } => {
                let known = self.claims.iter().filter(|c| c.tenant == tenant);
                let (mut same, mut others) = (Vec::new(), Vec::new());
                for claim in known {
                    let mut located = claim.located.clone();
                    located.overlaps = meet(&claim.selectors, &selectors);
                    if located.identity != identity && located.overlaps {
                        others.push(located);
                    } else if located.identity == identity
                        && (located.overlaps || located.endpoint == endpoint)
                    {
                        same.push(located);
                    }
                }
                same.sort_by_key(|l| (l.endpoint != endpoint, !l.alive, l.device));
                others.sort_by_key(|l| (!l.alive, l.device));
                same.truncate(LIMIT);
                others.truncate(LIMIT);
                Answer::Located { same, others }
            }
            DirectoryRequest::Claim {
                device,
                shard,
                tenant,
                identity,
                path,
                selectors,
                alive,
                ..
            } => {
                self.claims.retain(|c| c.located.device != device);
                let located = Located {
                    device,
                    shard,
                    identity,
                    endpoint: path.remote,
                    overlaps: false,
                    alive,
                };
                if !selectors.is_empty() {
                    self.claims.push(Claimed {
                        located,
                        tenant,
                        selectors,
                    });
                }
                Answer::Located {
                    same: Vec::new(),
                    others: Vec::new(),
                }
            }
        }
    }
}

fn meet(held: &[TrafficSelector], asked: &[TrafficSelector]) -> bool {
    held.iter()
        .any(|a| asked.iter().any(|b| a.intersect(b).is_some()))
}

/// Does the work of a key-exchange worker.
pub fn work(rng: &mut dyn rand::CryptoRng, work: KeRequest) -> KeAnswer {
    match work {
        KeRequest::Generate(method) => KeAnswer::Generated(method.generate(rng)),
        KeRequest::Agree {
            private,
            peer_public,
        } => KeAnswer::Agreed(KePrivate::agree(private, &peer_public)),
        KeRequest::Respond {
            method,
            peer_public,
        } => {
            let made = method.generate(rng).and_then(|(private, public)| {
                private.agree(&peer_public).map(|shared| (public, shared))
            });
            KeAnswer::Responded(made)
        }
    }
}

fn plugin() -> DecidedBy {
    DecidedBy {
        plugin: "simulated".into(),
        version: "1.0.0".into(),
        generation: 1,
    }
}

/// A plugin that lets everybody have what it asks for.
pub fn authorize(request: &AuthorizeRequest) -> Answer {
    let grant = Grant {
        local: request.local.clone(),
        remote: request.remote.clone(),
        ..Grant::default()
    };
    let by = vec![plugin()];
    Answer::Authorized(Authorized::Allowed { grant, by })
}

/// A plugin that decides as the template would.
pub fn police(evidence: &DpdEvidence) -> Answer {
    let heard = evidence.ike_in.max(evidence.esp_in);
    let quiet = heard.map(|at| evidence.now.saturating_duration_since(at));
    let action = evidence.settings.map_or(DpdAction::Wait, |dpd| {
        match (evidence.trigger, evidence.under_way) {
            (Trigger::Unanswered, Some((sent, _))) if sent > dpd.retries => {
                DpdAction::GiveUp(format!("sent {sent} times"))
            }
            (Trigger::Unanswered, _) => DpdAction::Probe(dpd.retry),
            (Trigger::BeforeSend, None)
                if dpd.mode == DpdMode::OnDemand && quiet.is_none_or(|q| q > dpd.interval) =>
            {
                DpdAction::Probe(dpd.retry)
            }
            (Trigger::BeforeSend, _) => DpdAction::Wait,
            (Trigger::Timer, None) if dpd.mode == DpdMode::Periodic => DpdAction::Probe(dpd.retry),
            _ if dpd.mode == DpdMode::Periodic => DpdAction::WaitUntil(evidence.now + dpd.interval),
            _ => DpdAction::Wait,
        }
    });
    Answer::DpdPolicy(DpdDecided::Decided {
        action,
        memo: None,
        by: plugin(),
    })
}
