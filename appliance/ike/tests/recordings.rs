//! Two strongSwans talk; we derive every key that they logged, and read every octet that they sent.
#![allow(clippy::unwrap_used)]

use hawser_crypto::{EspOpener, IkeCipher};
use hawser_flight::{MessageError, Role};
use hawser_ike::auth::{SignedOctets, shared_key_mac, verify_shared_key_mac};
use hawser_ike::header::Header;
use hawser_ike::keymat::{ChildKeys, SaKeys, Seeds, skeyseed, skeyseed_rekey};
use hawser_ike::message::Message;
use hawser_ike::payload::{encode_chain, parse_chain};
use hawser_ike::protect::{self, Opened};
use hawser_ike::registry::ExchangeType;
use hawser_ike::select::{IkeSuite, confirm_esp, confirm_ike};
use hawser_policy::{EspProposal, Identity, IkeProposal, Secret};
use serde_json::Value;

const RECORDINGS: [&str; 2] = [
    include_str!("recordings/aes128-sha1-modp1024.json"),
    include_str!("recordings/aes128gcm16-prfsha256-x25519.json"),
];

fn bytes(of: &Value, field: &str) -> Vec<u8> {
    of.get(field)
        .map(|v| hex::decode(v.as_str().unwrap()).unwrap())
        .unwrap_or_default()
}

fn spi(of: &Value, field: &str) -> u32 {
    u32::from_be_bytes(bytes(of, field).try_into().unwrap())
}

struct Recording(Value);

/// A datagram as the wire had it, non-ESP marker removed.
struct Datagram {
    to_hq: bool,
    is_ike: bool,
    octets: Vec<u8>,
}

/// The keys of an IKE SA as its two ends see them.
struct Sa {
    suite: IkeSuite,
    initiator: SaKeys,
    responder: SaKeys,
}

impl Sa {
    fn derive(suite: IkeSuite, seed: &[u8], seeds: &Seeds<'_>) -> Self {
        let keys = |role| SaKeys::derive(suite, role, seed, seeds).unwrap();
        Self {
            suite,
            initiator: keys(Role::Initiator),
            responder: keys(Role::Responder),
        }
    }

    /// What opens a message with this header.
    fn receiver(&self, header: &Header) -> &SaKeys {
        if header.flags.initiator {
            &self.responder
        } else {
            &self.initiator
        }
    }
}

impl Recording {
    fn all() -> impl Iterator<Item = Self> {
        RECORDINGS
            .iter()
            .map(|text| Self(serde_json::from_str(text).unwrap()))
    }

    fn ike_sa(&self, number: usize) -> &Value {
        &self.0["ike_sas"][number]
    }

    fn ike_proposals(&self) -> Vec<IkeProposal> {
        vec![IkeProposal::parse(self.0["ike"].as_str().unwrap()).unwrap()]
    }

    fn esp_proposals(&self) -> Vec<EspProposal> {
        vec![EspProposal::parse(self.0["esp"].as_str().unwrap()).unwrap()]
    }

    fn datagrams(&self) -> Vec<Datagram> {
        let read = |d: &Value| {
            let mut octets = bytes(d, "payload");
            let on_500 = [&d["from_port"], &d["to_port"]].contains(&&Value::from(500));
            let is_ike = on_500 || octets.starts_with(&[0; 4]);
            if is_ike && !on_500 {
                octets.drain(..4);
            }
            Datagram {
                to_hq: d["direction"] == "to_hq",
                is_ike,
                octets,
            }
        };
        let all = self.0["datagrams"].as_array().unwrap();
        all.iter().map(read).collect()
    }

    fn init(&self) -> (Message, Message) {
        let datagrams = self.datagrams();
        let parse = |i: usize| Message::parse_clear(&datagrams[i].octets).unwrap();
        (parse(0), parse(1))
    }

    fn first_sa(&self) -> Sa {
        let (request, response) = self.init();
        let suite = confirm_ike(response.sa().unwrap(), &self.ike_proposals())
            .unwrap()
            .suite;
        let seeds = Seeds {
            nonce_i: request.nonce().unwrap(),
            nonce_r: response.nonce().unwrap(),
            spi_i: response.header.spi_i,
            spi_r: response.header.spi_r,
        };
        let shared = bytes(self.ike_sa(0), "shared_secret");
        Sa::derive(suite, &skeyseed(suite.prf, &seeds, &shared), &seeds)
    }

    /// The IKE SA that request and response of a CREATE_CHILD_SA on `old` make.
    fn rekeyed_sa(&self, old: &Sa, request: &Message, response: &Message) -> (Vec<u8>, Sa) {
        let ours = self.ike_proposals();
        let answer = confirm_ike(response.sa().unwrap(), &ours).unwrap();
        let spi_i: [u8; 8] = request.sa().unwrap().proposals[0].spi[..]
            .try_into()
            .unwrap();
        let seeds = Seeds {
            nonce_i: request.nonce().unwrap(),
            nonce_r: response.nonce().unwrap(),
            spi_i: u64::from_be_bytes(spi_i),
            spi_r: answer.spi.unwrap(),
        };
        let shared = bytes(self.ike_sa(1), "shared_secret");
        let seed = skeyseed_rekey(&old.initiator, &seeds, &shared);
        (seed.to_vec(), Sa::derive(answer.suite, &seed, &seeds))
    }

    /// Every IKE message, decrypted, with the number of its IKE SA.
    fn messages(&self) -> (Vec<Sa>, Vec<(usize, Message)>) {
        let (request, response) = self.init();
        let mut sas = vec![self.first_sa()];
        let mut messages = vec![(0, request), (0, response)];
        for datagram in self.datagrams().into_iter().filter(|d| d.is_ike).skip(2) {
            let header = Header::parse(&datagram.octets).unwrap();
            let number = usize::from(header.spi_i != messages[0].1.header.spi_i);
            let message = open(&datagram.octets, sas[number].receiver(&header)).unwrap();
            let is_rekey = message.sa().is_some() && message.ts_i().is_none();
            if is_rekey && message.header.flags.response {
                let (_, request) = messages.last().unwrap();
                let sa = self.rekeyed_sa(&sas[0], request, &message).1;
                sas.push(sa);
            }
            messages.push((number, message));
        }
        (sas, messages)
    }
}

fn open(datagram: &[u8], keys: &SaKeys) -> Result<Message, MessageError> {
    let (header, opened) = protect::open(&mut datagram.to_vec(), &keys.inbound)?;
    let Opened::Whole { first, body } = opened else {
        panic!("charon did not fragment these");
    };
    let payloads = parse_chain(first, &body).unwrap();
    // What we would send is what they sent.
    assert_eq!(encode_chain(&payloads), (first, body));
    Ok(Message { header, payloads })
}

/// The seven keys, as the recording has them, must be what `keys` were cut from and work with.
fn assert_keys(sa: &Sa, recorded: &Value) {
    assert_eq!(*sa.initiator.sk_d, bytes(recorded, "sk_d"));
    assert_eq!(*sa.initiator.sk_pi, bytes(recorded, "sk_pi"));
    assert_eq!(*sa.initiator.sk_pr, bytes(recorded, "sk_pr"));
    let cipher = |e: &str, a: &str| {
        let (e, a) = (bytes(recorded, e), bytes(recorded, a));
        IkeCipher::new(sa.suite.encr, sa.suite.integ, &e, &a).unwrap()
    };
    let theirs = [cipher("sk_ei", "sk_ai"), cipher("sk_er", "sk_ar")];
    for (ours, theirs) in [&sa.initiator.outbound, &sa.responder.outbound]
        .into_iter()
        .zip(theirs)
    {
        let mut message = b"header: text".to_vec();
        ours.seal(&mut message, 8, &vec![7; ours.iv_len()]);
        let text = theirs.open(&mut message, 8).unwrap();
        assert_eq!(&message[text], b"text");
    }
}

#[test]
fn the_keys_of_the_first_ike_sa() {
    for recording in Recording::all() {
        let (request, response) = recording.init();
        let recorded = recording.ike_sa(0);
        assert_eq!(request.nonce().unwrap(), bytes(recorded, "nonce_i"));
        assert_eq!(response.nonce().unwrap(), bytes(recorded, "nonce_r"));
        let spis = [response.header.spi_i, response.header.spi_r].map(|s| s.to_be_bytes().to_vec());
        assert_eq!(spis, ["spi_i", "spi_r"].map(|field| bytes(recorded, field)));
        let seeds = Seeds {
            nonce_i: request.nonce().unwrap(),
            nonce_r: response.nonce().unwrap(),
            spi_i: response.header.spi_i,
            spi_r: response.header.spi_r,
        };
        let sa = recording.first_sa();
        let seed = skeyseed(sa.suite.prf, &seeds, &bytes(recorded, "shared_secret"));
        assert_eq!(*seed, bytes(recorded, "skeyseed"));
        assert_keys(&sa, recorded);
    }
}

#[test]
fn the_keys_of_the_rekeyed_ike_sa() {
    for recording in Recording::all() {
        let (sas, messages) = recording.messages();
        let is_rekey = |m: &&(usize, Message)| m.1.ke().is_some() && m.1.ts_i().is_none();
        let exchange: Vec<_> = messages.iter().skip(2).filter(is_rekey).collect();
        let [(0, request), (0, response)] = exchange.as_slice() else {
            panic!("one rekey of the IKE SA");
        };
        let (seed, sa) = recording.rekeyed_sa(&sas[0], request, response);
        assert_eq!(seed, bytes(recording.ike_sa(1), "skeyseed"));
        assert_keys(&sa, recording.ike_sa(1));
    }
}

#[test]
fn both_auth_payloads() {
    for recording in Recording::all() {
        let (sas, messages) = recording.messages();
        let (init, keys) = (recording.datagrams(), &sas[0].initiator);
        let secret = Secret::new(bytes(&recording.0, "psk"));
        let (request, response) = (&messages[2].1, &messages[3].1);
        let (id_i, id_r) = (request.id_i().unwrap(), response.id_r().unwrap());
        assert_eq!(id_i, &Identity::parse("test").unwrap());
        assert_eq!(id_r, &Identity::parse("192.0.2.1").unwrap());
        let nonces = [0, 1].map(|i| messages[i].1.nonce().unwrap());
        let sides = [
            (
                Role::Initiator,
                &init[0],
                nonces[1],
                id_i,
                request,
                "auth_i",
            ),
            (
                Role::Responder,
                &init[1],
                nonces[0],
                id_r,
                response,
                "auth_r",
            ),
        ];
        for (signer, message, other_nonce, identity, from, field) in sides {
            let signed = SignedOctets {
                init_message: &message.octets,
                other_nonce,
                identity,
            };
            let auth = bytes(&recording.0, field);
            assert_eq!(shared_key_mac(keys, signer, &secret, &signed), auth);
            assert_eq!(from.auth().unwrap().data, auth);
            let wrong = Secret::new(b"tesT".to_vec());
            assert!(!verify_shared_key_mac(keys, signer, &wrong, &signed, &auth));
            assert!(!verify_shared_key_mac(
                keys,
                signer,
                &secret,
                &signed,
                &auth[1..]
            ));
        }
    }
}

/// The exchanges that made Child SAs: number of the IKE SA, request, response.
fn child_exchanges(messages: &[(usize, Message)]) -> Vec<(usize, &Message, &Message)> {
    messages
        .windows(2)
        .filter(|pair| pair.iter().all(|(_, m)| m.ts_i().is_some()))
        .filter(|pair| !pair[0].1.header.flags.response)
        .map(|pair| (pair[0].0, &pair[0].1, &pair[1].1))
        .collect()
}

#[test]
fn keymat_of_every_child_sa() {
    for recording in Recording::all() {
        let (sas, messages) = recording.messages();
        let exchanges = child_exchanges(&messages);
        let recorded = recording.0["child_sas"].as_array().unwrap();
        assert_eq!((exchanges.len(), recorded.len()), (3, 3));
        for ((number, request, response), child) in exchanges.into_iter().zip(recorded) {
            let with_ke = request.header.exchange == ExchangeType::CreateChildSa;
            let answer = response.sa().unwrap();
            let chosen = confirm_esp(answer, &recording.esp_proposals(), with_ke).unwrap();
            let (nonce_i, nonce_r) = (bytes(child, "nonce_i"), bytes(child, "nonce_r"));
            if with_ke {
                assert_eq!(request.nonce().unwrap(), nonce_i);
                assert_eq!(response.nonce().unwrap(), nonce_r);
            }
            let from_branch = child["exchange_initiator"] == "branch";
            let responder = if from_branch { "spi_hq" } else { "spi_branch" };
            assert_eq!(chosen.spi, spi(child, responder));
            let shared = bytes(child, "shared_secret");
            let shared = with_ke.then_some(shared.as_slice());
            let ike = &sas[number].initiator;
            let keys = ChildKeys::derive(ike, &chosen.suite, shared, &nonce_i, &nonce_r).unwrap();
            let ours = [keys.encr_i, keys.encr_r, keys.integ_i, keys.integ_r];
            let fields = ["encr_i", "encr_r", "integ_i", "integ_r"];
            assert_eq!(ours.map(|k| k.to_vec()), fields.map(|f| bytes(child, f)));
        }
    }
}

#[test]
fn every_ike_message_is_read_and_none_that_was_touched() {
    for recording in Recording::all() {
        let (sas, messages) = recording.messages();
        let exchanges = messages.iter().map(|(_, m)| m.header.exchange);
        let deletes = messages.iter().flat_map(|(_, m)| m.deletes()).count();
        assert_eq!(
            exchanges
                .filter(|e| *e == ExchangeType::CreateChildSa)
                .count(),
            6
        );
        assert!(deletes >= 5, "{deletes}");
        let sealed = recording
            .datagrams()
            .into_iter()
            .filter(|d| d.is_ike)
            .skip(2);
        for (datagram, (number, _)) in sealed.zip(&messages[2..]) {
            let header = Header::parse(&datagram.octets).unwrap();
            let keys = sas[*number].receiver(&header);
            for at in 0..datagram.octets.len() {
                let mut touched = datagram.octets.clone();
                touched[at] ^= 1 << (at % 8);
                let opened = protect::open(&mut touched, &keys.inbound);
                assert!(opened.is_err(), "octet {at}");
            }
            // The other direction has other keys.
            let back = if header.flags.initiator {
                &sas[*number].initiator
            } else {
                &sas[*number].responder
            };
            let reflected = protect::open(&mut datagram.octets.clone(), &back.inbound);
            assert_eq!(reflected.unwrap_err(), MessageError::IntegrityFailed);
        }
    }
}

#[test]
fn every_esp_packet_is_a_ping_and_none_that_was_touched() {
    const BRANCH: [u8; 4] = [172, 16, 1, 1];
    const HQ: [u8; 4] = [192, 168, 100, 1];
    for recording in Recording::all() {
        let proposal = recording.esp_proposals().remove(0);
        let (encr, integ) = (proposal.encr[0], proposal.integ.first().copied());
        let children = recording.0["child_sas"].as_array().unwrap().clone();
        let packets: Vec<_> = recording
            .datagrams()
            .into_iter()
            .filter(|d| !d.is_ike)
            .collect();
        assert_eq!(packets.len(), 12);
        for packet in packets {
            let field = if packet.to_hq { "spi_hq" } else { "spi_branch" };
            let of = |c: &&Value| packet.octets.starts_with(&bytes(c, field));
            let child = children.iter().find(of).unwrap();
            let from_initiator = packet.to_hq == (child["exchange_initiator"] == "branch");
            let side = if from_initiator { "i" } else { "r" };
            let key = |kind: &str| bytes(child, &format!("{kind}_{side}"));
            let opener = EspOpener::new(encr, integ, &key("encr"), &key("integ")).unwrap();
            let mut octets = packet.octets.clone();
            let text = opener.open(&mut octets, None).unwrap();
            let inner = &octets[text];
            let ends = if packet.to_hq {
                (BRANCH, HQ)
            } else {
                (HQ, BRANCH)
            };
            assert_eq!((inner[0], inner[9]), (0x45, 1), "ICMP in IPv4");
            assert_eq!((&inner[12..16], &inner[16..20]), (&ends.0[..], &ends.1[..]));
            for at in 0..packet.octets.len() {
                let mut touched = packet.octets.clone();
                touched[at] ^= 1 << (at % 8);
                assert!(opener.open(&mut touched, None).is_err(), "octet {at}");
            }
        }
    }
}
