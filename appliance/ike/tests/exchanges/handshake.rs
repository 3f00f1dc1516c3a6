//! IKE_SA_INIT and IKE_AUTH: what anybody may send, and what goes wrong.

use crate::hostile::{Keys, open, seal};
use crate::pair::*;
use hawser_flight::{CloseCause, HandshakeFailure, MessageError};
use hawser_ike::handshake::initiator::Step;
use hawser_ike::handshake::responder::AuthOutcome;
use hawser_ike::handshake::{init_notify, unsupported_critical};
use hawser_ike::header::Header;
use hawser_ike::ike_sa::SaState;
use hawser_ike::io::Output;
use hawser_ike::message::Message;
use hawser_ike::payload::{Notify, Payload};
use hawser_ike::registry::{ExchangeType, NotifyType, PayloadType};
use hawser_policy::Identity;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn fragments() {
    let settings = Settings {
        fragment_size: 160,
        ..Settings::default()
    };
    let mut pair = Pair::with(&settings, 1);
    pair.rekey_child(A);
    assert!(pair.wire.len() > 1, "in fragments");
    pair.settle();
    pair.rekey_ike(B);
    pair.ends_well();
}

#[test]
fn each_template_gets_its_child_sa() {
    let settings = Settings {
        children: [3; 2],
        ..Settings::default()
    };
    let mut pair = Pair::with(&settings, 2);
    pair.ends_with(3);
}

/// The Child SA of IKE_AUTH is refused: the IKE SA stands, and it is asked for again.
#[test]
fn the_child_is_refused() {
    let settings = Settings {
        esp: ["aes128gcm16", "aes256gcm16"],
        ..Settings::default()
    };
    let mut pair = Pair::with(&settings, 3);
    pair.agree_on(0);
    let events = pair.end(B).events.len();
    pair.wait(Duration::from_secs(61));
    pair.agree_on(0);
    assert!(pair.end(B).events.len() > events, "asked again");
}

/// B has answered; A has not read the answer yet.
struct Answered {
    half: Handshake,
    sa: Box<hawser_ike::IkeSa>,
    keys: Keys,
    answer: Vec<u8>,
}

fn answered(change: impl FnOnce(&mut Handshake)) -> Answered {
    let mut half = Handshake::new(&Settings::default(), 4);
    change(&mut half);
    let request = half.sent().remove(0);
    let (mut responder, response) = half.respond(&request);
    half.receive(response.clone()).unwrap();
    let auth = half.sent();
    let AuthOutcome::Authenticated(mut sa, asked) = half.authenticate(&mut responder, &auth) else {
        panic!("not authenticated");
    };
    let child = asked.child.unwrap();
    sa.grant(&mut half.b.env(half.now), child.local, child.remote);
    let sent = std::iter::from_fn(|| sa.poll_output());
    let answer = sent.filter_map(|output| match output {
        Output::Transmit { message, .. } => Some(message),
        _ => None,
    });
    let answer = answer.last().unwrap();
    let keys = Keys::of(&request, &response, &half.shared);
    Answered {
        half,
        sa,
        keys,
        answer,
    }
}

/// RFC 6023 was not asked for: the IKE SA stands without a Child SA, and one is asked for again.
#[test]
fn a_childless_answer_that_was_not_asked_for() {
    let mut a = answered(|_| ());
    let mut message = open(&a.keys.initiator, &a.answer);
    message
        .payloads
        .retain(|p| matches!(p, Payload::IdR(_) | Payload::Auth(_)));
    let Ok(Step::Established(sa)) = a.half.receive(seal(&a.keys.responder, &message)) else {
        panic!("not established");
    };
    assert!(sa.children().is_empty());
    assert!(sa.next_timeout().unwrap().0 < a.half.now + Duration::from_secs(61));
}

/// The peer has made a Child SA that we do not accept: it is told.
#[test]
fn an_unusable_child_is_disowned() {
    let mut a = answered(|_| ());
    let mut message = open(&a.keys.initiator, &a.answer);
    for payload in &mut message.payloads {
        if let Payload::TsI(selectors) = payload {
            *selectors = net("172.16.0.0/12");
        }
    }
    let Ok(Step::Established(mut sa)) = a.half.receive(seal(&a.keys.responder, &message)) else {
        panic!("not established");
    };
    let request = std::iter::from_fn(|| sa.poll_output()).find_map(|output| match output {
        Output::Transmit { message, .. } => Some(message),
        Output::InstallChild(install) => panic!("{install:?}"),
        _ => None,
    });
    let request = open(&a.keys.responder, &request.unwrap());
    assert_eq!(request.deletes().count(), 1);
}

/// The initiator does not accept who answers: the responder hears of it, and keeps nothing.
#[test]
fn the_responder_is_somebody_else() {
    let mut a = answered(|half| {
        let template = Arc::make_mut(&mut half.policy.templates[0]);
        template.local_identity = Identity::parse("somebody-else");
    });
    let step = a.half.receive(a.answer.clone()).unwrap();
    assert!(matches!(
        step,
        Step::Failed(HandshakeFailure::AuthenticationFailed)
    ));
    let told = a.half.sent().remove(0);
    assert_ne!(told[32..40], a.answer[32..40]);
    let header = Header::parse(&told).unwrap();
    let mut env = a.half.b.env(a.half.now);
    a.sa.datagram(&mut env, path(B), &header, &mut told.clone())
        .unwrap();
    assert_eq!(a.sa.state(), SaState::Closed);
    let closed = std::iter::from_fn(|| a.sa.poll_output()).last().unwrap();
    assert!(matches!(closed, Output::Closed(CloseCause::DeletedByPeer)));
}

#[test]
fn a_refusal_is_repeated_word_for_word() {
    let mut half = Handshake::new(&Settings::default(), 5);
    let template = Arc::make_mut(&mut half.policy.templates[0]);
    template.ike_proposals.remove(0);
    let request = half.sent().remove(0);
    half.policy.templates[0] = Settings::default().template(B);
    let (mut responder, response) = half.respond(&request);
    half.receive(response).unwrap();
    half.policy.pad = hawser_policy::Pad::default();
    let auth = half.sent();
    let AuthOutcome::Refused(first, ..) = half.authenticate(&mut responder, &auth) else {
        panic!("not refused");
    };
    let AuthOutcome::Ignored(_, again) = half.authenticate(&mut responder, &auth) else {
        panic!("refused anew");
    };
    assert_eq!(first, again);
    let step = half.receive(first[0].clone()).unwrap();
    assert!(matches!(
        step,
        Step::Failed(HandshakeFailure::RefusedByPeer)
    ));
}

#[test]
fn an_ike_auth_with_foreign_flags_is_ignored() {
    let mut half = Handshake::new(&Settings::default(), 6);
    let request = half.sent().remove(0);
    let (mut responder, response) = half.respond(&request);
    half.receive(response.clone()).unwrap();
    let auth = half.sent();
    let keys = Keys::of(&request, &response, &half.shared);
    let message = open(&keys.responder, &auth[0]);
    for (initiator, response) in [(false, false), (true, true), (false, true)] {
        let mut other = message.clone();
        (other.header.flags.initiator, other.header.flags.response) = (initiator, response);
        let outcome = half.authenticate(&mut responder, &[seal(&keys.initiator, &other)]);
        assert!(matches!(
            outcome,
            AuthOutcome::Ignored(MessageError::BadFlags, _)
        ));
    }
    let outcome = half.authenticate(&mut responder, &auth);
    assert!(matches!(outcome, AuthOutcome::Authenticated(..)));
}

/// Without AUTH the initiator asks for EAP: it is told that this is no way, and so are we.
#[test]
fn eap_is_refused_by_name() {
    let mut half = Handshake::new(&Settings::default(), 7);
    let request = half.sent().remove(0);
    let (mut responder, response) = half.respond(&request);
    half.receive(response.clone()).unwrap();
    let auth = half.sent();
    let keys = Keys::of(&request, &response, &half.shared);
    let mut message = open(&keys.responder, &auth[0]);
    message.payloads.retain(|p| !matches!(p, Payload::Auth(_)));
    let outcome = half.authenticate(&mut responder, &[seal(&keys.initiator, &message)]);
    let AuthOutcome::Refused(answer, claimed, reason) = outcome else {
        panic!("not refused");
    };
    assert_eq!(reason, HandshakeFailure::EapNotSupported);
    assert_eq!(claimed.as_deref(), Some("branch"));
    let answer = open(&keys.initiator, &answer[0]);
    assert_eq!(
        answer.error().unwrap().kind,
        NotifyType::AuthenticationFailed
    );
}

fn cookie(request: &[u8], cookie: &[u8]) -> Vec<u8> {
    let header = Header::parse(request).unwrap();
    init_notify(&header, Notify::status(NotifyType::Cookie, cookie.to_vec()))
}

#[test]
fn cookies_may_come_twice() {
    let mut half = Handshake::new(&Settings::default(), 7);
    let request = half.sent().remove(0);
    half.receive(cookie(&request, b"crumbs")).unwrap();
    let second = half.sent().remove(0);
    let given = Message::parse_clear(&second).unwrap();
    assert_eq!(given.notify(NotifyType::Cookie).unwrap().data, b"crumbs");
    for _ in 0..10 {
        let again = half.receive(cookie(&request, b"crumbs"));
        assert_eq!(again.unwrap_err(), MessageError::Retransmission);
        assert!(half.sent().is_empty());
    }
}

/// What anybody can send ends no handshake.
#[test]
fn demands_and_errors_without_proof_end_nothing() {
    let mut half = Handshake::new(&Settings::default(), 8);
    let mut request = half.sent().remove(0);
    for huge in [vec![], vec![1; 65]] {
        assert!(half.receive(cookie(&request, &huge)).is_err());
    }
    for kind in [NotifyType::NoProposalChosen, NotifyType::InvalidSyntax] {
        let header = Header::parse(&request).unwrap();
        assert!(
            half.receive(init_notify(&header, Notify::error(kind)))
                .is_err()
        );
    }
    for n in 0..100u8 {
        let _ = half.receive(cookie(&request, &[n; 8]));
        if let Some(again) = half.sent().pop() {
            request = again;
        }
    }
    let (_, response) = half.respond(&request);
    half.receive(response).unwrap();
    assert_eq!(half.sent().len(), 1, "IKE_AUTH");
}

/// RFC 7296 2.5
#[test]
fn an_unknown_critical_payload_is_answered() {
    let mut half = Handshake::new(&Settings::default(), 9);
    let request = half.sent().remove(0);
    assert_eq!(unsupported_critical(&request), None);
    let mut message = Message::parse_clear(&request).unwrap();
    message.payloads.push(Payload::Other {
        kind: PayloadType::Unknown(200),
        critical: true,
        body: vec![1, 2, 3],
    });
    let answer = unsupported_critical(&message.encode_clear()).unwrap();
    let answer = Message::parse_clear(&answer).unwrap();
    let notify = answer
        .notify(NotifyType::UnsupportedCriticalPayload)
        .unwrap();
    assert_eq!(notify.data, [200]);
    assert_eq!(answer.header.exchange, ExchangeType::IkeSaInit);
    assert!(answer.header.flags.response && answer.header.spi_i == message.header.spi_i);
    for cut in 0..request.len() {
        assert_eq!(unsupported_critical(&request[..cut]), None);
    }
}
