//! The initiator's half-open SA.

use super::{fragment_limit, header, local_identity};
use crate::algorithms::{ke_from_group, ke_group};
use crate::auth::{SignedOctets, shared_key_mac, verify_shared_key_mac};
use crate::child_sa::ChildParts;
use crate::exchange::{Task, agreed};
use crate::fragment::Reassembly;
use crate::header::Header;
use crate::ike_sa::{HandshakeResult, IkeSa, REFUSED_WAIT, SaState};
use crate::io::{Env, KeAnswer, KeRequest, Output, Token};
use crate::iv::iv_source;
use crate::keymat::{ChildKeys, SaKeys, Seeds, skeyseed};
use crate::message::Message;
use crate::nat::{self, NatState};
use crate::payload::{AuthPayload, Delete, KePayload, Notify, Payload, parse_chain};
use crate::protect::{self, Opened};
use crate::registry::{AuthMethod, ExchangeType, NotifyType};
use crate::rules;
use crate::select::{IkeSuite, confirm_esp, confirm_ike, esp_proposals_to_sa, ike_proposals_to_sa};
use crate::window::{Due, Outstanding, Schedule};
use hawser_crypto::{KePrivate, KeyExchange};
use hawser_flight::{Event, HandshakeFailure, Lineage, MessageError, Path, Role};
use hawser_policy::{Identity, Initiate, PeerTemplate};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a responder may send us back to the start (cookie, other key exchange). Anybody can
/// say so; what comes after that is ignored, and the handshake waits for the real answer.
const MAX_RESTARTS: u8 = 5;

/// RFC 7296 2.6.
const COOKIE_LENGTHS: std::ops::RangeInclusive<usize> = 1..=64;

const INVALID: HandshakeFailure = HandshakeFailure::InvalidMessage;

/// How IKE_AUTH is sent on that was not answered.
const LINGERS: Schedule = Schedule::Fixed {
    interval: Duration::from_secs(60),
    retries: 10,
};

/// What a call has led to.
#[derive(Debug)]
pub enum Step {
    /// It goes on.
    Continue,
    /// The peer is authenticated.
    Established(Box<IkeSa>),
    /// IKE_AUTH is not answered, and is sent on slowly: the peer may believe in the IKE SA.
    Unanswered,
    /// It has failed.
    Failed(HandshakeFailure),
}

/// A half-open SA that we began.
#[derive(Debug)]
pub struct Initiator {
    template: Arc<PeerTemplate>,
    initiate: Initiate,
    path: Path,
    nat_ports: (u16, u16),
    force_encapsulation: bool,
    spi_i: u64,
    nonce_i: Vec<u8>,
    method: KeyExchange,
    public: Vec<u8>,
    private: Option<KePrivate>,
    cookie: Option<Vec<u8>>,
    restarts: u8,
    initial_contact: bool,
    init_request: Vec<u8>,
    outstanding: Option<Outstanding>,
    token: Token,
    state: State,
    created: Instant,
    out: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    /// Our key pair is being made.
    Generating,
    /// IKE_SA_INIT is sent.
    AwaitInit,
    /// The shared secret is being computed.
    Agreeing(Box<InitResponse>),
    /// IKE_AUTH is sent.
    AwaitAuth(Box<AuthState>),
    /// It has ended.
    Done,
}

#[derive(Debug)]
struct InitResponse {
    suite: IkeSuite,
    spi_r: u64,
    nonce_r: Vec<u8>,
    nat: NatState,
    fragmentation: bool,
    datagram: Vec<u8>,
}

#[derive(Debug)]
struct AuthState {
    init: InitResponse,
    keys: SaKeys,
    spi_in: u32,
    local_identity: Identity,
    reassembly: Reassembly,
    iv: u64,
}

impl Initiator {
    /// Begins a handshake from `local` to the template's peer. `nat_port`: our port for NAT
    /// traversal. `None` where the template has no peer to begin with, or no proposal.
    pub fn begin(
        env: &mut Env<'_>,
        template: &Arc<PeerTemplate>,
        local: SocketAddr,
        nat_port: u16,
        force_encapsulation: bool,
    ) -> Option<Self> {
        let remote = template.initiate.as_ref()?.remote;
        // Port 500 is the only one without the non-ESP marker (RFC 3948 2.2).
        let encapsulated = remote.port() != 500;
        let local = if encapsulated {
            SocketAddr::new(local.ip(), nat_port)
        } else {
            local
        };
        let path = Path {
            local,
            remote,
            encapsulated,
        };
        Self::begin_on(env, template, path, nat_port, force_encapsulation)
    }

    /// As [`Initiator::begin`], on this path.
    pub fn begin_on(
        env: &mut Env<'_>,
        template: &Arc<PeerTemplate>,
        path: Path,
        nat_port: u16,
        force_encapsulation: bool,
    ) -> Option<Self> {
        let initiate = template.initiate.clone()?;
        let method = *template.ike_proposals.first()?.ke.first()?;
        let remote_nat_port = if path.encapsulated {
            path.remote.port()
        } else {
            4500
        };
        let token = Token(1);
        let out = VecDeque::from([Output::Ask(token, KeRequest::Generate(method))]);
        Some(Self {
            template: Arc::clone(template),
            path,
            initiate,
            nat_ports: (nat_port, remote_nat_port),
            force_encapsulation,
            spi_i: env.spis.ike_spi(env.rng),
            nonce_i: env.nonce(),
            method,
            public: Vec::new(),
            private: None,
            cookie: None,
            restarts: 0,
            initial_contact: false,
            init_request: Vec::new(),
            outstanding: None,
            token,
            state: State::Generating,
            created: env.now,
            out,
        })
    }

    /// Says INITIAL_CONTACT (RFC 7296 2.4): we have no other IKE SA with the peer. A gateway never
    /// does, for a peer drops by it what it may still need; branches do.
    pub fn say_initial_contact(&mut self) {
        self.initial_contact = true;
    }

    /// The next output, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Our SPI.
    pub fn spi_i(&self) -> u64 {
        self.spi_i
    }

    /// Where the peer is.
    pub fn path(&self) -> Path {
        self.path
    }

    /// Whether it has shown its identity and proof: the peer may believe in the IKE SA already.
    pub fn has_proved(&self) -> bool {
        matches!(self.state, State::AwaitAuth(_))
    }

    /// Its keys, where it has them.
    pub(crate) fn keys(&self) -> Option<&SaKeys> {
        match &self.state {
            State::AwaitAuth(auth) => Some(&auth.keys),
            _ => None,
        }
    }

    /// The template it follows.
    pub fn template(&self) -> &Arc<PeerTemplate> {
        &self.template
    }

    /// When it began.
    pub fn created(&self) -> Instant {
        self.created
    }

    /// When it wants to be woken.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|o| o.next_at)
    }

    /// Its time has come.
    pub fn timeout(&mut self, env: &mut Env<'_>) -> Step {
        let proved = self.has_proved();
        let Some(outstanding) = &mut self.outstanding else {
            return Step::Continue;
        };
        match outstanding.due(env) {
            Due::NotYet | Due::Ask => Step::Continue,
            // The peer may believe in the IKE SA, and only its answer be lost.
            Due::GiveUp if proved && !outstanding.is_persistent() => {
                outstanding.persist(env, LINGERS);
                Step::Unanswered
            }
            Due::GiveUp => self.fail(HandshakeFailure::Timeout),
            Due::Again => {
                let attempt = outstanding.attempt;
                for message in outstanding.datagrams.clone() {
                    self.out.push_back(Output::Transmit {
                        path: self.path,
                        message,
                    });
                }
                self.out.push_back(Output::Retransmitted { attempt });
                Step::Continue
            }
        }
    }

    /// Our SPI of the first Child SA, once the peer may use it.
    pub fn awaited_child_spi(&self) -> Option<u32> {
        match &self.state {
            State::AwaitAuth(auth) => Some(auth.spi_in),
            _ => None,
        }
    }

    /// Sends the request that is under way once more, to where the peer may be.
    pub fn ask_again_at(&mut self, path: Path) {
        let outstanding = self.outstanding.iter();
        let messages = outstanding.flat_map(|o| o.datagrams.iter().cloned());
        self.out
            .extend(messages.map(|message| Output::Transmit { path, message }));
    }

    /// A key exchange is done. A stale token is dropped.
    pub fn key_exchanged(&mut self, env: &mut Env<'_>, token: Token, answer: KeAnswer) -> Step {
        if token != self.token {
            return Step::Continue;
        }
        match (std::mem::replace(&mut self.state, State::Done), answer) {
            (State::Generating, KeAnswer::Generated(Ok((private, public)))) => {
                self.private = Some(private);
                self.public = public;
                self.send_init(env);
                Step::Continue
            }
            (State::Agreeing(init), KeAnswer::Agreed(Ok(shared))) => {
                self.send_auth(env, *init, &shared)
            }
            _ => self.fail(HandshakeFailure::KeyExchangeFailed),
        }
    }

    fn send_init(&mut self, env: &mut Env<'_>) {
        let mut payloads = Vec::new();
        if let Some(cookie) = &self.cookie {
            let notify = Notify::status(NotifyType::Cookie, cookie.clone());
            payloads.push(Payload::Notify(notify));
        }
        let (group, data) = (ke_group(self.method), self.public.clone());
        payloads.extend([
            Payload::Sa(ike_proposals_to_sa(&self.template.ike_proposals, None)),
            Payload::Ke(KePayload { group, data }),
            Payload::Nonce(self.nonce_i.clone()),
        ]);
        let force = self.force_encapsulation;
        payloads.extend(nat::notifies(self.spi_i, 0, &self.path, force));
        let fragmentation = Notify::status(NotifyType::FragmentationSupported, Vec::new());
        payloads.push(Payload::Notify(fragmentation));
        let header = header((self.spi_i, 0), ExchangeType::IkeSaInit, 0, true, false);
        self.init_request = Message { header, payloads }.encode_clear();
        self.state = State::AwaitInit;
        self.send(
            env,
            ExchangeType::IkeSaInit,
            0,
            vec![self.init_request.clone()],
        );
    }

    fn send(
        &mut self,
        env: &mut Env<'_>,
        exchange: ExchangeType,
        message_id: u32,
        datagrams: Vec<Vec<u8>>,
    ) {
        for message in datagrams.iter().cloned() {
            self.out.push_back(Output::Transmit {
                path: self.path,
                message,
            });
        }
        let schedule = Schedule::Backoff(self.template.retransmission);
        let request = Outstanding::new(message_id, exchange.to_u8(), datagrams, schedule, env);
        self.outstanding = Some(request);
    }

    /// A datagram whose header names this SA. Unprotected answers are hints that anybody may
    /// have sent: an error in one ends the handshake only by time (RFC 7296 2.21.1), except for
    /// a demand that can be met.
    ///
    /// # Errors
    /// Why it was not processed.
    pub fn datagram(
        &mut self,
        env: &mut Env<'_>,
        path: Path,
        header: &Header,
        datagram: &mut Vec<u8>,
    ) -> Result<Step, MessageError> {
        if !header.flags.response || header.flags.initiator {
            return Err(MessageError::BadFlags);
        }
        match (&self.state, header.exchange, header.message_id) {
            (State::AwaitInit, ExchangeType::IkeSaInit, 0) => {
                self.init_response(env, path, datagram)
            }
            (State::AwaitAuth(_), ExchangeType::IkeAuth, 1) => self.auth_response(env, datagram),
            _ => Err(MessageError::BadExchange),
        }
    }

    fn init_response(
        &mut self,
        env: &mut Env<'_>,
        path: Path,
        datagram: &[u8],
    ) -> Result<Step, MessageError> {
        let response = Message::parse_clear(datagram)?;
        if let Some(cookie) = response.notify(NotifyType::Cookie) {
            return self.take_cookie(env, &cookie.data);
        }
        if let Some(wanted) = response.notify(NotifyType::InvalidKePayload) {
            let group = <[u8; 2]>::try_from(wanted.data.as_slice()).map(u16::from_be_bytes);
            let method = group.ok().and_then(ke_from_group);
            let ours = |m: &KeyExchange| {
                *m != self.method && self.template.ike_proposals.iter().any(|p| p.ke.contains(m))
            };
            return match method.filter(ours) {
                Some(method) => self.restart(env, Some(method)),
                None => Err(MessageError::PayloadRules),
            };
        }
        if response.error().is_some() {
            return Err(MessageError::PayloadRules);
        }
        self.accept_init(path, &response, datagram)
            .ok_or(MessageError::PayloadRules)?;
        Ok(Step::Continue)
    }

    /// The same demand may come more than once: the network duplicates, and so do we.
    fn take_cookie(&mut self, env: &mut Env<'_>, cookie: &[u8]) -> Result<Step, MessageError> {
        if !COOKIE_LENGTHS.contains(&cookie.len()) {
            return Err(MessageError::BadPayload);
        }
        if self.cookie.as_deref() == Some(cookie) {
            return Err(MessageError::Retransmission);
        }
        self.cookie = Some(cookie.to_vec());
        self.restart(env, None)
    }

    fn restart(
        &mut self,
        env: &mut Env<'_>,
        method: Option<KeyExchange>,
    ) -> Result<Step, MessageError> {
        if self.restarts == MAX_RESTARTS {
            return Err(MessageError::RateLimited);
        }
        self.restarts += 1;
        match method {
            None => self.send_init(env),
            Some(method) => {
                self.method = method;
                self.token = Token(self.token.0 + 1);
                self.state = State::Generating;
                self.outstanding = None;
                self.out
                    .push_back(Output::Ask(self.token, KeRequest::Generate(method)));
            }
        }
        Ok(Step::Continue)
    }

    fn accept_init(&mut self, path: Path, response: &Message, datagram: &[u8]) -> Option<()> {
        rules::check(ExchangeType::IkeSaInit, true, &response.payloads).ok()?;
        let selected = confirm_ike(response.sa()?, &self.template.ike_proposals)?;
        let ke = response
            .ke()
            .filter(|ke| ke.group == ke_group(self.method))?;
        if selected.suite.ke != self.method || response.header.spi_r == 0 {
            return None;
        }
        let init = InitResponse {
            suite: selected.suite,
            spi_r: response.header.spi_r,
            nonce_r: response.nonce()?.to_vec(),
            nat: NatState::detect(response, &path, self.force_encapsulation),
            fragmentation: response
                .notify(NotifyType::FragmentationSupported)
                .is_some(),
            datagram: datagram.to_vec(),
        };
        let peer_public = ke.data.clone();
        let private = self.private.take()?;
        self.outstanding = None;
        self.token = Token(self.token.0 + 1);
        self.out.push_back(Output::Ask(
            self.token,
            KeRequest::Agree {
                private,
                peer_public,
            },
        ));
        self.state = State::Agreeing(Box::new(init));
        Some(())
    }

    fn send_auth(&mut self, env: &mut Env<'_>, init: InitResponse, shared: &[u8]) -> Step {
        let seeds = Seeds {
            nonce_i: &self.nonce_i,
            nonce_r: &init.nonce_r,
            spi_i: self.spi_i,
            spi_r: init.spi_r,
        };
        let seed = skeyseed(init.suite.prf, &seeds, shared);
        let Ok(keys) = SaKeys::derive(init.suite, Role::Initiator, &seed, &seeds) else {
            return self.fail(HandshakeFailure::Internal);
        };
        if init.nat.any() {
            self.path.local.set_port(self.nat_ports.0);
            self.path.remote.set_port(self.nat_ports.1);
            self.path.encapsulated = true;
        }
        let local = local_identity(self.template.local_identity.as_ref(), &self.path);
        let spi_in = env.spis.esp_spi(env.rng);
        let payloads = self.auth_payloads(&keys, &init.nonce_r, &local, spi_in);
        let spis = (self.spi_i, init.spi_r);
        let header = header(spis, ExchangeType::IkeAuth, 1, true, false);
        let limit = fragment_limit(self.template.fragment_size, &self.path);
        let limit = init.fragmentation.then_some(limit);
        let mut iv = 0;
        let datagrams = {
            let mut source = iv_source(&mut iv, env.rng);
            protect::seal(&header, &payloads, &keys.outbound, &mut source, limit)
        };
        self.send(env, ExchangeType::IkeAuth, 1, datagrams);
        self.state = State::AwaitAuth(Box::new(AuthState {
            init,
            keys,
            spi_in,
            local_identity: local,
            reassembly: Reassembly::default(),
            iv,
        }));
        Step::Continue
    }

    fn auth_payloads(
        &self,
        keys: &SaKeys,
        nonce_r: &[u8],
        local: &Identity,
        spi_in: u32,
    ) -> Vec<Payload> {
        let signed = SignedOctets {
            init_message: &self.init_request,
            other_nonce: nonce_r,
            identity: local,
        };
        let data = shared_key_mac(keys, Role::Initiator, &self.initiate.secret, &signed);
        let mut payloads = vec![
            Payload::IdI(local.clone()),
            Payload::IdR(self.initiate.remote_identity.clone()),
            Payload::Auth(AuthPayload {
                method: AuthMethod::SharedKey,
                data,
            }),
        ];
        if self.initial_contact {
            let notify = Notify::status(NotifyType::InitialContact, Vec::new());
            payloads.push(Payload::Notify(notify));
        }
        if let Some(child) = self.template.children.first() {
            payloads.extend([
                Payload::Sa(esp_proposals_to_sa(&child.proposals, spi_in, false)),
                Payload::TsI(child.local.clone()),
                Payload::TsR(child.remote.clone()),
            ]);
        }
        payloads
    }

    fn auth_response(
        &mut self,
        env: &mut Env<'_>,
        datagram: &mut Vec<u8>,
    ) -> Result<Step, MessageError> {
        let State::AwaitAuth(auth) = &mut self.state else {
            return Err(MessageError::BadExchange);
        };
        let (header, opened) = protect::open(datagram, &auth.keys.inbound)?;
        let (first, body) = match opened {
            Opened::Whole { first, body } => (first, body),
            Opened::Fragment {
                first,
                number,
                total,
                body,
            } => match auth.reassembly.add(number, total, first, body)? {
                Some(whole) => whole,
                None => return Ok(Step::Continue),
            },
        };
        let payloads = match parse_chain(first, &body) {
            Ok(payloads) => payloads,
            Err(error) => return Ok(self.reject(env, error.notify(), INVALID)),
        };
        let legal = rules::check(header.exchange, true, &payloads).is_ok();
        let response = Message { header, payloads };
        if response.auth().is_none() && response.error().is_some() {
            return Ok(self.fail(HandshakeFailure::RefusedByPeer));
        }
        if !self.proves_itself(&response) {
            let notify = Notify::error(NotifyType::AuthenticationFailed);
            let reason = HandshakeFailure::AuthenticationFailed;
            return Ok(self.reject(env, notify, reason));
        }
        if !legal {
            let notify = Notify::error(NotifyType::InvalidSyntax);
            return Ok(self.reject(env, notify, INVALID));
        }
        Ok(self.establish(env, &response))
    }

    /// The peer believes in an IKE SA that we do not accept: it is told, once (RFC 7296 2.21.2).
    fn reject(&mut self, env: &mut Env<'_>, notify: Notify, reason: HandshakeFailure) -> Step {
        if let State::AwaitAuth(auth) = &mut self.state {
            let spis = (self.spi_i, auth.init.spi_r);
            let header = header(spis, ExchangeType::Informational, 2, true, false);
            let payloads = [Payload::Notify(notify), Payload::Delete(Delete::Ike)];
            let mut iv = iv_source(&mut auth.iv, env.rng);
            for message in protect::seal(&header, &payloads, &auth.keys.outbound, &mut iv, None) {
                self.out.push_back(Output::Transmit {
                    path: self.path,
                    message,
                });
            }
        }
        self.fail(reason)
    }

    fn proves_itself(&self, response: &Message) -> bool {
        let State::AwaitAuth(auth) = &self.state else {
            return false;
        };
        let (Some(identity), Some(proof)) = (response.id_r(), response.auth()) else {
            return false;
        };
        let signed = SignedOctets {
            init_message: &auth.init.datagram,
            other_nonce: &self.nonce_i,
            identity,
        };
        let secret = &self.initiate.secret;
        proof.method == AuthMethod::SharedKey
            && identity.matches(&self.initiate.remote_identity)
            && verify_shared_key_mac(&auth.keys, Role::Responder, secret, &signed, &proof.data)
    }

    fn establish(&mut self, env: &mut Env<'_>, response: &Message) -> Step {
        let State::AwaitAuth(auth) = std::mem::replace(&mut self.state, State::Done) else {
            return self.fail(HandshakeFailure::Internal);
        };
        self.outstanding = None;
        let AuthState {
            init,
            keys,
            spi_in,
            local_identity,
            iv,
            ..
        } = *auth;
        let result = HandshakeResult {
            role: Role::Initiator,
            spi_i: self.spi_i,
            spi_r: init.spi_r,
            path: self.path,
            nat: init.nat,
            fragmentation: init.fragmentation,
            keys,
            template: Arc::clone(&self.template),
            local_identity,
            remote_identity: self.initiate.remote_identity.clone(),
        };
        let mut sa = IkeSa::new(env, result, SaState::Established, Lineage::Initial);
        (sa.next_id, sa.iv) = (2, iv);
        sa.note_auth_lifetime(env, response);
        if !self.template.children.is_empty() {
            match self.first_child(&sa, response, spi_in, &init.nonce_r) {
                Ok(parts) => sa.install(env, parts),
                Err(reason) => {
                    sa.refused(Role::Initiator, reason);
                    if response.sa().is_some() {
                        sa.enqueue(Task::Disown(spi_in));
                    }
                    sa.defer(env, Task::CreateChild(0), REFUSED_WAIT);
                }
            }
        }
        // IKE_AUTH makes one Child SA; the others have exchanges of their own.
        for child in 1..self.template.children.len() {
            sa.enqueue(Task::CreateChild(child));
        }
        sa.pump(env);
        Step::Established(Box::new(sa))
    }

    fn first_child(
        &self,
        sa: &IkeSa,
        response: &Message,
        spi_in: u32,
        nonce_r: &[u8],
    ) -> Result<ChildParts, HandshakeFailure> {
        match response.error().map(|n| n.kind) {
            None => {}
            Some(NotifyType::TsUnacceptable) => return Err(HandshakeFailure::TsUnacceptable),
            Some(_) => return Err(HandshakeFailure::NoProposalChosen),
        }
        let settings = self.template.children.first().ok_or(INVALID)?;
        let offered = response.sa().ok_or(INVALID)?;
        let confirmed = confirm_esp(offered, &settings.proposals, false).ok_or(INVALID)?;
        let (local, remote) = agreed(response, &settings.local, &settings.remote)
            .ok_or(HandshakeFailure::TsUnacceptable)?;
        let keys = ChildKeys::derive(&sa.keys, &confirmed.suite, None, &self.nonce_i, nonce_r)
            .map_err(|_| HandshakeFailure::Internal)?;
        Ok(ChildParts {
            spi_in,
            spi_out: confirmed.spi,
            suite: confirmed.suite,
            child: 0,
            local,
            remote,
            keys,
            role: Role::Initiator,
            lineage: Lineage::Initial,
            outbound: true,
        })
    }

    fn fail(&mut self, reason: HandshakeFailure) -> Step {
        self.state = State::Done;
        self.outstanding = None;
        self.out.push_back(Output::Event(Event::HandshakeFailed {
            role: Role::Initiator,
            path: self.path,
            claimed_identity: None,
            reason,
        }));
        Step::Failed(reason)
    }
}
