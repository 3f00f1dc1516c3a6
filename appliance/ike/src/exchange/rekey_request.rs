//! CREATE_CHILD_SA for the IKE SA, asked for by the peer (RFC 7296 1.3.2, 2.18, 2.25.2).

use super::rekey_response::RekeyCollision;
use super::{Answering, Exchange, Task};
use crate::algorithms::ke_group;
use crate::ike_sa::{HandshakeResult, IkeSa, LOSER_WAIT, REFUSED_WAIT, REPLACED_WAIT, SaState};
use crate::io::{Env, KeAnswer, KeRequest, Output, Token};
use crate::keymat::{SaKeys, Seeds, skeyseed_rekey};
use crate::message::Message;
use crate::payload::{KePayload, Notify, Payload};
use crate::registry::{ExchangeType, NotifyType};
use crate::select::{SelectedIke, select_ike, selected_ike_to_sa};
use hawser_flight::{Event, HandshakeFailure, Lineage, Role};
use hawser_policy::IkeProposal;
use std::sync::Arc;

/// A rekeyed IKE SA that the peer asked for, while its key exchange is under way.
#[derive(Debug)]
pub(crate) struct RekeyAnswer {
    selected: SelectedIke,
    spi_i: u64,
    spi_r: u64,
    nonce_i: Vec<u8>,
    nonce_r: Vec<u8>,
    /// Names the key exchange.
    pub token: Token,
}

impl RekeyAnswer {
    /// The lower of the exchange's nonces.
    pub(crate) fn lowest_nonce(&self) -> &Vec<u8> {
        (&self.nonce_i).min(&self.nonce_r)
    }
}

impl IkeSa {
    pub(crate) fn ike_rekey_request(&mut self, env: &mut Env<'_>, request: &Message) {
        match self.judge_ike_rekey(env, request) {
            Err(notify) => {
                self.respond(env, ExchangeType::CreateChildSa, &[Payload::Notify(notify)]);
            }
            Ok((answer, work)) => {
                self.out.push_back(Output::Ask(answer.token, work));
                self.answering = Some(Answering::RekeyIke(Box::new(answer)));
            }
        }
    }

    fn judge_ike_rekey(
        &mut self,
        env: &mut Env<'_>,
        request: &Message,
    ) -> Result<(RekeyAnswer, KeRequest), Notify> {
        if self.is_changing_children() || self.state != SaState::Established {
            return Err(Notify::error(NotifyType::TemporaryFailure));
        }
        let (Some(sa), Some(ke), Some(nonce)) = (request.sa(), request.ke(), request.nonce())
        else {
            return Err(Notify::error(NotifyType::InvalidSyntax));
        };
        let ours = self.ike_proposals();
        let selected = select_ike(sa, &ours, Some(ke.group));
        let spi_i = selected.as_ref().and_then(|s| s.spi);
        let (Some(selected), Some(spi_i)) = (selected, spi_i.filter(|spi| *spi != 0)) else {
            self.refused(Role::Responder, HandshakeFailure::NoProposalChosen);
            return Err(Notify::error(NotifyType::NoProposalChosen));
        };
        let group = ke_group(selected.suite.ke);
        if group != ke.group {
            let data = group.to_be_bytes().to_vec();
            return Err(Notify::status(NotifyType::InvalidKePayload, data));
        }
        let work = KeRequest::Respond {
            method: selected.suite.ke,
            peer_public: ke.data.clone(),
        };
        let answer = RekeyAnswer {
            spi_i,
            spi_r: env.spis.ike_spi(env.rng),
            nonce_i: nonce.to_vec(),
            nonce_r: env.nonce(),
            selected,
            token: self.token(),
        };
        Ok((answer, work))
    }

    pub(crate) fn answer_ike_rekey(
        &mut self,
        env: &mut Env<'_>,
        answer: &RekeyAnswer,
        key: KeAnswer,
    ) {
        let made = match key {
            KeAnswer::Responded(Ok((public, shared))) => self
                .successor_as_responder(env, answer, &shared)
                .map(|sa| (public, sa)),
            _ => None,
        };
        if self.state != SaState::Established {
            // Ours has won meanwhile, or it is being deleted.
            let error = NotifyType::TemporaryFailure;
            return self.respond_error(env, ExchangeType::CreateChildSa, error);
        }
        let Some((public, mut successor)) = made else {
            self.refused(Role::Responder, HandshakeFailure::KeyExchangeFailed);
            let error = NotifyType::InvalidSyntax;
            self.respond_error(env, ExchangeType::CreateChildSa, error);
            return self.rekey_later(env);
        };
        let local_spi = successor.local_spi();
        let collides = self.collide(answer, &mut successor);
        // The successor is there before the answer reveals its SPI.
        self.out.push_back(Output::Successor(Box::new(successor)));
        let group = ke_group(answer.selected.suite.ke);
        let payloads = vec![
            Payload::Sa(selected_ike_to_sa(&answer.selected, Some(answer.spi_r))),
            Payload::Nonce(answer.nonce_r.clone()),
            Payload::Ke(KePayload {
                group,
                data: public,
            }),
        ];
        self.respond(env, ExchangeType::CreateChildSa, &payloads);
        if !collides {
            self.bequeath(local_spi);
            self.expire_at = Some(env.now + REPLACED_WAIT);
        }
    }

    /// If we are rekeying this IKE SA as well, remembers what decides between the two.
    fn collide(&mut self, answer: &RekeyAnswer, theirs: &mut IkeSa) -> bool {
        let Some(Exchange::RekeyIke(ours)) = &mut self.exchange else {
            return false;
        };
        let collision = RekeyCollision {
            successor: theirs.local_spi(),
            lowest_nonce: answer.lowest_nonce().clone(),
            undecided: Arc::new(()),
        };
        theirs.undecided = Arc::downgrade(&collision.undecided);
        ours.collision = Some(collision);
        self.out.push_back(Output::Event(Event::Collision {
            case: "rekey IKE SA, both",
        }));
        true
    }

    /// The peer's rekey came to nothing, and ours may have given way to it: we try again.
    fn rekey_later(&mut self, env: &mut Env<'_>) {
        if self.exchange.is_none() && self.rekey_at.is_none() && self.expire_at.is_some() {
            self.defer(env, Task::RekeyIke, REFUSED_WAIT);
        }
    }

    /// What a rekey is measured against: the template's proposals, else the suite in use; none where the template allows the
    /// PRF in use no more. Then who wants to stay has to authenticate anew.
    ///
    /// A rekey never changes the PRF: RFC 7296 2.18 derives the new keys with the new one, strongSwan with the old one, and an
    /// IKE SA that has other keys at either end is dead.
    pub(crate) fn ike_proposals(&self) -> Vec<IkeProposal> {
        if self.template.ike_proposals.is_empty() {
            return vec![self.keys.suite.as_proposal()];
        }
        let ours = self.template.ike_proposals.iter();
        ours.filter_map(|p| p.with_prf(self.keys.suite.prf))
            .collect()
    }

    fn successor_as_responder(
        &self,
        env: &mut Env<'_>,
        answer: &RekeyAnswer,
        shared: &[u8],
    ) -> Option<IkeSa> {
        let seeds = Seeds {
            nonce_i: &answer.nonce_i,
            nonce_r: &answer.nonce_r,
            spi_i: answer.spi_i,
            spi_r: answer.spi_r,
        };
        let suite = answer.selected.suite;
        self.successor(env, Role::Responder, suite, &seeds, shared)
    }

    /// A rekeyed IKE SA: provisional until it inherits the Child SAs.
    pub(crate) fn successor(
        &self,
        env: &mut Env<'_>,
        role: Role,
        suite: crate::select::IkeSuite,
        seeds: &Seeds<'_>,
        shared: &[u8],
    ) -> Option<IkeSa> {
        let seed = skeyseed_rekey(&self.keys, seeds, shared);
        let keys = SaKeys::derive(suite, role, &seed, seeds).ok()?;
        let result = HandshakeResult {
            role,
            spi_i: seeds.spi_i,
            spi_r: seeds.spi_r,
            path: self.path,
            nat: self.nat,
            fragmentation: self.fragmentation,
            keys,
            template: Arc::clone(&self.template),
            local_identity: self.local_identity.clone(),
            remote_identity: self.remote_identity.clone(),
        };
        let lineage = Lineage::Rekey(self.local_spi());
        let mut sa = IkeSa::new(env, result, SaState::Provisional, lineage);
        sa.rekey_at = None;
        sa.ends_at = self.ends_at;
        sa.expire_at = Some(env.now + LOSER_WAIT);
        // New keys are no new authentication.
        sa.reauthenticate_by = self.reauthenticate_by;
        Some(sa)
    }
}
