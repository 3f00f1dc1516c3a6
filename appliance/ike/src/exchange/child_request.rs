//! CREATE_CHILD_SA for a Child SA, asked for by the peer (RFC 7296 1.3.1, 1.3.3, 2.25.1).

use super::answer_auth::{answer_payloads, reason_of};
use super::child_offer::{self, ChildOffer};
use super::child_response::ChildCollision;
use super::{Answering, Exchange};
use crate::algorithms::ke_group;
use crate::child_sa::{ChildSa, ChildState};
use crate::ike_sa::{IkeSa, MAX_CHILDREN, REFUSED_WAIT, REPLACED_WAIT, SaState};
use crate::io::{Env, KeAnswer, KeRequest, Output, Token};
use crate::message::Message;
use crate::payload::{KePayload, Notify, Payload};
use crate::registry::{ExchangeType, NotifyType};
use hawser_flight::{Event, HandshakeFailure, Lineage, Role};

/// A Child SA that the peer asked for and whose answer is being made.
#[derive(Debug)]
pub(crate) struct ChildAnswer {
    /// What we give.
    pub offer: ChildOffer,
    /// Inbound SPI of the pair that is rekeyed.
    pub rekeys: Option<u32>,
    /// The peer's nonce.
    pub nonce_i: Vec<u8>,
    /// Ours.
    pub nonce_r: Vec<u8>,
    /// The peer's public value, where there is one.
    pub peer_public: Option<Vec<u8>>,
    /// Names the key exchange that is under way.
    pub token: Option<Token>,
}

impl IkeSa {
    pub(crate) fn child_request(&mut self, env: &mut Env<'_>, request: &Message) {
        match self.judge_child_request(env, request) {
            Err(notify) => {
                self.respond(env, ExchangeType::CreateChildSa, &[Payload::Notify(notify)]);
            }
            Ok(answer) if answer.rekeys.is_some() => self.granted_child(env, answer),
            Ok(answer) => {
                self.out
                    .push_back(Output::Authorize(answer.offer.request()));
                self.answering = Some(Answering::Child(Box::new(answer)));
            }
        }
    }

    fn judge_child_request(
        &mut self,
        env: &mut Env<'_>,
        request: &Message,
    ) -> Result<ChildAnswer, Notify> {
        let replacing_ike = matches!(self.exchange, Some(Exchange::RekeyIke(_)));
        if replacing_ike || self.state != SaState::Established {
            return Err(Notify::error(NotifyType::TemporaryFailure));
        }
        let rekeys = match request.notify(NotifyType::RekeySa) {
            Some(notify) => Some(self.rekeyed_child(notify)?),
            None => None,
        };
        // A full set can still be rekeyed: each old pair may linger beside its new one.
        let limit = MAX_CHILDREN * if rekeys.is_some() { 2 } else { 1 };
        if self.children.len() >= limit {
            return Err(Notify::error(NotifyType::NoAdditionalSas));
        }
        let old = rekeys.and_then(|spi_in| self.children.iter().find(|c| c.spi_in == spi_in));
        let offer = match old {
            Some(old) => child_offer::select_rekey(&self.template, old, request),
            None => child_offer::select(&self.template, request, true),
        };
        let offer = match offer {
            Ok(offer) => offer,
            Err(error) => {
                self.refused(Role::Responder, reason_of(error));
                return Err(Notify::error(error));
            }
        };
        let peer_public = wanted_key_exchange(&offer, request)?;
        let Some(nonce_i) = request.nonce().map(<[u8]>::to_vec) else {
            return Err(Notify::error(NotifyType::InvalidSyntax));
        };
        let nonce_r = env.nonce();
        Ok(ChildAnswer {
            offer,
            rekeys,
            nonce_i,
            nonce_r,
            peer_public,
            token: None,
        })
    }

    /// The pair that REKEY_SA names by the peer's inbound SPI, if it can be rekeyed now.
    fn rekeyed_child(&self, notify: &Notify) -> Result<u32, Notify> {
        let child = notify
            .esp_spi()
            .and_then(|s| self.children.iter().find(|c| c.spi_out == s));
        match child.map(|c| (c.state, c.spi_in)) {
            Some((ChildState::Installed, spi_in)) => Ok(spi_in),
            Some(_) => Err(Notify::error(NotifyType::TemporaryFailure)),
            // It may be the pair that an exchange of ours is about to make: ask again.
            None if matches!(self.exchange, Some(Exchange::Child(_))) => {
                Err(Notify::error(NotifyType::TemporaryFailure))
            }
            None => {
                let kind = NotifyType::ChildSaNotFound;
                Err(Notify {
                    kind,
                    data: Vec::new(),
                    ..notify.clone()
                })
            }
        }
    }

    /// The shard has granted it (a rekey needs no grant): next is the key exchange, if any.
    pub(crate) fn granted_child(&mut self, env: &mut Env<'_>, mut answer: ChildAnswer) {
        match (answer.offer.selected.suite.ke, answer.peer_public.take()) {
            (Some(method), Some(peer_public)) => {
                let token = self.token();
                answer.token = Some(token);
                let work = KeRequest::Respond {
                    method,
                    peer_public,
                };
                self.out.push_back(Output::Ask(token, work));
                self.answering = Some(Answering::Child(Box::new(answer)));
            }
            _ => self.answer_child(env, answer, None),
        }
    }

    pub(crate) fn answer_child_with_key(
        &mut self,
        env: &mut Env<'_>,
        answer: ChildAnswer,
        key: KeAnswer,
    ) {
        match key {
            KeAnswer::Responded(Ok((public, shared))) => {
                self.answer_child(env, answer, Some((public, shared)));
            }
            _ => {
                self.refused(Role::Responder, HandshakeFailure::KeyExchangeFailed);
                let error = NotifyType::InvalidSyntax;
                self.respond_error(env, ExchangeType::CreateChildSa, error);
                // Ours may have given way to it.
                if let Some(old) = answer.rekeys {
                    self.renew_later(env, old);
                }
            }
        }
    }

    /// The rekey of a pair came to nothing: if nobody else is going to, we try again.
    pub(crate) fn renew_later(&mut self, env: &mut Env<'_>, spi_in: u32) {
        let lost = |c: &&mut ChildSa| {
            c.state == ChildState::Installed && c.expire_at.is_some() && c.rekey_at.is_none()
        };
        let at = env.now + REFUSED_WAIT + env.up_to(REFUSED_WAIT);
        if let Some(child) = self.child_mut(spi_in).filter(lost) {
            child.rekey_at = Some(at);
        }
    }

    /// Whether what was asked for can still be given: things may have happened since.
    fn is_still_wanted(&self, rekeys: Option<u32>) -> bool {
        self.state == SaState::Established && rekeys.is_none_or(|old| self.can_rekey(old))
    }

    /// Whether it is in use: not replaced, not deleted.
    pub(crate) fn can_rekey(&self, spi_in: u32) -> bool {
        let in_use = |c: &ChildSa| c.spi_in == spi_in && c.state == ChildState::Installed;
        self.children.iter().any(in_use)
    }

    fn answer_child(
        &mut self,
        env: &mut Env<'_>,
        answer: ChildAnswer,
        key: Option<(Vec<u8>, hawser_crypto::SharedSecret)>,
    ) {
        let ChildAnswer {
            offer,
            rekeys,
            nonce_i,
            nonce_r,
            ..
        } = answer;
        if !self.is_still_wanted(rekeys) {
            let error = NotifyType::TemporaryFailure;
            return self.respond_error(env, ExchangeType::CreateChildSa, error);
        }
        let lineage = rekeys.map_or(Lineage::Initial, |spi| Lineage::Rekey(u64::from(spi)));
        let shared = key.as_ref().map(|(_, shared)| &**shared);
        let nonces = (nonce_i.as_slice(), nonce_r.as_slice());
        let Some(spi_in) = self.install_offer(env, &offer, shared, nonces, lineage) else {
            let error = NotifyType::NoProposalChosen;
            return self.respond_error(env, ExchangeType::CreateChildSa, error);
        };
        let [sa, ts_i, ts_r] = answer_payloads(&offer, spi_in);
        let mut payloads = vec![sa, Payload::Nonce(nonce_r.clone())];
        if let (Some((public, _)), Some(method)) = (key, offer.selected.suite.ke) {
            payloads.push(Payload::Ke(KePayload {
                group: ke_group(method),
                data: public,
            }));
        }
        payloads.extend([ts_i, ts_r]);
        self.respond(env, ExchangeType::CreateChildSa, &payloads);
        if let Some(old) = rekeys {
            self.replaced_by_peer(env, old, spi_in, nonce_i.min(nonce_r));
        }
    }

    /// The peer has rekeyed `old`; it will delete it. If we are rekeying it as well, remember
    /// what decides between the two.
    fn replaced_by_peer(&mut self, env: &Env<'_>, old: u32, new: u32, lowest_nonce: Vec<u8>) {
        if let Some(Exchange::Child(ours)) = &mut self.exchange
            && ours.rekeys == Some(old)
        {
            ours.collision = Some(ChildCollision {
                spi_in: new,
                lowest_nonce,
            });
            self.out.push_back(Output::Event(Event::Collision {
                case: "rekey child, both",
            }));
        }
        if let Some(child) = self.child_mut(old) {
            child.replace(env.now + REPLACED_WAIT);
        }
    }
}

/// The peer's public value, if the selected algorithms want one; INVALID_KE_PAYLOAD if it is of
/// another group (RFC 7296 1.3).
fn wanted_key_exchange(offer: &ChildOffer, request: &Message) -> Result<Option<Vec<u8>>, Notify> {
    let Some(method) = offer.selected.suite.ke else {
        return Ok(None);
    };
    let group = ke_group(method);
    match request.ke() {
        Some(ke) if ke.group == group => Ok(Some(ke.data.clone())),
        Some(_) => Err(Notify::status(
            NotifyType::InvalidKePayload,
            group.to_be_bytes().to_vec(),
        )),
        None => Err(Notify::error(NotifyType::InvalidSyntax)),
    }
}
