//! Who answers a shard's questions: a directory, and workers.

use hawser_crypto::KePrivate;
use hawser_policy::{TenantId, TrafficSelector};
use hawser_shard::io::*;
use rand_chacha::ChaCha20Rng;

struct Claimed {
    located: Located,
    tenant: TenantId,
    selectors: Vec<TrafficSelector>,
    spis: Vec<u32>,
}

/// As the engine's, in a few lines.
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

    /// What the devices send on, or did when they were last up.
    pub fn spis(&self) -> Vec<u32> {
        self.claims.iter().flat_map(|c| c.spis.clone()).collect()
    }

    /// Every device it knows.
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    pub fn answer(&mut self, request: DirectoryRequest) -> Answer {
        let (mut same, mut others) = (Vec::new(), Vec::new());
        match request {
            DirectoryRequest::Locate {
                tenant,
                identity,
                endpoint,
                selectors,
            } => {
                for claim in self.claims.iter().filter(|c| c.tenant == tenant) {
                    let mut located = claim.located.clone();
                    let meets =
                        |a: &TrafficSelector| selectors.iter().any(|b| a.intersect(b).is_some());
                    located.overlaps = claim.selectors.iter().any(meets);
                    if located.identity != identity && located.overlaps {
                        others.push(located);
                    } else if located.identity == identity
                        && (located.overlaps || located.endpoint == endpoint)
                    {
                        same.push(located);
                    }
                }
            }
            DirectoryRequest::Claim {
                device,
                shard,
                tenant,
                identity,
                path,
                selectors,
                alive,
                spis,
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
                        spis,
                    });
                }
            }
        }
        Answer::Located { same, others }
    }
}

pub fn work(rng: &mut ChaCha20Rng, work: KeRequest) -> KeAnswer {
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
