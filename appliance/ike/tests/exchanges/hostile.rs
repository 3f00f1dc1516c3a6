//! An authenticated peer that misbehaves: the test has its keys.

use crate::pair::*;
use hawser_flight::{CloseCause, Event, MessageError, Role};
use hawser_ike::child_sa::ChildState;
use hawser_ike::handshake::header;
use hawser_ike::header::Header;
use hawser_ike::ike_sa::{MAX_CHILDREN, SaState};
use hawser_ike::io::{KeAnswer, Token};
use hawser_ike::keymat::{SaKeys, Seeds, skeyseed};
use hawser_ike::message::Message;
use hawser_ike::payload::{Delete, KePayload, Notify, Payload, parse_chain};
use hawser_ike::protect::{self, Opened};
use hawser_ike::registry::ExchangeType::{CreateChildSa, Informational};
use hawser_ike::registry::{ExchangeType, NotifyType, PayloadType, ProtocolId};
use hawser_ike::select::{confirm_ike, esp_proposals_to_sa};
use hawser_ike::window::Schedule;
use hawser_policy::{EspProposal, IkeProposal, TrafficSelector};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The keys of the first IKE SA of a pair.
pub struct Keys {
    pub initiator: SaKeys,
    pub responder: SaKeys,
}

impl Keys {
    pub fn of(request: &[u8], response: &[u8], shared: &[u8]) -> Self {
        let parse = |bytes| Message::parse_clear(bytes).unwrap();
        let (request, response) = (parse(request), parse(response));
        let ours = IkeProposal::parse("aes128gcm16-prfsha256-x25519").unwrap();
        let suite = confirm_ike(response.sa().unwrap(), &[ours]).unwrap().suite;
        let seeds = Seeds {
            nonce_i: request.nonce().unwrap(),
            nonce_r: response.nonce().unwrap(),
            spi_i: response.header.spi_i,
            spi_r: response.header.spi_r,
        };
        let seed = skeyseed(suite.prf, &seeds, shared);
        let keys = |role| SaKeys::derive(suite, role, &seed, &seeds).unwrap();
        Self {
            initiator: keys(Role::Initiator),
            responder: keys(Role::Responder),
        }
    }

    pub fn of_pair(pair: &Pair) -> Self {
        Self::of(&pair.init[0], &pair.init[1], &pair.shared)
    }

    fn of_side(self, side: Side) -> SaKeys {
        if side == A {
            self.initiator
        } else {
            self.responder
        }
    }
}

/// Reads a message that was sent to whoever has `keys`.
pub fn open(keys: &SaKeys, bytes: &[u8]) -> Message {
    let (header, opened) = protect::open(&mut bytes.to_vec(), &keys.inbound).unwrap();
    let Opened::Whole { first, body } = opened else {
        panic!("a fragment");
    };
    let payloads = parse_chain(first, &body).unwrap();
    Message { header, payloads }
}

/// Sends a message as whoever has `keys`.
pub fn seal(keys: &SaKeys, message: &Message) -> Vec<u8> {
    static IV: AtomicU64 = AtomicU64::new(1 << 40);
    let mut iv = |slot: &mut [u8]| {
        slot.copy_from_slice(&IV.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    };
    let (header, payloads) = (&message.header, &message.payloads);
    protect::seal(header, payloads, &keys.outbound, &mut iv, None).remove(0)
}

fn forged(pair: &Pair, from: Side, head: Header, payloads: Vec<Payload>) -> Held {
    let message = Message {
        header: head,
        payloads,
    };
    let bytes = seal(&Keys::of_pair(pair).of_side(from), &message);
    Held { from, bytes }
}

fn request(pair: &Pair, from: Side, kind: ExchangeType, id: u32, payloads: Vec<Payload>) -> Held {
    let init = Header::parse(&pair.init[1]).unwrap();
    let head = header((init.spi_i, init.spi_r), kind, id, from == A, false);
    forged(pair, from, head, payloads)
}

fn answer(pair: &Pair, to: &Held, payloads: Vec<Payload>) -> Held {
    let asked = to.header();
    let (from, spis) = (to.from.other(), (asked.spi_i, asked.spi_r));
    let head = header(spis, asked.exchange, asked.message_id, from == A, true);
    forged(pair, from, head, payloads)
}

pub fn forged_empty_answer(pair: &Pair, to: &Held, from: Side) -> Held {
    assert_eq!(to.from, from.other());
    answer(pair, to, Vec::new())
}

pub fn refusal(pair: &Pair, to: &Held) -> Held {
    let notify = Notify::error(NotifyType::NoProposalChosen);
    answer(pair, to, vec![Payload::Notify(notify)])
}

/// A message of a side, changed by it on the way.
pub fn forged_answer(pair: &Pair, of: &Held, change: impl FnOnce(&mut Vec<Payload>)) -> Held {
    let receiver = Keys::of_pair(pair).of_side(of.from.other());
    let mut message = open(&receiver, &of.bytes);
    change(&mut message.payloads);
    forged(pair, of.from, message.header, message.payloads)
}

pub fn with_bad_key(payloads: &mut Vec<Payload>) {
    for payload in payloads {
        if let Payload::Ke(ke) = payload {
            ke.data.truncate(5);
        }
    }
}

/// What a side has answered, read with the keys of the one who asked.
fn read(pair: &mut Pair, from: Side) -> Message {
    let held = pair.sent(from);
    open(&Keys::of_pair(pair).of_side(from.other()), &held.bytes)
}

/// An empty request with a Message ID of the caller's choice.
pub fn stand_in_request(pair: &Pair, from: Side, kind: ExchangeType, id: u32) -> Held {
    request(pair, from, kind, id, Vec::new())
}

/// INVALID_KE_PAYLOAD for a request.
pub fn demanded_group(pair: &Pair, to: &Held, group: u16) -> Held {
    answer(pair, to, wanted_group(group))
}

fn only_error(message: &Message) -> NotifyType {
    message.error().expect("an error").kind
}

fn wanted_group(group: u16) -> Vec<Payload> {
    let data = group.to_be_bytes().to_vec();
    vec![Payload::Notify(Notify::status(
        NotifyType::InvalidKePayload,
        data,
    ))]
}

#[test]
fn key_exchanges_are_demanded_in_turns() {
    let settings = Settings {
        ike: ["aes128gcm16-prfsha256-x25519-ecp256"; 2],
        esp: ["aes128gcm16-x25519-ecp256"; 2],
        ..Settings::default()
    };
    for ike in [false, true] {
        let mut pair = Pair::with(&settings, 1);
        if ike {
            pair.rekey_ike(A);
        } else {
            pair.rekey_child(A);
        }
        let mut asked = 0;
        while !pair.is_silent(A) {
            let held = pair.request(A, CreateChildSa);
            asked += 1;
            assert!(asked < 10, "for ever");
            let other = if asked % 2 == 1 { 19 } else { 31 };
            let demand = answer(&pair, &held, wanted_group(other));
            pair.arrive(demand);
        }
        assert_eq!(asked, 2);
        assert_eq!(pair.end(A).sa().state(), SaState::Established);
    }
}

#[test]
fn an_unknown_critical_payload() {
    let mut pair = Pair::new(2);
    let unknown = Payload::Other {
        kind: PayloadType::Unknown(200),
        critical: true,
        body: vec![0; 4],
    };
    let held = request(&pair, A, CreateChildSa, 2, vec![unknown]);
    pair.arrive(held);
    let refused = read(&mut pair, B);
    assert_eq!(only_error(&refused), NotifyType::UnsupportedCriticalPayload);
    assert!(pair.is_silent(B));
    assert_eq!(pair.end(B).sa().state(), SaState::Established);
}

/// RFC 7296 2.21.3 calls the IKE SA dead; some peers do not. A probe tells.
#[test]
fn what_makes_no_sense_is_answered_and_the_peer_is_probed() {
    for answers in [true, false] {
        let mut pair = Pair::new(3);
        let held = request(
            &pair,
            A,
            CreateChildSa,
            2,
            vec![Payload::Nonce(vec![0; 32])],
        );
        pair.arrive(held);
        let refused = read(&mut pair, B);
        assert_eq!(only_error(&refused), NotifyType::InvalidSyntax);
        let probe = pair.request(B, Informational);
        if answers {
            let alive = answer(&pair, &probe, Vec::new());
            pair.arrive(alive);
            assert_eq!(pair.end(B).sa().state(), SaState::Established);
            assert_eq!(pair.end(B).probes.len(), 1);
        } else {
            pair.wait_cut_off(Duration::from_secs(120));
            assert_eq!(pair.end(B).closed, [CloseCause::DpdTimeout]);
        }
    }
}

#[test]
fn a_peer_that_says_invalid_syntax_is_probed() {
    let mut pair = Pair::new(4);
    pair.rekey_child(A);
    let held = pair.request(A, CreateChildSa);
    let notify = Notify::error(NotifyType::InvalidSyntax);
    let no = answer(&pair, &held, vec![Payload::Notify(notify)]);
    pair.arrive(no);
    pair.request(A, Informational);
}

#[test]
fn answers_to_something_else() {
    let mut pair = Pair::new(5);
    pair.rekey_child(A);
    let held = pair.request(A, CreateChildSa);
    let asked = held.header();
    let spis = (asked.spi_i, asked.spi_r);
    let wrong = [
        header(spis, Informational, asked.message_id, false, true),
        header(spis, CreateChildSa, asked.message_id + 1, false, true),
        header(
            spis,
            CreateChildSa,
            asked.message_id.wrapping_sub(1),
            false,
            true,
        ),
        header(spis, CreateChildSa, asked.message_id, true, true),
    ];
    for head in wrong {
        let other = forged(&pair, B, head, Vec::new());
        if head.flags.initiator {
            // Named by the other's SPI: nobody's.
            pair.arrive(other);
            continue;
        }
        pair.arrive(other);
        assert_eq!(pair.refused.last(), Some(&MessageError::BadMessageId));
    }
    assert!(pair.end(A).sa().is_waiting());
    assert_eq!(pair.end(A).authentic, 0);
    pair.arrive(held);
    pair.ends_well();
}

#[test]
fn noise_changes_nothing() {
    let mut pair = Pair::new(6);
    pair.rekey_child(A);
    let held = pair.request(A, CreateChildSa);
    let authentic = pair.end(B).authentic;
    for at in 0..held.bytes.len() {
        // A header that does not parse reaches no SA.
        if !(24..28).contains(&at) {
            let mut noise = held.clone();
            noise.bytes[at] ^= 0x40;
            pair.arrive(noise);
        }
    }
    assert_eq!(pair.end(B).authentic, authentic);
    assert!(pair.is_silent(B));
    pair.arrive(held);
    pair.ends_well();
}

#[test]
fn a_request_that_comes_again_gets_the_same_answer() {
    let mut pair = Pair::new(7);
    pair.rekey_child(A);
    let held = pair.request(A, CreateChildSa);
    pair.arrive(held.clone());
    let first = pair.sent(B);
    pair.arrive(held.clone());
    assert_eq!(pair.sent(B).bytes, first.bytes);
    assert_eq!(pair.refused, [MessageError::Retransmission]);
    let authentic = pair.end(B).authentic;
    pair.arrive(held);
    assert_eq!(pair.end(B).authentic, authentic, "it moves nothing");
    pair.arrive(first);
    pair.ends_well();
}

#[test]
fn a_request_that_comes_again_while_its_answer_is_made() {
    let mut pair = Pair::new(8);
    pair.end(B).slow = true;
    pair.rekey_child(A);
    let held = pair.request(A, CreateChildSa);
    pair.arrive(held.clone());
    for _ in 0..5 {
        pair.arrive(held.clone());
    }
    assert_eq!(pair.refused, [MessageError::Pending; 5]);
    pair.end(B).slow = false;
    let works = pair.end(B).works;
    pair.do_key_work(B, true);
    assert_eq!(pair.end(B).works, works + 1);
    pair.ends_well();
}

#[test]
fn stale_and_foreign_tokens() {
    let mut pair = Pair::new(9);
    pair.end(A).slow = true;
    pair.rekey_child(A);
    for token in [0, 2, 77] {
        let answer = KeAnswer::Agreed(Err(hawser_crypto::KeError::Generate));
        pair.on(A, |sa, env| sa.key_exchanged(env, Token(token), answer));
    }
    assert!(pair.is_silent(A));
    pair.end(A).slow = false;
    pair.do_key_work(A, true);
    pair.ends_well();
}

#[test]
fn deletes_without_number() {
    let mut pair = Pair::new(10);
    let events = pair.end(B).events.len();
    let spis = (300..10_000).collect();
    let held = request(
        &pair,
        A,
        Informational,
        2,
        vec![Payload::Delete(Delete::Esp(spis))],
    );
    pair.arrive(held);
    assert!(pair.end(B).events.len() - events <= 2 * MAX_CHILDREN);
    let answered = read(&mut pair, B);
    assert!(answered.payloads.is_empty());
    assert_eq!(pair.end(B).sad.len(), 1);
}

fn child_payloads(spi: u32, remote: Vec<TrafficSelector>) -> Vec<Payload> {
    let proposals = [EspProposal::parse("aes128gcm16").unwrap()];
    vec![
        Payload::Sa(esp_proposals_to_sa(&proposals, spi, false)),
        Payload::Nonce(vec![9; 32]),
        Payload::TsI(remote),
        Payload::TsR(net("10.2.0.0/24")),
    ]
}

fn without_pfs() -> Settings {
    Settings {
        esp: ["aes128gcm16"; 2],
        ..Settings::default()
    }
}

#[test]
fn selectors_without_number() {
    let mut pair = Pair::with(&without_pfs(), 11);
    let many = (0..200).map(|n| net(&format!("10.1.0.{n}")).remove(0));
    let held = request(
        &pair,
        A,
        CreateChildSa,
        2,
        child_payloads(5000, many.collect()),
    );
    pair.arrive(held);
    let granted = read(&mut pair, B);
    assert_eq!(granted.ts_i().unwrap().len(), 64);
    let child = &pair.end(B).sa().children()[1];
    assert_eq!(child.remote, granted.ts_i().unwrap());
}

#[test]
fn child_sas_without_number() {
    let mut pair = Pair::with(&without_pfs(), 12);
    let mut refused = 0;
    for id in 2..80 {
        let held = request(
            &pair,
            A,
            CreateChildSa,
            id,
            child_payloads(5000 + id, net("10.1.0.0/24")),
        );
        pair.arrive(held);
        refused += usize::from(read(&mut pair, B).error().is_some());
    }
    assert_eq!(pair.end(B).sad.len(), MAX_CHILDREN);
    assert_eq!(refused, 78 - (MAX_CHILDREN - 1));
    // What is there can still be rekeyed, as often as there is room for the old ones.
    let mut rekeyed = 0;
    for id in 80..200 {
        let mut payloads = child_payloads(9000 + id, net("10.1.0.0/24"));
        let installed = |c: &&hawser_ike::child_sa::ChildSa| c.state == ChildState::Installed;
        let old = pair
            .end(B)
            .sa()
            .children()
            .iter()
            .find(installed)
            .unwrap()
            .spi_out;
        payloads.push(Payload::Notify(Notify::about_esp(NotifyType::RekeySa, old)));
        let held = request(&pair, A, CreateChildSa, id, payloads);
        pair.arrive(held);
        rekeyed += usize::from(read(&mut pair, B).error().is_none());
    }
    assert_eq!(rekeyed, MAX_CHILDREN);
    assert_eq!(pair.end(B).sad.len(), 2 * MAX_CHILDREN);
}

#[test]
fn a_rekey_of_something_that_is_not_there() {
    let mut pair = Pair::with(&without_pfs(), 13);
    let child = pair.end(B).sa().children()[0].spi_out;
    let esp = Notify::about_esp(NotifyType::RekeySa, 4711);
    let ah = Notify {
        protocol: ProtocolId::Ah,
        ..Notify::about_esp(NotifyType::RekeySa, child)
    };
    for (id, notify) in [(2, esp), (3, ah)] {
        let mut payloads = child_payloads(5000, net("10.1.0.0/24"));
        payloads.push(Payload::Notify(notify.clone()));
        let held = request(&pair, A, CreateChildSa, id, payloads);
        pair.arrive(held);
        let answered = read(&mut pair, B);
        let unknown = answered.notify(NotifyType::ChildSaNotFound).unwrap();
        assert_eq!(
            (unknown.protocol, &unknown.spi),
            (notify.protocol, &notify.spi)
        );
    }
    assert_eq!(pair.end(B).sad.len(), 1);
}

/// A public value that is none: nothing is installed, the pair in use stays.
#[test]
fn a_bad_public_value() {
    for ike in [false, true] {
        let mut pair = Pair::new(14);
        if ike {
            pair.rekey_ike(A);
        } else {
            pair.rekey_child(A);
        }
        let held = pair.request(A, CreateChildSa);
        let spoilt = forged_answer(&pair, &held, with_bad_key);
        pair.arrive(spoilt);
        let answered = read(&mut pair, B);
        assert_eq!(only_error(&answered), NotifyType::InvalidSyntax);
        assert_eq!((pair.end(B).sas.len(), pair.end(B).sad.len()), (1, 1));
    }
}

#[test]
fn what_the_answer_may_not_have() {
    for what in 0..4 {
        let mut pair = Pair::new(15);
        let old = pair.end(A).child();
        pair.rekey_child(A);
        let held = pair.request(A, CreateChildSa);
        pair.arrive(held);
        let answer = pair.sent(B);
        let spoilt = forged_answer(&pair, &answer, |payloads| match what {
            0 => payloads.retain(|p| !matches!(p, Payload::Ke(_))),
            1 => payloads.push(Payload::Ke(KePayload {
                group: 31,
                data: vec![1; 32],
            })),
            2 => payloads.retain(|p| !matches!(p, Payload::TsR(_))),
            _ => payloads.push(Payload::Other {
                kind: PayloadType::Unknown(200),
                critical: true,
                body: Vec::new(),
            }),
        });
        pair.arrive(spoilt);
        // The peer has made it: it is told that we have not.
        let disown = pair.request(A, Informational);
        pair.arrive(disown);
        pair.settle();
        assert_eq!(pair.end(A).child(), old);
        pair.agree_on(1);
    }
}

#[test]
fn an_unknown_exchange() {
    let mut pair = Pair::new(16);
    for (id, kind) in [(2, ExchangeType::IkeAuth), (3, ExchangeType::Unknown(250))] {
        let held = request(&pair, A, kind, id, Vec::new());
        pair.arrive(held);
        let answered = read(&mut pair, B);
        assert_eq!(only_error(&answered), NotifyType::InvalidSyntax);
        let probe = pair.request(B, Informational);
        let alive = answer(&pair, &probe, Vec::new());
        pair.arrive(alive);
    }
    assert_eq!(pair.end(B).sa().state(), SaState::Established);
}

/// The answer to a rekey has arrived when the peer asks something else: the new pair is sent on
/// before traffic, or the old one's DELETE, says so.
#[test]
fn the_next_request_confirms_a_new_pair() {
    let mut pair = Pair::new(21);
    let old = pair.end(B).child();
    pair.rekey_child(A);
    let rekey = pair.request(A, CreateChildSa);
    let next = rekey.header().message_id + 1;
    pair.arrive(rekey);
    assert!(pair.end(B).sad[&old].active);
    let probe = request(&pair, A, Informational, next, Vec::new());
    pair.arrive(probe);
    assert!(!pair.end(B).sad[&old].active);
    assert_eq!(pair.end(B).sad.values().filter(|p| p.active).count(), 1);
}

/// AUTH_LIFETIME is the responder's to say.
#[test]
fn an_authentication_has_a_lifetime() {
    let mut pair = Pair::new(22);
    let told = |pair: &Pair, from, id| {
        let notify = Notify::status(NotifyType::AuthLifetime, 3600_u32.to_be_bytes().to_vec());
        request(pair, from, Informational, id, vec![Payload::Notify(notify)])
    };
    let (from_b, from_a) = (told(&pair, B, 0), told(&pair, A, 2));
    pair.arrive(from_b);
    pair.arrive(from_a);
    let by = pair.now + Duration::from_secs(3600);
    assert_eq!(pair.end(A).sa().reauthenticate_by(), Some(by));
    assert_eq!(pair.end(B).sa().reauthenticate_by(), None);
}

#[test]
fn probes_are_answered_and_measured() {
    let mut pair = Pair::new(17);
    let schedule = Schedule::Fixed {
        interval: Duration::from_secs(2),
        retries: 2,
    };
    pair.on(A, |sa, env| assert!(sa.probe(env, schedule)));
    pair.on(A, |sa, env| {
        assert!(!sa.probe(env, schedule), "one is under way");
    });
    pair.settle();
    assert_eq!(pair.end(A).probes.len(), 1);
    pair.on(A, |sa, env| assert!(sa.probe(env, schedule)));
    pair.wait_cut_off(Duration::from_secs(7));
    assert_eq!(pair.end(A).closed, [CloseCause::DpdTimeout]);
    let failed = |e: &Event| matches!(e, Event::ProbeFailed { .. });
    assert!(pair.end(A).events.iter().any(failed));
}

/// No key and no pre-shared secret is in what may end up in a log.
#[test]
fn secrets_are_not_printed() {
    let mut pair = Pair::new(18);
    pair.end(A).slow = true;
    pair.rekey_ike(A);
    let keys = Keys::of_pair(&pair);
    let text = [A, B]
        .map(|side| format!("{:?}", pair.end(side).sas))
        .concat();
    let sad: Vec<_> = pair
        .end(A)
        .sad
        .values()
        .map(|p| p.install.encr_in.to_vec())
        .collect();
    let hidden = [
        keys.initiator.sk_d.to_vec(),
        keys.initiator.sk_pi.to_vec(),
        pair.shared.clone(),
        b"hush".to_vec(),
    ];
    for secret in hidden.iter().chain(&sad) {
        let list = format!("{secret:?}");
        assert!(!text.contains(list.trim_matches(['[', ']'])));
    }
    assert!(!text.contains("hush"));
}
