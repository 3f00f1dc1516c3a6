//! The responder's half-open SA.

use super::{header, init_notify, local_identity};
use crate::algorithms::ke_group;
use crate::auth::{SignedOctets, verify_shared_key_mac};
use crate::exchange::child_offer::{self, ChildOffer};
use crate::fragment::Reassembly;
use crate::ike_sa::{HandshakeResult, IkeSa};
use crate::io::{AuthRequest, ChildRequest, Env, KeRequest};
use crate::iv::iv_source;
use crate::keymat::{SaKeys, Seeds, skeyseed};
use crate::message::Message;
use crate::nat::{self, NatState};
use crate::payload::{KePayload, Notify, Payload, parse_chain};
use crate::protect::{self, Opened};
use crate::registry::{AuthMethod, ExchangeType, NotifyType, PayloadType};
use crate::rules;
use crate::select::{IkeSuite, SelectedIke, select_ike, selected_ike_to_sa};
use hawser_crypto::{KeError, SharedSecret};
use hawser_flight::{HandshakeFailure, MessageError, Path, Role};
use hawser_policy::{Candidate, IkeProposal, PeerTemplate, Policy};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Why an IKE_SA_INIT request makes no half-open SA.
#[derive(Debug)]
pub enum InitRefusal {
    /// Not answered.
    Silent(MessageError),
    /// Answered with an error.
    Reply(Vec<u8>, HandshakeFailure),
    /// Answered with a demand for another key exchange: the peer will try again.
    Demand(Vec<u8>),
}

/// What an IKE_AUTH request leads to.
#[derive(Debug)]
pub enum AuthOutcome {
    /// A fragment; more are needed.
    Incomplete,
    /// Nothing, or the same answer again (to be sent to where the request came from).
    Ignored(MessageError, Vec<Vec<u8>>),
    /// Refused: the answer to send, the claimed identity, and why.
    Refused(Vec<Vec<u8>>, Option<String>, HandshakeFailure),
    /// An IKE SA that waits for [`IkeSa::grant`] or [`IkeSa::refuse`].
    Authenticated(Box<IkeSa>, AuthRequest),
}

/// A half-open SA that a peer began.
#[derive(Debug)]
pub struct Responder {
    /// The initiator's SPI.
    pub spi_i: u64,
    /// Ours.
    pub spi_r: u64,
    /// Where its IKE_SA_INIT came from.
    pub path: Path,
    /// When it came.
    pub created: Instant,
    selected: SelectedIke,
    nat: NatState,
    fragmentation: bool,
    force_encapsulation: bool,
    nonce_i: Vec<u8>,
    nonce_r: Vec<u8>,
    init_request: Vec<u8>,
    init_response: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Our public value is being made.
    AwaitKe,
    /// IKE_SA_INIT is answered.
    AwaitAuth(Box<SaKeys>, Reassembly),
    /// IKE_AUTH is answered with an error; the keys, unless an IKE SA had taken them.
    Refused(Option<Box<SaKeys>>, Vec<Vec<u8>>),
    /// It has become an IKE SA, or its key exchange failed.
    Done,
}

impl Responder {
    /// Judges an IKE_SA_INIT request whose source has been admitted (cookie, rate).
    ///
    /// # Errors
    /// When the request makes no half-open SA: see [`InitRefusal`].
    pub fn begin(
        env: &mut Env<'_>,
        path: Path,
        request: &Message,
        datagram: &[u8],
        proposals: &[IkeProposal],
        force_encapsulation: bool,
    ) -> Result<(Self, KeRequest), InitRefusal> {
        rules::check(ExchangeType::IkeSaInit, false, &request.payloads)
            .map_err(InitRefusal::Silent)?;
        let (Some(sa), Some(ke), Some(nonce)) = (request.sa(), request.ke(), request.nonce())
        else {
            return Err(InitRefusal::Silent(MessageError::PayloadRules));
        };
        let Some(selected) = select_ike(sa, proposals, Some(ke.group)) else {
            let reply = init_notify(&request.header, Notify::error(NotifyType::NoProposalChosen));
            return Err(InitRefusal::Reply(
                reply,
                HandshakeFailure::NoProposalChosen,
            ));
        };
        let group = ke_group(selected.suite.ke);
        if group != ke.group {
            let wanted = Notify::status(NotifyType::InvalidKePayload, group.to_be_bytes().to_vec());
            return Err(InitRefusal::Demand(init_notify(&request.header, wanted)));
        }
        let work = KeRequest::Respond {
            method: selected.suite.ke,
            peer_public: ke.data.clone(),
        };
        let responder = Self {
            spi_i: request.header.spi_i,
            spi_r: env.spis.ike_spi(env.rng),
            path,
            created: env.now,
            nat: NatState::detect(request, &path, force_encapsulation),
            fragmentation: request.notify(NotifyType::FragmentationSupported).is_some(),
            force_encapsulation,
            nonce_i: nonce.to_vec(),
            nonce_r: env.nonce(),
            selected,
            init_request: datagram.to_vec(),
            init_response: Vec::new(),
            state: State::AwaitKe,
        };
        Ok((responder, work))
    }

    /// The key exchange is done: the IKE_SA_INIT response, to be sent to `path`.
    ///
    /// # Errors
    /// When the peer's public value was bad: the half-open SA is of no use any more.
    pub fn key_exchanged(
        &mut self,
        result: Result<(Vec<u8>, SharedSecret), KeError>,
    ) -> Result<Vec<u8>, HandshakeFailure> {
        if !matches!(self.state, State::AwaitKe) {
            return Err(HandshakeFailure::Internal);
        }
        self.state = State::Done;
        let (public, shared) = result.map_err(|_| HandshakeFailure::KeyExchangeFailed)?;
        let suite: IkeSuite = self.selected.suite;
        let seeds = Seeds {
            nonce_i: &self.nonce_i,
            nonce_r: &self.nonce_r,
            spi_i: self.spi_i,
            spi_r: self.spi_r,
        };
        let seed = skeyseed(suite.prf, &seeds, &shared);
        let keys = SaKeys::derive(suite, Role::Responder, &seed, &seeds)
            .map_err(|_| HandshakeFailure::Internal)?;
        self.init_response = self.encode_response(public);
        self.state = State::AwaitAuth(Box::new(keys), Reassembly::default());
        Ok(self.init_response.clone())
    }

    fn encode_response(&self, public: Vec<u8>) -> Vec<u8> {
        let mut payloads = vec![
            Payload::Sa(selected_ike_to_sa(&self.selected, None)),
            Payload::Ke(KePayload {
                group: ke_group(self.selected.suite.ke),
                data: public,
            }),
            Payload::Nonce(self.nonce_r.clone()),
        ];
        let force = self.force_encapsulation;
        payloads.extend(nat::notifies(self.spi_i, self.spi_r, &self.path, force));
        if self.fragmentation {
            let kind = NotifyType::FragmentationSupported;
            payloads.push(Payload::Notify(Notify::status(kind, Vec::new())));
        }
        let spis = (self.spi_i, self.spi_r);
        let header = header(spis, ExchangeType::IkeSaInit, 0, false, true);
        Message { header, payloads }.encode_clear()
    }

    /// The answer to IKE_SA_INIT, from when it is made until the peer is authenticated.
    pub fn init_response(&self) -> Option<&[u8]> {
        (!self.init_response.is_empty()).then_some(&self.init_response)
    }

    /// The same IKE_SA_INIT came again: its answer, if it is made already.
    pub fn repeat_init(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let same = datagram == self.init_request && !self.init_response.is_empty();
        same.then(|| self.init_response.clone())
    }

    /// Its keys, where it has them.
    pub(crate) fn keys(&self) -> Option<&SaKeys> {
        match &self.state {
            State::AwaitAuth(keys, _) | State::Refused(Some(keys), _) => Some(keys),
            State::AwaitKe | State::Refused(None, _) | State::Done => None,
        }
    }

    /// Whether its IKE_AUTH was answered with an error, and only the answer is kept.
    pub fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused(..))
    }

    /// The IKE SA that it became was refused with this answer to IKE_AUTH, which is kept for a peer
    /// that did not get it.
    pub fn refused(&mut self, answer: Vec<Vec<u8>>) {
        self.state = State::Refused(None, answer);
    }

    /// Whether `datagram` is the request that began this half-open SA.
    pub fn began_with(&self, datagram: &[u8]) -> bool {
        datagram == self.init_request
    }

    /// An IKE_AUTH request.
    pub fn auth(
        &mut self,
        env: &mut Env<'_>,
        path: Path,
        datagram: &mut Vec<u8>,
        policy: &Policy,
    ) -> AuthOutcome {
        let (keys, reassembly) = match &mut self.state {
            State::AwaitAuth(keys, reassembly) => (keys, reassembly),
            State::Refused(_, answer) => {
                return AuthOutcome::Ignored(MessageError::Retransmission, answer.clone());
            }
            State::AwaitKe | State::Done => {
                return AuthOutcome::Ignored(MessageError::BadExchange, Vec::new());
            }
        };
        let silent = |reason| AuthOutcome::Ignored(reason, Vec::new());
        let (header, opened) = match protect::open(datagram, &keys.inbound) {
            Ok(opened) => opened,
            Err(reason) => return silent(reason),
        };
        let flags = header.flags;
        if (header.spi_i, header.spi_r) != (self.spi_i, self.spi_r)
            || !flags.initiator
            || flags.response
        {
            return silent(MessageError::BadFlags);
        }
        if header.exchange != ExchangeType::IkeAuth || header.message_id != 1 {
            return silent(MessageError::BadExchange);
        }
        let (first, body) = match opened {
            Opened::Whole { first, body } => (first, body),
            Opened::Fragment {
                first,
                number,
                total,
                body,
            } => match reassembly.add(number, total, first, body) {
                Ok(Some(whole)) => whole,
                Ok(None) => return AuthOutcome::Incomplete,
                Err(reason) => return silent(reason),
            },
        };
        self.judge(env, path, header, first, &body, policy)
    }

    fn judge(
        &mut self,
        env: &mut Env<'_>,
        path: Path,
        header: crate::header::Header,
        first: PayloadType,
        body: &[u8],
        policy: &Policy,
    ) -> AuthOutcome {
        let payloads = match parse_chain(first, body) {
            Ok(payloads) => payloads,
            Err(error) => {
                return self.refuse(env, error.notify(), None, HandshakeFailure::InvalidMessage);
            }
        };
        let request = Message { header, payloads };
        let claimed = request.id_i().map(ToString::to_string);
        if request.auth().is_none() && claimed.is_some() {
            // Without AUTH the initiator asks for EAP (RFC 7296 2.16).
            let notify = Notify::error(NotifyType::AuthenticationFailed);
            return self.refuse(env, notify, claimed, HandshakeFailure::EapNotSupported);
        }
        if rules::check(ExchangeType::IkeAuth, false, &request.payloads).is_err() {
            let notify = Notify::error(NotifyType::InvalidSyntax);
            return self.refuse(env, notify, None, HandshakeFailure::InvalidMessage);
        }
        match self.verify(&path, &request, policy) {
            Some(candidate) => self.authenticated(env, path, &request, policy, candidate),
            None => {
                let notify = Notify::error(NotifyType::AuthenticationFailed);
                let reason = HandshakeFailure::AuthenticationFailed;
                self.refuse(env, notify, claimed, reason)
            }
        }
    }

    /// The candidate whose secret verifies the AUTH payload. An unknown identity and a wrong
    /// secret look alike.
    fn verify(&self, path: &Path, request: &Message, policy: &Policy) -> Option<Candidate> {
        let State::AwaitAuth(keys, _) = &self.state else {
            return None;
        };
        let (identity, auth) = (request.id_i()?, request.auth()?);
        if auth.method != AuthMethod::SharedKey {
            return None;
        }
        let signed = SignedOctets {
            init_message: &self.init_request,
            other_nonce: &self.nonce_r,
            identity,
        };
        let suits = |c: &Candidate| self.suite_suits(policy.template(c.template));
        let candidates = policy
            .pad
            .candidates(path.local.ip(), path.remote.ip(), identity);
        candidates
            .into_iter()
            .filter(suits)
            .find(|c| verify_shared_key_mac(keys, Role::Initiator, &c.secret, &signed, &auth.data))
    }

    /// Whether the template allows the suite that the IKE policy of our address let through.
    fn suite_suits(&self, template: &PeerTemplate) -> bool {
        let suite = &self.selected.suite;
        template.ike_proposals.is_empty()
            || template
                .ike_proposals
                .iter()
                .any(|p| suite.is_allowed_by(p))
    }

    fn authenticated(
        &mut self,
        env: &mut Env<'_>,
        path: Path,
        request: &Message,
        policy: &Policy,
        candidate: Candidate,
    ) -> AuthOutcome {
        let State::AwaitAuth(keys, _) = std::mem::replace(&mut self.state, State::Done) else {
            return AuthOutcome::Ignored(MessageError::BadExchange, Vec::new());
        };
        let template: &Arc<PeerTemplate> = policy.template(candidate.template);
        let Some(identity) = request.id_i().cloned() else {
            return AuthOutcome::Ignored(MessageError::PayloadRules, Vec::new());
        };
        let child: Option<Result<ChildOffer, NotifyType>> = request
            .sa()
            .map(|_| child_offer::select(template, request, false));
        let asked = AuthRequest {
            identity: identity.clone(),
            template: candidate.template,
            child: child
                .as_ref()
                .and_then(|c| c.as_ref().ok())
                .map(ChildOffer::request),
            secret: candidate.secret.clone(),
            initial_contact: request.notify(NotifyType::InitialContact).is_some(),
        };
        let result = HandshakeResult {
            role: Role::Responder,
            spi_i: self.spi_i,
            spi_r: self.spi_r,
            path: self.home(path),
            nat: self.nat,
            fragmentation: self.fragmentation,
            keys: *keys,
            template: Arc::clone(template),
            local_identity: local_identity(template.local_identity.as_ref(), &path),
            remote_identity: identity,
        };
        let ike_sa = IkeSa::authenticated_responder(
            env,
            result,
            child,
            crate::ike_sa::PendingAuth {
                secret: candidate.secret,
                init_response: std::mem::take(&mut self.init_response),
                nonce_i: std::mem::take(&mut self.nonce_i),
                nonce_r: std::mem::take(&mut self.nonce_r),
            },
        );
        AuthOutcome::Authenticated(Box::new(ike_sa), asked)
    }

    /// Where the peer is: without a NAT in front of it where it began, whoever passed on its IKE_AUTH.
    fn home(&self, path: Path) -> Path {
        let began = self.path.remote;
        if self.nat.peer || path.remote.ip() == began.ip() {
            return path;
        }
        // Past the NAT traversal port nobody who is not behind a NAT sends from another (RFC 7296 2.23).
        let port = if path.encapsulated {
            path.local.port()
        } else {
            began.port()
        };
        Path {
            remote: SocketAddr::new(began.ip(), port),
            ..path
        }
    }

    fn refuse(
        &mut self,
        env: &mut Env<'_>,
        notify: Notify,
        claimed: Option<String>,
        reason: HandshakeFailure,
    ) -> AuthOutcome {
        let State::AwaitAuth(keys, _) = std::mem::replace(&mut self.state, State::Done) else {
            return AuthOutcome::Ignored(MessageError::BadExchange, Vec::new());
        };
        let head = header(
            (self.spi_i, self.spi_r),
            ExchangeType::IkeAuth,
            1,
            false,
            true,
        );
        // The only message of ours under these keys: the IV counter begins, and ends, with it.
        let mut counter = 0;
        let mut iv = iv_source(&mut counter, env.rng);
        let payloads = [Payload::Notify(notify)];
        let answer = protect::seal(&head, &payloads, &keys.outbound, &mut iv, None);
        self.state = State::Refused(Some(keys), answer.clone());
        AuthOutcome::Refused(answer, claimed, reason)
    }
}

impl ChildOffer {
    /// What the shard is asked about it.
    pub fn request(&self) -> ChildRequest {
        ChildRequest {
            child: self.child,
            local: self.local.clone(),
            remote: self.remote.clone(),
        }
    }
}
