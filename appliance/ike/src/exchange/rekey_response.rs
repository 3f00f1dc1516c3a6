//! CREATE_CHILD_SA for the IKE SA, asked for by us (RFC 7296 1.3.2, 2.18, 2.25.2).

use super::{Answering, Exchange, Task};
use crate::algorithms::{ke_from_group, ke_group};
use crate::ike_sa::{IkeSa, REFUSED_WAIT, REPLACED_WAIT, RETRY_WAIT, SaState};
use crate::io::{Env, KeAnswer, KeRequest, Output, Token};
use crate::keymat::Seeds;
use crate::message::Message;
use crate::payload::{KePayload, Payload};
use crate::registry::{ExchangeType, NotifyType};
use crate::select::{IkeSuite, confirm_ike, ike_proposals_to_sa};
use hawser_crypto::{KePrivate, KeyExchange};
use hawser_flight::{CloseCause, HandshakeFailure, Role};
use std::sync::Arc;

/// A rekey of the IKE SA that we have begun.
#[derive(Debug)]
pub(crate) struct RekeyExchange {
    method: KeyExchange,
    /// The peer has demanded that key exchange; it may do so once.
    demanded: bool,
    private: Option<KePrivate>,
    /// Names the key exchange that is under way.
    pub token: Option<Token>,
    /// Our SPI of the new IKE SA.
    pub spi_i: u64,
    nonce: Vec<u8>,
    answer: Option<RekeyResponse>,
    /// The peer has rekeyed the same IKE SA meanwhile.
    pub collision: Option<RekeyCollision>,
    /// The peer has deleted the IKE SA meanwhile: it closes when the exchange is done.
    closes: Option<CloseCause>,
}

/// The peer's rekey of the IKE SA that we are rekeying.
#[derive(Debug)]
pub(crate) struct RekeyCollision {
    /// Local SPI of the IKE SA it made.
    pub successor: u64,
    /// The lower of that exchange's nonces.
    pub lowest_nonce: Vec<u8>,
    /// Dropped when the collision is decided: the SA that the peer made waits for that.
    pub undecided: Arc<()>,
}

#[derive(Debug)]
struct RekeyResponse {
    suite: IkeSuite,
    spi_r: u64,
    nonce: Vec<u8>,
}

impl IkeSa {
    pub(crate) fn begin_ike_rekey(&mut self, env: &mut Env<'_>) {
        if self.ike_proposals().is_empty() {
            // It ends with its lifetime.
            return;
        }
        self.begin_ike_rekey_with(env, self.keys.suite.ke, false);
    }

    fn begin_ike_rekey_with(&mut self, env: &mut Env<'_>, method: KeyExchange, demanded: bool) {
        let token = self.token();
        self.out
            .push_back(Output::Ask(token, KeRequest::Generate(method)));
        self.exchange = Some(Exchange::RekeyIke(Box::new(RekeyExchange {
            method,
            demanded,
            private: None,
            token: Some(token),
            spi_i: env.spis.ike_spi(env.rng),
            nonce: env.nonce(),
            answer: None,
            collision: None,
            closes: None,
        })));
    }

    /// Our key pair is made, or the shared secret is computed.
    pub(crate) fn rekey_key_exchanged(
        &mut self,
        env: &mut Env<'_>,
        mut exchange: Box<RekeyExchange>,
        answer: KeAnswer,
    ) {
        let closes = exchange.closes;
        match answer {
            KeAnswer::Generated(_) if self.state != SaState::Established => {}
            // The peer's rekey was faster than our key pair.
            KeAnswer::Generated(_) if exchange.collision.is_some() => {
                self.peers_rekey_stands(env, &exchange);
            }
            KeAnswer::Generated(Ok((private, public))) => {
                exchange.private = Some(private);
                exchange.token = None;
                self.send_ike_rekey(env, exchange, public);
            }
            KeAnswer::Agreed(Ok(shared)) => self.finish_ike_rekey(env, &exchange, &shared),
            KeAnswer::Agreed(Err(_)) => {
                self.ike_rekey_unusable(env, &exchange, HandshakeFailure::KeyExchangeFailed);
            }
            KeAnswer::Generated(Err(_)) | KeAnswer::Responded(_) => {
                self.ike_rekey_failed(env, &exchange, HandshakeFailure::KeyExchangeFailed);
            }
        }
        if let Some(cause) = closes {
            self.close(cause);
        }
    }

    fn send_ike_rekey(&mut self, env: &mut Env<'_>, exchange: Box<RekeyExchange>, public: Vec<u8>) {
        let ours = self.ike_proposals();
        let group = ke_group(exchange.method);
        let payloads = [
            Payload::Sa(ike_proposals_to_sa(&ours, Some(exchange.spi_i))),
            Payload::Nonce(exchange.nonce.clone()),
            Payload::Ke(KePayload {
                group,
                data: public,
            }),
        ];
        let schedule = self.backoff();
        self.send_request(env, ExchangeType::CreateChildSa, &payloads, schedule);
        self.exchange = Some(Exchange::RekeyIke(exchange));
    }

    pub(crate) fn rekey_response(
        &mut self,
        env: &mut Env<'_>,
        mut exchange: Box<RekeyExchange>,
        response: &Message,
        valid: bool,
    ) {
        if let Some(error) = response.error() {
            return self.ike_rekey_refused(env, &exchange, response, error.kind);
        }
        let answer = self.read_rekey_response(response).filter(|_| valid);
        let ke = response
            .ke()
            .filter(|ke| ke.group == ke_group(exchange.method));
        let (Some(answer), Some(ke), Some(private)) = (answer, ke, exchange.private.take()) else {
            return self.ike_rekey_unusable(env, &exchange, HandshakeFailure::InvalidMessage);
        };
        exchange.answer = Some(answer);
        let token = self.token();
        exchange.token = Some(token);
        let work = KeRequest::Agree {
            private,
            peer_public: ke.data.clone(),
        };
        self.out.push_back(Output::Ask(token, work));
        self.exchange = Some(Exchange::RekeyIke(exchange));
    }

    fn read_rekey_response(&self, response: &Message) -> Option<RekeyResponse> {
        let ours = self.ike_proposals();
        let confirmed = confirm_ike(response.sa()?, &ours)?;
        let spi_r = confirmed.spi.filter(|spi| *spi != 0)?;
        let nonce = response.nonce()?.to_vec();
        Some(RekeyResponse {
            suite: confirmed.suite,
            spi_r,
            nonce,
        })
    }

    fn finish_ike_rekey(&mut self, env: &mut Env<'_>, exchange: &RekeyExchange, shared: &[u8]) {
        let Some(answer) = &exchange.answer else {
            return self.ike_rekey_unusable(env, exchange, HandshakeFailure::Internal);
        };
        let seeds = Seeds {
            nonce_i: &exchange.nonce,
            nonce_r: &answer.nonce,
            spi_i: exchange.spi_i,
            spi_r: answer.spi_r,
        };
        let made = self.successor(env, Role::Initiator, answer.suite, &seeds, shared);
        let Some(mut successor) = made else {
            return self.ike_rekey_unusable(env, exchange, HandshakeFailure::Internal);
        };
        let local_spi = successor.local_spi();
        if let SaState::Deleting(cause) = self.state {
            // For the peer the new SA has taken over already, or is the redundant one: it goes as well.
            let collides = exchange.collision.is_some();
            let cause = if collides {
                CloseCause::RekeyCollision
            } else {
                cause
            };
            successor.delete(env, cause);
            self.out.push_back(Output::Successor(Box::new(successor)));
        } else if self.wins_ike_collision(exchange, answer) {
            self.out.push_back(Output::Successor(Box::new(successor)));
            self.bequeath(local_spi);
            self.enqueue(Task::DeleteIke(CloseCause::Rekeyed));
        } else {
            // Ours is the redundant one, and ours to delete (RFC 7296 2.8.1).
            successor.delete(env, CloseCause::RekeyCollision);
            self.out.push_back(Output::Successor(Box::new(successor)));
            self.peers_rekey_stands(env, exchange);
        }
    }

    fn wins_ike_collision(&self, exchange: &RekeyExchange, answer: &RekeyResponse) -> bool {
        let ours = (&exchange.nonce).min(&answer.nonce);
        let under_way = match &self.answering {
            Some(Answering::RekeyIke(a)) => Some(a.lowest_nonce()),
            _ => None,
        };
        let theirs = exchange.collision.as_ref().map(|c| &c.lowest_nonce);
        theirs.or(under_way).is_none_or(|theirs| ours > theirs)
    }

    /// The SA that the peer made takes over; the peer deletes this one.
    fn peers_rekey_stands(&mut self, env: &Env<'_>, exchange: &RekeyExchange) {
        if let Some(collision) = &exchange.collision {
            self.bequeath(collision.successor);
            self.expire_at = Some(env.now + REPLACED_WAIT);
        }
    }

    fn ike_rekey_refused(
        &mut self,
        env: &mut Env<'_>,
        exchange: &RekeyExchange,
        response: &Message,
        error: NotifyType,
    ) {
        if self.state != SaState::Established {
            return;
        }
        if exchange.collision.is_some() {
            return self.peers_rekey_stands(env, exchange);
        }
        match error {
            NotifyType::TemporaryFailure => self.defer(env, Task::RekeyIke, RETRY_WAIT),
            NotifyType::InvalidKePayload => {
                let wanted = response.notify(error).map(|n| n.data.as_slice());
                let group = wanted.and_then(|d| <[u8; 2]>::try_from(d).ok());
                let method = group.and_then(|g| ke_from_group(u16::from_be_bytes(g)));
                let ours = self.ike_proposals();
                match method.filter(|m| ours.iter().any(|p| p.ke.contains(m))) {
                    Some(m) if m != exchange.method && !exchange.demanded => {
                        self.begin_ike_rekey_with(env, m, true);
                    }
                    _ => self.ike_rekey_failed(env, exchange, HandshakeFailure::NoProposalChosen),
                }
            }
            _ => self.ike_rekey_failed(env, exchange, HandshakeFailure::NoProposalChosen),
        }
    }

    fn ike_rekey_failed(
        &mut self,
        env: &mut Env<'_>,
        exchange: &RekeyExchange,
        reason: HandshakeFailure,
    ) {
        self.refused(Role::Initiator, reason);
        if exchange.collision.is_some() {
            self.peers_rekey_stands(env, exchange);
        } else if self.expire_at.is_some() {
            self.defer(env, Task::RekeyIke, REFUSED_WAIT);
        }
    }

    /// The peer has answered, and so has replaced this IKE SA, but its answer is of no use. Unless
    /// its own rekey stands, nothing is left that both have.
    fn ike_rekey_unusable(
        &mut self,
        env: &mut Env<'_>,
        exchange: &RekeyExchange,
        reason: HandshakeFailure,
    ) {
        self.refused(Role::Initiator, reason);
        let wins = |answer| self.wins_ike_collision(exchange, answer);
        let loses = exchange.answer.as_ref().is_some_and(|answer| !wins(answer));
        if loses && exchange.collision.is_some() && self.state == SaState::Established {
            self.peers_rekey_stands(env, exchange);
        } else {
            self.delete(env, CloseCause::PeerMisbehaved);
        }
    }

    /// The peer deletes this IKE SA. If it has answered our rekey, what that has made is ours to delete (RFC 7296 2.8.1),
    /// and has its keys only when the key exchange is done: this one goes then.
    pub(crate) fn close_after_rekey(&mut self, cause: CloseCause) {
        match &mut self.exchange {
            Some(Exchange::RekeyIke(x)) if x.answer.is_some() => {
                x.closes = Some(cause);
                self.begin_delete(cause);
                self.queue.clear();
            }
            _ => self.close(cause),
        }
    }

    /// This IKE SA ends while our rekey of it is not answered: if the peer has rekeyed it as well,
    /// the Child SAs live on in the SA that it made (RFC 7296 2.25.2).
    pub(crate) fn yield_to_peers_rekey(&mut self) {
        if let Some(Exchange::RekeyIke(x)) = &self.exchange
            && let Some(collision) = &x.collision
            && self.state == SaState::Established
        {
            self.bequeath(collision.successor);
        }
    }
}
