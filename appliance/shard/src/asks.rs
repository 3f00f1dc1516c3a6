//! Questions that wait for their answers.

use crate::Shard;
use crate::hooks::{Authorized, DpdDecided};
use crate::io::{Answer, AskId, DeviceId, Output, Question};
use crate::placing::Home;
use crate::timers::TimerKey;
use hawser_crypto::KeError;
use hawser_flight::Path;
use hawser_ike::io::{AuthRequest, ChildRequest, KeAnswer, Token};
use hawser_ike::{IkeSa, KeRequest};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// A question not answered by then has failed: whoever asked goes on without.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who asked a question.
pub(crate) enum Asker {
    /// A half-open SA that a peer began.
    Responder { key: usize, spi_r: u64 },
    /// A handshake of ours.
    Initiator {
        key: usize,
        spi_i: u64,
        token: Token,
    },
    /// An IKE SA.
    Ike {
        device: DeviceId,
        spi: u64,
        token: Token,
    },
    /// An authenticated IKE SA that has no device yet.
    Place(Box<IkeSa>, AuthRequest),
    /// The same, where its identity is to be one device: everything of that identity is of interest.
    PlaceUnique(Box<IkeSa>, AuthRequest),
    /// A device that wants another Child SA.
    Child {
        device: DeviceId,
        spi: u64,
        request: ChildRequest,
    },
    /// A device whose parked IKE SA, with this local SPI, may go on: a message for it came on this
    /// path.
    Resurrect {
        device: DeviceId,
        spi: u64,
        path: Path,
        datagram: Vec<u8>,
    },
    /// A device that is to be revived.
    Revive(DeviceId),
    /// A device that has lost its last pair, and is to have another.
    Remake(DeviceId),
    /// An authenticated IKE SA whose home is known.
    Authorize(Box<IkeSa>, AuthRequest, Home),
    /// A device that wants another Child SA, which the directory has nothing against.
    AuthorizeChild {
        device: DeviceId,
        spi: u64,
        request: ChildRequest,
    },
    /// A device under a DPD policy.
    Dpd(DeviceId),
    /// A new device that has claimed its selectors: has another one done so at the same time?
    Twin(DeviceId),
    /// A known device that lives again: has somebody else got what it holds meanwhile?
    Returned(DeviceId),
}

/// What fails when a question is never answered.
#[derive(Clone, Copy)]
enum Kind {
    Generate,
    Respond,
    Agree,
    Directory,
    Authorize,
    Dpd,
}

impl Kind {
    fn patience(self) -> Duration {
        match self {
            Self::Authorize => crate::authorize::PATIENCE,
            Self::Dpd => crate::dpd_policy::PATIENCE,
            Self::Generate | Self::Respond | Self::Agree | Self::Directory => PATIENCE,
        }
    }
}

struct Asked {
    asker: Asker,
    kind: Kind,
    until: Instant,
}

/// The questions that wait, and when they have waited long enough.
#[derive(Default)]
pub(crate) struct Asks {
    open: HashMap<u64, Asked>,
    due: BTreeSet<(Instant, u64)>,
    last: u64,
    armed: Option<Instant>,
}

impl Asks {
    fn next_id(&mut self) -> AskId {
        self.last += 1;
        AskId(self.last)
    }

    fn take(&mut self, id: u64) -> Option<Asked> {
        let asked = self.open.remove(&id)?;
        self.due.remove(&(asked.until, id));
        Some(asked)
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

impl Shard {
    pub(crate) fn ask(&mut self, now: Instant, asker: Asker, question: Question) -> AskId {
        let kind = match &question {
            Question::KeyExchange(KeRequest::Generate(_)) => Kind::Generate,
            Question::KeyExchange(KeRequest::Respond { .. }) => Kind::Respond,
            Question::KeyExchange(KeRequest::Agree { .. }) => Kind::Agree,
            Question::Directory(_) => Kind::Directory,
            Question::Authorize(_) => Kind::Authorize,
            Question::DpdPolicy(_) => Kind::Dpd,
        };
        let (id, until) = (self.asks.next_id(), now + kind.patience());
        self.asks.open.insert(id.0, Asked { asker, kind, until });
        self.asks.due.insert((until, id.0));
        self.arm_asks();
        self.out.push_back(Output::Ask(id, question));
        id
    }

    fn arm_asks(&mut self) {
        let next = self.asks.due.first().map(|(until, _)| *until);
        self.timers.arm(&mut self.asks.armed, next, TimerKey::Asks);
    }

    /// Tells the directory something: its answer is of no interest.
    pub(crate) fn tell(&mut self, question: Question) {
        let id = self.asks.next_id();
        self.out.push_back(Output::Ask(id, question));
    }

    /// An answer to a question of this shard. An answer that nobody waits for is dropped.
    pub fn answer(&mut self, now: Instant, id: AskId, answer: Answer) {
        self.clock = now;
        let Some(asked) = self.asks.take(id.0) else {
            return;
        };
        match answer {
            Answer::KeyExchange(answer) => self.key_exchanged(now, &asked.asker, answer),
            Answer::Located { same, others } => match asked.asker {
                Asker::Place(sa, request) => self.located(now, sa, request, &same, &others),
                Asker::Child {
                    device,
                    spi,
                    request,
                } => self.child_located(now, device, spi, request, &same, &others),
                Asker::PlaceUnique(sa, request) => self.identity_located(now, sa, request, &same),
                Asker::Twin(device) => self.twins_located(now, device, &same, &others),
                Asker::Returned(device) => self.returned_located(now, device, &others),
                Asker::Resurrect {
                    device,
                    spi,
                    path,
                    datagram,
                } => {
                    let taken = same.iter().chain(&others);
                    let taken = taken.filter(|d| d.device != device);
                    let free = !taken.clone().any(|d| d.alive && d.overlaps);
                    self.resurrect(now, device, spi, path, &datagram, free);
                }
                Asker::Revive(device) => self.revive_located(now, device, &same, &others),
                Asker::Remake(device) => self.remake_located(now, device, &same, &others),
                _ => {}
            },
            Answer::Authorized(answer) => self.authorization(now, asked.asker, answer),
            Answer::DpdPolicy(answer) => {
                if let Asker::Dpd(device) = asked.asker {
                    self.dpd_decided(now, device, id, answer);
                }
            }
        }
    }

    fn key_exchanged(&mut self, now: Instant, asker: &Asker, answer: KeAnswer) {
        match *asker {
            Asker::Responder { key, spi_r } => self.responder_key(now, key, spi_r, answer),
            Asker::Initiator { key, spi_i, token } => {
                self.initiator_key(now, key, spi_i, token, answer);
            }
            Asker::Ike { device, spi, token } => {
                let Some(key) = self.devices.get(&device).copied() else {
                    return;
                };
                if let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(spi)) {
                    sa.key_exchanged(&mut crate::env!(self, now), token, answer);
                    self.drive(now, key);
                }
            }
            _ => {}
        }
    }

    fn authorization(&mut self, now: Instant, asker: Asker, answer: Authorized) {
        match asker {
            Asker::Authorize(sa, request, home) => self.authorized(now, sa, request, home, answer),
            Asker::AuthorizeChild {
                device,
                spi,
                request,
            } => self.child_authorized(now, device, spi, &request, answer),
            _ => {}
        }
    }

    /// Questions that nobody has answered in time have failed.
    pub(crate) fn give_up_asks(&mut self, now: Instant) {
        self.asks.armed = None;
        while let Some((until, id)) = self.asks.due.first().copied() {
            if until > now {
                break;
            }
            if let Some(asked) = self.asks.take(id) {
                self.give_up_ask(now, AskId(id), asked);
            }
        }
        self.arm_asks();
    }

    fn give_up_ask(&mut self, now: Instant, id: AskId, asked: Asked) {
        let late = || "no answer in time".to_owned();
        let failed = match asked.kind {
            Kind::Generate => KeAnswer::Generated(Err(KeError::Generate)),
            Kind::Respond => KeAnswer::Responded(Err(KeError::Generate)),
            Kind::Agree => KeAnswer::Agreed(Err(KeError::Generate)),
            Kind::Directory => return self.directory_silent(now, asked.asker),
            Kind::Authorize => {
                return self.authorization(now, asked.asker, Authorized::Undecided(late()));
            }
            Kind::Dpd => {
                if let Asker::Dpd(device) = asked.asker {
                    self.dpd_decided(now, device, id, DpdDecided::Undecided(late()));
                }
                return;
            }
        };
        self.key_exchanged(now, &asked.asker, failed);
    }
}
