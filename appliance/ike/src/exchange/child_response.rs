//! CREATE_CHILD_SA for a Child SA, asked for by us (RFC 7296 1.3.1, 1.3.3, 2.25.1).

use super::child_offer::narrow;
use super::{Exchange, Task};
use crate::algorithms::{ke_from_group, ke_group};
use crate::child_sa::{ChildParts, ChildSa, ChildState};
use crate::ike_sa::{IkeSa, LOSER_WAIT, REFUSED_WAIT, RETRY_WAIT, SaState};
use crate::io::{Env, KeAnswer, KeRequest, Output, Token};
use crate::keymat::ChildKeys;
use crate::message::Message;
use crate::payload::{KePayload, Notify, Payload};
use crate::registry::{ExchangeType, NotifyType, ProtocolId};
use crate::select::{SelectedEsp, confirm_esp, esp_proposals_to_sa};
use hawser_crypto::{KePrivate, KeyExchange};
use hawser_flight::{CloseCause, HandshakeFailure, Lineage, Role};
use hawser_policy::TrafficSelector;
use std::time::{Duration, Instant};

/// A Child SA that we are asking for.
#[derive(Debug)]
pub(crate) struct ChildExchange {
    /// Inbound SPI of the pair that is rekeyed.
    pub rekeys: Option<u32>,
    /// Index of its template in the peer template.
    pub child: usize,
    /// Our inbound SPI for it.
    pub spi_in: u32,
    /// Our nonce.
    pub nonce: Vec<u8>,
    /// The key exchange we offer.
    pub method: Option<KeyExchange>,
    /// The peer has demanded that key exchange; it may do so once.
    pub demanded: bool,
    /// Our private half.
    pub private: Option<KePrivate>,
    /// Names the key exchange that is under way.
    pub token: Option<Token>,
    /// What the peer answered, while the shared secret is computed.
    pub answer: Option<ChildResponse>,
    /// The peer has rekeyed the same pair meanwhile.
    pub collision: Option<ChildCollision>,
}

/// The peer's rekey of a pair that we are rekeying.
#[derive(Debug)]
pub(crate) struct ChildCollision {
    /// Inbound SPI of the pair it made.
    pub spi_in: u32,
    /// The lower of that exchange's nonces.
    pub lowest_nonce: Vec<u8>,
}

/// What the peer answered.
#[derive(Debug)]
pub(crate) struct ChildResponse {
    confirmed: SelectedEsp,
    nonce: Vec<u8>,
    local: Vec<TrafficSelector>,
    remote: Vec<TrafficSelector>,
}

impl ChildExchange {
    fn task(&self) -> Task {
        self.rekeys
            .map_or(Task::CreateChild(self.child), Task::RekeyChild)
    }
}

impl IkeSa {
    pub(crate) fn begin_child_rekey(&mut self, env: &mut Env<'_>, spi_in: u32) {
        let installed = |c: &&ChildSa| c.spi_in == spi_in && c.state == ChildState::Installed;
        if let Some(child) = self.children.iter().find(installed).map(|c| c.child) {
            self.begin_child(env, child, Some(spi_in));
        }
    }

    /// Whether a Child SA by this template is in use, and not believed to be lost by the peer.
    pub fn has_child(&self, child: usize) -> bool {
        let there =
            |c: &ChildSa| c.child == child && c.state == ChildState::Installed && !c.doubted;
        self.children.iter().any(there)
    }

    /// Since when the peer has put off every Child SA that we asked for, new or rekeyed, with TEMPORARY_FAILURE.
    pub fn put_off_since(&self) -> Option<Instant> {
        self.put_off
    }

    /// The owner believes that the peer has lost a Child SA, and knows nothing of what has replaced that: another may be
    /// made beside them.
    pub fn doubt_child(&mut self, spi_in: u32) {
        for child in &mut self.children {
            child.doubted |= child.spi_in == spi_in || child.predecessor == Some(spi_in);
        }
    }

    pub(crate) fn begin_child(&mut self, env: &mut Env<'_>, child: usize, rekeys: Option<u32>) {
        let Some(settings) = self.template.children.get(child) else {
            return;
        };
        let method = settings
            .proposals
            .first()
            .and_then(|p| p.ke.first().copied());
        self.begin_child_with(env, child, rekeys, method, false);
    }

    fn begin_child_with(
        &mut self,
        env: &mut Env<'_>,
        child: usize,
        rekeys: Option<u32>,
        method: Option<KeyExchange>,
        demanded: bool,
    ) {
        self.early_deletes.clear();
        let mut exchange = Box::new(ChildExchange {
            rekeys,
            child,
            spi_in: env.spis.esp_spi(env.rng),
            nonce: env.nonce(),
            method,
            demanded,
            private: None,
            token: None,
            answer: None,
            collision: None,
        });
        match method {
            Some(method) => {
                let token = self.token();
                exchange.token = Some(token);
                self.out
                    .push_back(Output::Ask(token, KeRequest::Generate(method)));
                self.exchange = Some(Exchange::Child(exchange));
            }
            None => self.send_child_request(env, exchange, None),
        }
    }

    fn send_child_request(
        &mut self,
        env: &mut Env<'_>,
        exchange: Box<ChildExchange>,
        public: Option<Vec<u8>>,
    ) {
        let Some(settings) = self.template.children.get(exchange.child) else {
            return;
        };
        let old = self
            .children
            .iter()
            .find(|c| Some(c.spi_in) == exchange.rekeys);
        let mut payloads = Vec::new();
        if let Some(old) = old {
            // REKEY_SA names the SPI that we would receive on (RFC 7296 1.3.3).
            let spi = old.spi_in.to_be_bytes().to_vec();
            let (protocol, kind) = (ProtocolId::Esp, NotifyType::RekeySa);
            payloads.push(Payload::Notify(Notify {
                protocol,
                spi,
                kind,
                data: Vec::new(),
            }));
        }
        let (local, remote) = old.map_or_else(
            || (settings.local.clone(), settings.remote.clone()),
            |old| (old.local.clone(), old.remote.clone()),
        );
        let with_ke = exchange.method.is_some();
        let sa = esp_proposals_to_sa(&settings.proposals, exchange.spi_in, with_ke);
        payloads.extend([Payload::Sa(sa), Payload::Nonce(exchange.nonce.clone())]);
        if let (Some(method), Some(data)) = (exchange.method, public) {
            payloads.push(Payload::Ke(KePayload {
                group: ke_group(method),
                data,
            }));
        }
        payloads.extend([Payload::TsI(local), Payload::TsR(remote)]);
        let schedule = self.backoff();
        self.send_request(env, ExchangeType::CreateChildSa, &payloads, schedule);
        self.exchange = Some(Exchange::Child(exchange));
    }

    /// Our key pair is made, or the shared secret is computed.
    pub(crate) fn child_key_exchanged(
        &mut self,
        env: &mut Env<'_>,
        mut exchange: Box<ChildExchange>,
        answer: KeAnswer,
    ) {
        if self.state != SaState::Established {
            // It ends, and what the peer may have made ends with it.
            return;
        }
        match answer {
            KeAnswer::Generated(Ok((private, public))) => {
                let gone = exchange.rekeys.is_some_and(|old| !self.can_rekey(old));
                if gone {
                    return;
                }
                exchange.private = Some(private);
                exchange.token = None;
                self.send_child_request(env, exchange, Some(public));
            }
            KeAnswer::Agreed(Ok(shared)) => self.finish_child(env, &exchange, Some(&shared)),
            KeAnswer::Agreed(Err(_)) => {
                self.child_unusable(env, &exchange, HandshakeFailure::KeyExchangeFailed);
            }
            KeAnswer::Generated(Err(_)) | KeAnswer::Responded(_) => {
                self.child_failed(env, &exchange, HandshakeFailure::KeyExchangeFailed);
            }
        }
    }

    pub(crate) fn child_response(
        &mut self,
        env: &mut Env<'_>,
        mut exchange: Box<ChildExchange>,
        response: &Message,
        valid: bool,
    ) {
        if self.state != SaState::Established {
            return;
        }
        let error = response.error().map(|error| error.kind);
        let before = self.put_off.or(Some(env.now));
        self.put_off = before.filter(|_| error == Some(NotifyType::TemporaryFailure));
        if let Some(error) = error {
            return self.child_refused(env, &exchange, response, error);
        }
        let Some(answer) = self
            .read_child_response(&exchange, response)
            .filter(|_| valid)
        else {
            return self.child_unusable(env, &exchange, HandshakeFailure::InvalidMessage);
        };
        exchange.answer = Some(answer);
        match (exchange.method, exchange.private.take(), response.ke()) {
            (None, ..) => self.finish_child(env, &exchange, None),
            (Some(method), Some(private), Some(ke)) if ke.group == ke_group(method) => {
                let token = self.token();
                exchange.token = Some(token);
                let work = KeRequest::Agree {
                    private,
                    peer_public: ke.data.clone(),
                };
                self.out.push_back(Output::Ask(token, work));
                self.exchange = Some(Exchange::Child(exchange));
            }
            _ => self.child_unusable(env, &exchange, HandshakeFailure::InvalidMessage),
        }
    }

    fn read_child_response(
        &self,
        exchange: &ChildExchange,
        response: &Message,
    ) -> Option<ChildResponse> {
        let settings = self.template.children.get(exchange.child)?;
        let with_ke = exchange.method.is_some();
        let confirmed = confirm_esp(response.sa()?, &settings.proposals, with_ke)?;
        let old = self
            .children
            .iter()
            .find(|c| Some(c.spi_in) == exchange.rekeys);
        let (local, remote) = old.map_or((&settings.local, &settings.remote), |old| {
            (&old.local, &old.remote)
        });
        let (local, remote) = agreed(response, local, remote)?;
        let nonce = response.nonce()?.to_vec();
        Some(ChildResponse {
            confirmed,
            nonce,
            local,
            remote,
        })
    }

    fn finish_child(&mut self, env: &mut Env<'_>, exchange: &ChildExchange, shared: Option<&[u8]>) {
        let Some(answer) = &exchange.answer else {
            return self.child_unusable(env, exchange, HandshakeFailure::Internal);
        };
        if self.early_deletes.contains(&answer.confirmed.spi) {
            return self.deleted_before_it_was(exchange);
        }
        let suite = answer.confirmed.suite;
        let (nonce_i, nonce_r) = (&exchange.nonce, &answer.nonce);
        let Ok(keys) = ChildKeys::derive(&self.keys, &suite, shared, nonce_i, nonce_r) else {
            return self.child_unusable(env, exchange, HandshakeFailure::Internal);
        };
        let wins = self.wins_collision(exchange, nonce_i.min(nonce_r));
        let parts = ChildParts {
            spi_in: exchange.spi_in,
            spi_out: answer.confirmed.spi,
            suite,
            child: exchange.child,
            local: answer.local.clone(),
            remote: answer.remote.clone(),
            keys,
            role: Role::Initiator,
            lineage: exchange
                .rekeys
                .map_or(Lineage::Initial, |s| Lineage::Rekey(u64::from(s))),
            outbound: wins,
        };
        self.install(env, parts);
        if wins {
            self.replace_child(env, exchange);
        } else {
            if let Some(loser) = self.child_mut(exchange.spi_in) {
                loser.replace(env.now + LOSER_WAIT);
            }
            self.end_child(exchange.spi_in, CloseCause::RekeyCollision);
        }
    }

    /// The peer's DELETE of the new pair was faster than its answer that made it: it wants neither
    /// the new one nor the old one.
    fn deleted_before_it_was(&mut self, exchange: &ChildExchange) {
        if let Some(old) = exchange.rekeys {
            self.end_child(old, CloseCause::DeletedByPeer);
        }
    }

    /// Of two pairs that a simultaneous rekey made, the one whose exchange has the lowest of the
    /// four nonces goes, closed by its initiator (RFC 7296 2.8.1).
    fn wins_collision(&self, exchange: &ChildExchange, ours: &Vec<u8>) -> bool {
        let under_way = match &self.answering {
            Some(super::Answering::Child(a)) if a.rekeys == exchange.rekeys => {
                a.rekeys.map(|_| a.nonce_i.clone().min(a.nonce_r.clone()))
            }
            _ => None,
        };
        let theirs = exchange.collision.as_ref().map(|c| &c.lowest_nonce);
        theirs
            .or(under_way.as_ref())
            .is_none_or(|theirs| ours > theirs)
    }

    /// Our new pair stands: the old one, and what the peer made beside it, go.
    fn replace_child(&mut self, env: &Env<'_>, exchange: &ChildExchange) {
        if let Some(collision) = &exchange.collision
            && let Some(loser) = self.child_mut(collision.spi_in)
        {
            loser.replace(env.now + LOSER_WAIT);
        }
        if let Some(old) = exchange.rekeys
            && let Some(child) = self.child_mut(old)
        {
            child.replace(env.now + LOSER_WAIT);
            self.end_child(old, CloseCause::Rekeyed);
        }
    }

    fn child_refused(
        &mut self,
        env: &mut Env<'_>,
        exchange: &ChildExchange,
        response: &Message,
        error: NotifyType,
    ) {
        if exchange.collision.is_some() {
            return;
        }
        match error {
            NotifyType::InvalidKePayload => self.retry_with_group(env, exchange, response),
            NotifyType::TemporaryFailure => self.defer(env, exchange.task(), RETRY_WAIT),
            NotifyType::ChildSaNotFound => self.child_unknown_to_peer(env, exchange),
            NotifyType::TsUnacceptable => {
                self.child_failed(env, exchange, HandshakeFailure::TsUnacceptable);
            }
            _ => self.child_failed(env, exchange, HandshakeFailure::NoProposalChosen),
        }
    }

    fn retry_with_group(
        &mut self,
        env: &mut Env<'_>,
        exchange: &ChildExchange,
        response: &Message,
    ) {
        let wanted = response.notify(NotifyType::InvalidKePayload);
        let group = wanted.and_then(|n| <[u8; 2]>::try_from(n.data.as_slice()).ok());
        let method = group.and_then(|g| ke_from_group(u16::from_be_bytes(g)));
        let ours = |m: &KeyExchange| {
            let settings = self.template.children.get(exchange.child);
            settings.is_some_and(|s| s.proposals.iter().any(|p| p.ke.contains(m)))
        };
        match method.filter(ours) {
            Some(method) if Some(method) != exchange.method && !exchange.demanded => {
                self.begin_child_with(env, exchange.child, exchange.rekeys, Some(method), true);
            }
            _ => self.child_failed(env, exchange, HandshakeFailure::NoProposalChosen),
        }
    }

    /// The peer does not know the pair: it goes, and a new one is made (RFC 7296 2.25).
    fn child_unknown_to_peer(&mut self, env: &mut Env<'_>, exchange: &ChildExchange) {
        let Some(old) = exchange.rekeys else {
            return self.child_failed(env, exchange, HandshakeFailure::NoProposalChosen);
        };
        if self.can_rekey(old) {
            self.children.retain(|c| c.spi_in != old);
            let (cause, linger) = (CloseCause::UnknownToPeer, Duration::ZERO);
            self.out.push_back(Output::RemoveChild {
                spi_in: old,
                cause,
                linger,
            });
            self.enqueue(Task::CreateChild(exchange.child));
        }
    }

    /// The peer has made the pair, but its answer is of no use: it is told, and asked again later.
    fn child_unusable(
        &mut self,
        env: &mut Env<'_>,
        exchange: &ChildExchange,
        reason: HandshakeFailure,
    ) {
        self.enqueue(Task::Disown(exchange.spi_in));
        self.child_failed(env, exchange, reason);
    }

    /// Whether the pair has a limit of its own; one without is not rekeyed at any price.
    fn must_renew(&self, spi_in: u32) -> bool {
        let settings = |c: &ChildSa| self.template.children.get(c.child);
        let by_bytes = |c: &ChildSa| settings(c).is_some_and(|s| s.lifetimes.bytes.is_some());
        let limited = |c: &ChildSa| c.expire_at.is_some() || by_bytes(c);
        self.children
            .iter()
            .any(|c| c.spi_in == spi_in && limited(c))
    }

    fn child_failed(
        &mut self,
        env: &mut Env<'_>,
        exchange: &ChildExchange,
        reason: HandshakeFailure,
    ) {
        self.refused(Role::Initiator, reason);
        if exchange.collision.is_none() && exchange.rekeys.is_none_or(|old| self.must_renew(old)) {
            self.defer(env, exchange.task(), REFUSED_WAIT);
        }
    }
}

/// What both sides want, as the peer's answer (TSi: ours, TSr: its) says; `None` where that is
/// nothing.
pub(crate) fn agreed(
    response: &Message,
    local: &[TrafficSelector],
    remote: &[TrafficSelector],
) -> Option<(Vec<TrafficSelector>, Vec<TrafficSelector>)> {
    let local = narrow(response.ts_i()?, local);
    let remote = narrow(response.ts_r()?, remote);
    (!local.is_empty() && !remote.is_empty()).then_some((local, remote))
}
