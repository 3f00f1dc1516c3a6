//! How messages of an authenticated IKE SA come and go.

use super::{Exchange, Task};
use crate::handshake::{fragment_limit, header};
use crate::header::Header;
use crate::ike_sa::{IkeSa, SaState};
use crate::io::{Env, Output};
use crate::iv::iv_source;
use crate::message::Message;
use crate::payload::{Notify, ParseError, Payload, parse_chain};
use crate::protect::{self, Opened};
use crate::registry::{ExchangeType, NotifyType};
use crate::rules;
use crate::window::{Arrival, Outstanding, Schedule};
use hawser_flight::{MessageError, Path, Role};

impl IkeSa {
    /// A datagram whose header names this SA.
    ///
    /// # Errors
    /// Why it was not processed; nothing of the SA has changed then.
    pub fn datagram(
        &mut self,
        env: &mut Env<'_>,
        path: Path,
        header: &Header,
        datagram: &mut Vec<u8>,
    ) -> Result<(), MessageError> {
        let from_initiator = self.role == Role::Responder;
        if header.flags.initiator != from_initiator || (header.spi_i, header.spi_r) != self.spis() {
            return Err(MessageError::BadFlags);
        }
        if matches!(self.state, SaState::Closed | SaState::Parked) {
            return self.posthumous(env, path, header, datagram);
        }
        if header.flags.response {
            self.response(env, path, header, datagram)?;
        } else {
            self.request(env, path, header, datagram)?;
        }
        self.pump(env);
        Ok(())
    }

    fn request(
        &mut self,
        env: &mut Env<'_>,
        path: Path,
        header: &Header,
        datagram: &mut Vec<u8>,
    ) -> Result<(), MessageError> {
        match self.inbox.arrival(header.message_id) {
            Arrival::New => {}
            Arrival::Pending => return Err(MessageError::Pending),
            Arrival::Outside => return Err(MessageError::BadMessageId),
            Arrival::Retransmitted => return self.answer_again(path, datagram),
        }
        let (header, opened) = protect::open(datagram, &self.keys.inbound)?;
        let (first, body) = match opened {
            Opened::Whole { first, body } => (first, body),
            Opened::Fragment {
                first,
                number,
                total,
                body,
            } => match self.inbox.requests.add(number, total, first, body)? {
                Some(whole) => whole,
                None => return Ok(()),
            },
        };
        self.authentic(env, path);
        self.answers_arrived(env.now);
        self.inbox.answering = Some(path);
        self.inbox.requests = crate::fragment::Reassembly::default();
        match parse_chain(first, &body) {
            Err(error) => {
                self.respond(env, header.exchange, &[Payload::Notify(error.notify())]);
                if matches!(error, ParseError::Bad(..)) {
                    self.suspect();
                }
            }
            Ok(payloads) => self.dispatch(env, &Message { header, payloads }),
        }
        Ok(())
    }

    /// The answer to a retransmitted request goes to where that came from; the SA does not move.
    pub(crate) fn answer_again(
        &mut self,
        path: Path,
        datagram: &mut Vec<u8>,
    ) -> Result<(), MessageError> {
        let (_, opened) = protect::open(datagram, &self.keys.inbound)?;
        // One answer for a train of fragments (RFC 7383 2.6.1).
        if !matches!(opened, Opened::Fragment { number, .. } if number != 1) {
            for message in self.inbox.last_response.clone() {
                self.out.push_back(Output::Transmit { path, message });
            }
        }
        Err(MessageError::Retransmission)
    }

    fn dispatch(&mut self, env: &mut Env<'_>, request: &Message) {
        let exchange = request.header.exchange;
        if rules::check(exchange, false, &request.payloads).is_err() {
            self.respond_error(env, exchange, NotifyType::InvalidSyntax);
            return self.suspect();
        }
        match exchange {
            ExchangeType::Informational => self.informational_request(env, request),
            ExchangeType::CreateChildSa if request.ts_i().is_some() => {
                self.child_request(env, request);
            }
            ExchangeType::CreateChildSa => self.ike_rekey_request(env, request),
            _ => {
                self.respond_error(env, exchange, NotifyType::InvalidSyntax);
                self.suspect();
            }
        }
    }

    /// INVALID_SYNTAX was said. By RFC 7296 2.21.3 the IKE SA is dead then, for some peers it is
    /// not: a probe tells, and a living tunnel is not killed.
    fn suspect(&mut self) {
        self.enqueue(Task::Probe(self.backoff()));
    }

    fn response(
        &mut self,
        env: &mut Env<'_>,
        path: Path,
        header: &Header,
        datagram: &mut Vec<u8>,
    ) -> Result<(), MessageError> {
        let expected = self
            .outstanding
            .as_ref()
            .map(|o| (o.message_id, o.exchange));
        if expected != Some((header.message_id, header.exchange.to_u8())) {
            return Err(MessageError::BadMessageId);
        }
        let (header, opened) = protect::open(datagram, &self.keys.inbound)?;
        let (first, body) = match opened {
            Opened::Whole { first, body } => (first, body),
            Opened::Fragment {
                first,
                number,
                total,
                body,
            } => match self.inbox.responses.add(number, total, first, body)? {
                Some(whole) => whole,
                None => return Ok(()),
            },
        };
        self.authentic(env, path);
        self.inbox.responses = crate::fragment::Reassembly::default();
        let outstanding = self.outstanding.take();
        self.answered = outstanding.as_ref().map(|o| o.first_at);
        let parsed = parse_chain(first, &body);
        let valid = parsed
            .as_ref()
            .is_ok_and(|payloads| rules::check(header.exchange, true, payloads).is_ok());
        let payloads = parsed.unwrap_or_default();
        let response = Message { header, payloads };
        if response.notify(NotifyType::InvalidSyntax).is_some() {
            self.suspect();
        }
        match self.exchange.take() {
            Some(Exchange::Child(x)) => self.child_response(env, x, &response, valid),
            Some(Exchange::RekeyIke(x)) => self.rekey_response(env, x, &response, valid),
            Some(Exchange::DeleteChild(spi_in, cause)) => self.child_deleted(spi_in, cause),
            Some(Exchange::Disown | Exchange::ReportSpi) | None => {}
            Some(Exchange::DeleteIke(cause)) => self.close(cause),
            Some(Exchange::Probe { message_id, .. }) => {
                self.probe_answered(env, message_id, outstanding.as_ref());
            }
        }
        Ok(())
    }

    /// A new, authentic message: the peer lives, and is there.
    fn authentic(&mut self, env: &Env<'_>, path: Path) {
        self.last_inbound = env.now;
        self.out.push_back(Output::Authentic(path));
    }

    fn seal(
        &mut self,
        env: &mut Env<'_>,
        header: &Header,
        payloads: &[Payload],
        path: &Path,
    ) -> Vec<Vec<u8>> {
        let limit = self
            .fragmentation
            .then(|| fragment_limit(self.template.fragment_size, path));
        let mut iv = iv_source(&mut self.iv, env.rng);
        protect::seal(header, payloads, &self.keys.outbound, &mut iv, limit)
    }

    /// Sends a request and waits for its response.
    pub(crate) fn send_request(
        &mut self,
        env: &mut Env<'_>,
        exchange: ExchangeType,
        payloads: &[Payload],
        schedule: Schedule,
    ) -> u32 {
        let message_id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let from_initiator = self.role == Role::Initiator;
        let header = header(self.spis(), exchange, message_id, from_initiator, false);
        let path = self.path;
        let datagrams = self.seal(env, &header, payloads, &path);
        for message in datagrams.iter().cloned() {
            self.out.push_back(Output::Transmit { path, message });
        }
        let outstanding = Outstanding::new(message_id, exchange.to_u8(), datagrams, schedule, env);
        self.outstanding = Some(outstanding);
        message_id
    }

    /// The back-off of ordinary requests.
    pub(crate) fn backoff(&self) -> Schedule {
        Schedule::Backoff(self.template.retransmission)
    }

    /// Answers the request that is being answered, and keeps the answer.
    pub(crate) fn respond(
        &mut self,
        env: &mut Env<'_>,
        exchange: ExchangeType,
        payloads: &[Payload],
    ) {
        let put_off =
            |p: &Payload| matches!(p, Payload::Notify(n) if n.kind == NotifyType::TemporaryFailure);
        if payloads.iter().any(put_off) {
            self.refusing.get_or_insert(env.now);
        } else if exchange == ExchangeType::CreateChildSa {
            self.refusing = None;
        }
        let path = self.inbox.answering.unwrap_or(self.path);
        let from_initiator = self.role == Role::Initiator;
        let message_id = self.inbox.next_id;
        let header = header(self.spis(), exchange, message_id, from_initiator, true);
        let datagrams = self.seal(env, &header, payloads, &path);
        for message in datagrams.iter().cloned() {
            self.out.push_back(Output::Transmit { path, message });
        }
        self.inbox.answered(datagrams);
    }

    pub(crate) fn respond_error(
        &mut self,
        env: &mut Env<'_>,
        exchange: ExchangeType,
        error: NotifyType,
    ) {
        self.respond(env, exchange, &[Payload::Notify(Notify::error(error))]);
    }
}
