//! The answer to IKE_AUTH (RFC 7296 1.2), once the shard has decided.

use super::child_offer::ChildOffer;
use super::child_request::ChildAnswer;
use super::{Answering, Exchange};
use crate::auth::{SignedOctets, shared_key_mac};
use crate::child_sa::{ChildParts, ChildSa};
use crate::ike_sa::{IkeSa, PendingAuth, SaState};
use crate::io::{ChildRefusal, Env, Output};
use crate::keymat::ChildKeys;
use crate::payload::{AuthPayload, Notify, Payload};
use crate::registry::{AuthMethod, ExchangeType, NotifyType};
use crate::select::selected_esp_to_sa;
use hawser_flight::{CloseCause, HandshakeFailure, Lineage, Role};
use hawser_policy::TrafficSelector;

impl IkeSa {
    /// What the peer asked for is granted, with these selectors (`local`, `remote`): those asked
    /// for, or fewer.
    pub fn grant(
        &mut self,
        env: &mut Env<'_>,
        local: Vec<TrafficSelector>,
        remote: Vec<TrafficSelector>,
    ) {
        match self.answering.take() {
            Some(Answering::Auth { child, pending }) => {
                let granted = |offer| ChildOffer {
                    local,
                    remote,
                    ..offer
                };
                let child = child.map(|c| c.map(granted).map_err(|e| (e, reason_of(e))));
                self.answer_auth(env, child, &pending);
            }
            Some(Answering::Child(answer)) if answer.token.is_none() => {
                self.granted_child(
                    env,
                    ChildAnswer {
                        offer: ChildOffer {
                            local,
                            remote,
                            ..answer.offer.clone()
                        },
                        ..*answer
                    },
                );
            }
            other => self.answering = other,
        }
        self.pump(env);
    }

    /// What the peer asked for is refused: the Child SA, or (in IKE_AUTH) the whole IKE SA.
    pub fn refuse(&mut self, env: &mut Env<'_>, refusal: ChildRefusal) {
        match (self.answering.take(), refusal) {
            (Some(Answering::Auth { .. }), ChildRefusal::NotAuthorized) => {
                let error = NotifyType::AuthenticationFailed;
                self.respond_error(env, ExchangeType::IkeAuth, error);
                self.close(CloseCause::ConfigurationChanged);
            }
            (Some(Answering::Auth { pending, .. }), ChildRefusal::Selectors(reason)) => {
                let refused = Err((NotifyType::TsUnacceptable, reason));
                self.answer_auth(env, Some(refused), &pending);
            }
            (Some(Answering::Child(answer)), refusal) if answer.token.is_none() => {
                let error = NotifyType::TsUnacceptable;
                self.refused(Role::Responder, refusal.reason());
                self.respond_error(env, ExchangeType::CreateChildSa, error);
            }
            (other, _) => self.answering = other,
        }
        self.pump(env);
    }

    fn answer_auth(
        &mut self,
        env: &mut Env<'_>,
        child: Option<Result<ChildOffer, (NotifyType, HandshakeFailure)>>,
        pending: &PendingAuth,
    ) {
        let signed = SignedOctets {
            init_message: &pending.init_response,
            other_nonce: &pending.nonce_i,
            identity: &self.local_identity,
        };
        let data = shared_key_mac(&self.keys, Role::Responder, &pending.secret, &signed);
        let mut payloads = vec![
            Payload::IdR(self.local_identity.clone()),
            Payload::Auth(AuthPayload {
                method: AuthMethod::SharedKey,
                data,
            }),
        ];
        self.state = SaState::Established;
        match child {
            None => {}
            Some(Err((error, reason))) => {
                self.refused(Role::Responder, reason);
                payloads.push(Payload::Notify(Notify::error(error)));
            }
            Some(Ok(offer)) => {
                let nonces = (pending.nonce_i.as_slice(), pending.nonce_r.as_slice());
                match self.install_offer(env, &offer, None, nonces, Lineage::Initial) {
                    Some(spi_in) => payloads.extend(answer_payloads(&offer, spi_in)),
                    None => {
                        let notify = Notify::error(NotifyType::NoProposalChosen);
                        payloads.push(Payload::Notify(notify));
                    }
                }
            }
        }
        self.respond(env, ExchangeType::IkeAuth, &payloads);
    }

    /// Installs what we, the responder of the exchange, have granted; its inbound SPI.
    pub(crate) fn install_offer(
        &mut self,
        env: &mut Env<'_>,
        offer: &ChildOffer,
        shared: Option<&[u8]>,
        (nonce_i, nonce_r): (&[u8], &[u8]),
        lineage: Lineage,
    ) -> Option<u32> {
        let suite = offer.selected.suite;
        let keys = ChildKeys::derive(&self.keys, &suite, shared, nonce_i, nonce_r).ok();
        let Some(keys) = keys else {
            self.refused(Role::Responder, HandshakeFailure::Internal);
            return None;
        };
        let spi_in = env.spis.esp_spi(env.rng);
        let parts = ChildParts {
            spi_in,
            spi_out: offer.selected.spi,
            suite,
            child: offer.child,
            local: offer.local.clone(),
            remote: offer.remote.clone(),
            keys,
            role: Role::Responder,
            lineage,
            // Only the responder of a rekey waits to send on the new pair.
            outbound: lineage == Lineage::Initial,
        };
        self.install(env, parts);
        Some(spi_in)
    }

    pub(crate) fn install(&mut self, env: &mut Env<'_>, parts: ChildParts) {
        let Some(settings) = self.template.children.get(parts.child) else {
            return;
        };
        let lifetimes = settings.lifetimes;
        let (child, install) = ChildSa::new(parts, &lifetimes, self.leads(), env);
        self.children.push(child);
        self.out.push_back(Output::InstallChild(install));
    }

    /// Whether an exchange of ours for Child SAs is under way (RFC 7296 2.25.2).
    pub(crate) fn is_changing_children(&self) -> bool {
        matches!(
            self.exchange,
            Some(Exchange::Child(_) | Exchange::DeleteChild(..) | Exchange::Disown)
        )
    }
}

/// Why a Child SA is refused, for the record.
pub(crate) fn reason_of(error: NotifyType) -> HandshakeFailure {
    match error {
        NotifyType::TsUnacceptable => HandshakeFailure::TsUnacceptable,
        NotifyType::InvalidSyntax => HandshakeFailure::InvalidMessage,
        _ => HandshakeFailure::NoProposalChosen,
    }
}

/// SA, TSi and TSr of our answer.
pub(crate) fn answer_payloads(offer: &ChildOffer, spi_in: u32) -> [Payload; 3] {
    [
        Payload::Sa(selected_esp_to_sa(&offer.selected, spi_in)),
        Payload::TsI(offer.remote.clone()),
        Payload::TsR(offer.local.clone()),
    ]
}
