//! The exchanges of an authenticated IKE SA, one file each, and what they share: how messages
//! come and go, and which task is next.

pub mod child_offer;

mod answer_auth;
mod asked_probe;
mod child_request;
mod child_response;
mod informational;
mod messages;
mod rekey_request;
mod rekey_response;

use crate::ike_sa::{IkeSa, PendingAuth, REFUSED_WAIT, SaState};
use crate::io::{Env, KeAnswer, Token};
use crate::registry::NotifyType;
use crate::window::Schedule;
use child_offer::ChildOffer;
use hawser_flight::CloseCause;

pub(crate) use child_request::ChildAnswer;
pub(crate) use child_response::{ChildExchange, agreed};
pub(crate) use rekey_request::RekeyAnswer;
pub(crate) use rekey_response::RekeyExchange;

/// Something to do as soon as the window is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// Ask whether the peer lives.
    Probe(Schedule),
    /// Make a Child SA by the template with this index.
    CreateChild(usize),
    /// Rekey the Child SA with this inbound SPI.
    RekeyChild(u32),
    /// Delete the Child SA with this inbound SPI.
    DeleteChild(u32, CloseCause),
    /// Tell the peer that the pair that it made for this SPI of ours does not exist here.
    Disown(u32),
    /// Tell the peer that it sends ESP on a SPI that nobody here has (RFC 7296 1.5).
    ReportSpi(u32),
    /// Rekey the IKE SA.
    RekeyIke,
    /// Delete the IKE SA.
    DeleteIke(CloseCause),
}

impl Task {
    /// Whether it is about Child SAs, and so moves with them to a successor.
    pub fn is_for_child(&self) -> bool {
        matches!(
            self,
            Self::CreateChild(_) | Self::RekeyChild(_) | Self::DeleteChild(..) | Self::Disown(_)
        )
    }
}

/// The exchange that we initiated and that is not finished.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// CREATE_CHILD_SA for a Child SA, new or rekeyed.
    Child(Box<ChildExchange>),
    /// CREATE_CHILD_SA for the IKE SA.
    RekeyIke(Box<RekeyExchange>),
    /// INFORMATIONAL that deletes a Child SA.
    DeleteChild(u32, CloseCause),
    /// INFORMATIONAL that disowns a Child SA.
    Disown,
    /// INFORMATIONAL that reports an unknown SPI.
    ReportSpi,
    /// INFORMATIONAL that deletes the IKE SA.
    DeleteIke(CloseCause),
    /// INFORMATIONAL that asks whether the peer lives.
    Probe {
        /// Its Message ID.
        message_id: u32,
        /// It is a test only, and never given up.
        patient: bool,
    },
}

/// A request of the peer whose answer waits for something.
#[derive(Debug)]
pub(crate) enum Answering {
    /// IKE_AUTH, for the shard's grant.
    Auth {
        /// The Child SA it asks for, or why there is none.
        child: Option<Result<ChildOffer, NotifyType>>,
        /// What the answer needs.
        pending: Box<PendingAuth>,
    },
    /// CREATE_CHILD_SA for a Child SA: for the shard's grant, or for a key exchange.
    Child(Box<ChildAnswer>),
    /// CREATE_CHILD_SA for the IKE SA: for a key exchange.
    RekeyIke(Box<RekeyAnswer>),
}

impl IkeSa {
    /// Begins the next task if the window is free.
    ///
    /// While a request of the peer waits for its key exchange, nothing is begun that could cross
    /// what it changes: an IKE SA would be replaced under an exchange for its Child SAs.
    pub(crate) fn pump(&mut self, env: &mut Env<'_>) {
        if self.is_patient() && !self.queue.is_empty() {
            let schedule = self.backoff();
            self.lose_patience(env, schedule);
        }
        while self.exchange.is_none() && self.outstanding.is_none() {
            if matches!(
                self.state,
                SaState::Authenticating | SaState::Closed | SaState::Parked
            ) {
                return;
            }
            let harmless = |t: &mut Task| matches!(t, Task::Probe(_) | Task::DeleteIke(_));
            let free = self.answering.is_none();
            let Some(task) = self.queue.pop_front_if(|t| free || harmless(t)) else {
                return;
            };
            self.begin(env, task);
        }
    }

    fn begin(&mut self, env: &mut Env<'_>, task: Task) {
        let established = self.state == SaState::Established;
        match task {
            Task::RekeyIke | Task::RekeyChild(_) if self.stands_down => {
                self.defer(env, task, REFUSED_WAIT);
            }
            Task::Probe(schedule) => self.begin_probe(env, schedule, false),
            Task::CreateChild(child) if established && !self.has_child(child) => {
                self.begin_child(env, child, None);
            }
            Task::RekeyChild(spi_in) if established => self.begin_child_rekey(env, spi_in),
            Task::DeleteChild(spi_in, cause) => self.begin_delete_child(env, spi_in, cause),
            Task::Disown(spi_in) => self.begin_disown(env, spi_in),
            Task::ReportSpi(spi) => self.begin_report(env, spi),
            Task::RekeyIke if established => self.begin_ike_rekey(env),
            Task::DeleteIke(cause) => self.send_delete_ike(env, cause),
            // It is there already, or the SA is being replaced or deleted: its successor does what
            // is still wanted.
            Task::CreateChild(_) | Task::RekeyChild(_) | Task::RekeyIke => {}
        }
    }

    /// A key exchange is done. A stale token is dropped.
    pub fn key_exchanged(&mut self, env: &mut Env<'_>, token: Token, answer: KeAnswer) {
        let ours = match &self.exchange {
            Some(Exchange::Child(x)) => x.token == Some(token),
            Some(Exchange::RekeyIke(x)) => x.token == Some(token),
            _ => false,
        };
        let theirs = match &self.answering {
            Some(Answering::Child(a)) => a.token == Some(token),
            Some(Answering::RekeyIke(a)) => a.token == token,
            _ => false,
        };
        if ours {
            match self.exchange.take() {
                Some(Exchange::Child(x)) => self.child_key_exchanged(env, x, answer),
                Some(Exchange::RekeyIke(x)) => self.rekey_key_exchanged(env, x, answer),
                other => self.exchange = other,
            }
        } else if theirs {
            match self.answering.take() {
                Some(Answering::Child(a)) => self.answer_child_with_key(env, *a, answer),
                Some(Answering::RekeyIke(a)) => self.answer_ike_rekey(env, &a, answer),
                other => self.answering = other,
            }
        }
        self.pump(env);
    }
}
