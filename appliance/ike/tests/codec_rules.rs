//! Which payloads each exchange allows and needs: the forms of RFC 7296 appendix C, and what is none of them.
#![allow(clippy::unwrap_used)]

use hawser_flight::MessageError;
use hawser_ike::payload::{AuthPayload, Delete, KePayload, Notify, Payload, SaPayload};
use hawser_ike::registry::{AuthMethod, ExchangeType, NotifyType, PayloadType};
use hawser_ike::rules::check;
use hawser_policy::{Identity, TrafficSelector};

const REQUEST: bool = false;
const RESPONSE: bool = true;

/// Payloads by the names of appendix C.
fn payloads(names: &str) -> Vec<Payload> {
    names.split_whitespace().map(payload).collect()
}

fn payload(name: &str) -> Payload {
    let other = |kind| Payload::Other {
        kind,
        critical: false,
        body: vec![],
    };
    let id = || Identity::Fqdn("test".into());
    let ts = || vec![TrafficSelector::any_v4()];
    match name {
        "SA" => Payload::Sa(SaPayload::default()),
        "KE" => Payload::Ke(KePayload {
            group: 2,
            data: vec![1],
        }),
        "Nonce" => Payload::Nonce(vec![0; 16]),
        "IDi" => Payload::IdI(id()),
        "IDr" => Payload::IdR(id()),
        "AUTH" => Payload::Auth(AuthPayload {
            method: AuthMethod::SharedKey,
            data: vec![],
        }),
        "TSi" => Payload::TsI(ts()),
        "TSr" => Payload::TsR(ts()),
        "V" => Payload::VendorId(vec![]),
        "D" => Payload::Delete(Delete::Ike),
        "N" => Payload::Notify(Notify::error(NotifyType::InitialContact)),
        "N(error)" => Payload::Notify(Notify::error(NotifyType::TsUnacceptable)),
        "N(unknown-error)" => Payload::Notify(Notify::error(NotifyType::UnknownError(9000))),
        "N(COOKIE)" => Payload::Notify(Notify::status(NotifyType::Cookie, vec![1])),
        "CERT" => other(PayloadType::Cert),
        "CERTREQ" => other(PayloadType::CertReq),
        "CP" => other(PayloadType::Configuration),
        "EAP" => other(PayloadType::Eap),
        "unknown" => other(PayloadType::Unknown(200)),
        name => panic!("{name}"),
    }
}

fn assert_forms(exchange: ExchangeType, response: bool, good: &[&str], bad: &[&str]) {
    for names in good {
        let result = check(exchange, response, &payloads(names));
        assert_eq!(result, Ok(()), "{exchange} {response} {names}");
    }
    for names in bad {
        let result = check(exchange, response, &payloads(names));
        let refused = Err(MessageError::PayloadRules);
        assert_eq!(result, refused, "{exchange} {response} {names}");
    }
}

#[test]
fn ike_sa_init() {
    assert_forms(
        ExchangeType::IkeSaInit,
        REQUEST,
        &[
            "SA KE Nonce",
            "N(COOKIE) SA KE Nonce N N V V",
            "Nonce SA KE unknown",
        ],
        &[
            "",
            "SA KE",
            "SA Nonce",
            "KE Nonce",
            "SA SA KE Nonce",
            "SA KE KE Nonce",
            "SA KE Nonce Nonce",
            "SA KE Nonce CERTREQ",
            "SA KE Nonce IDi",
            "N(COOKIE)",
            "N(error)",
        ],
    );
    assert_forms(
        ExchangeType::IkeSaInit,
        RESPONSE,
        &[
            "SA KE Nonce",
            "SA KE Nonce N CERTREQ V",
            "N(COOKIE)",
            "N(error)",
            "N(unknown-error) V",
        ],
        &[
            "",
            "N",
            "V",
            "SA KE",
            "N(error) D",
            "N(COOKIE) AUTH",
            "N(error) SA SA",
        ],
    );
}

#[test]
fn ike_auth() {
    assert_forms(
        ExchangeType::IkeAuth,
        REQUEST,
        &[
            "IDi AUTH SA TSi TSr",
            "IDi CERT CERT N CERTREQ IDr AUTH CP N SA TSi TSr V N",
            "IDi AUTH",
            "IDi IDr AUTH CP N",
        ],
        &[
            "IDi SA TSi TSr",
            "AUTH SA TSi TSr",
            "IDi AUTH SA TSi",
            "IDi AUTH SA",
            "IDi AUTH TSi TSr",
            "IDi IDi AUTH SA TSi TSr",
            "IDi AUTH AUTH SA TSi TSr",
            "IDi AUTH SA TSi TSr KE",
            "IDi AUTH SA TSi TSr EAP",
            "IDi AUTH SA TSi TSr D",
            "EAP",
            "N(error)",
        ],
    );
    assert_forms(
        ExchangeType::IkeAuth,
        RESPONSE,
        &[
            "IDr AUTH SA TSi TSr",
            "IDr CERT AUTH CP N SA TSi TSr V",
            "IDr AUTH N(error)",
            "IDr AUTH",
            "N(error)",
        ],
        &[
            "IDr SA TSi TSr",
            "IDr AUTH SA TSi",
            "IDi IDr AUTH",
            "N",
            "",
            "N(COOKIE)",
            "N(error) KE",
        ],
    );
}

#[test]
fn create_child_sa() {
    for response in [REQUEST, RESPONSE] {
        assert_forms(
            ExchangeType::CreateChildSa,
            response,
            &[
                "SA Nonce TSi TSr",
                "N SA Nonce KE TSi TSr V",
                "CP SA Nonce TSi TSr",
                "SA Nonce KE",
                "SA Nonce KE N",
            ],
            &[
                "",
                "SA Nonce",
                "SA KE",
                "SA Nonce TSi",
                "SA Nonce KE TSr",
                "SA Nonce KE CP",
                "SA Nonce TSi TSr IDi",
                "SA Nonce TSi TSr AUTH",
                "SA Nonce Nonce TSi TSr",
            ],
        );
    }
    let error = ["N(error)", "N(error) N"];
    assert_forms(ExchangeType::CreateChildSa, RESPONSE, &error, &[]);
    assert_forms(ExchangeType::CreateChildSa, REQUEST, &[], &error);
}

#[test]
fn informational_and_others() {
    for response in [REQUEST, RESPONSE] {
        assert_forms(
            ExchangeType::Informational,
            response,
            &["", "D", "D D N", "N(error)", "CP", "N V unknown"],
            &["SA", "AUTH", "CP CP", "D TSi", "EAP"],
        );
        assert_forms(
            ExchangeType::IkeIntermediate,
            response,
            &["", "KE", "N KE V"],
            &["KE KE", "SA", "AUTH"],
        );
        let unknown = ExchangeType::Unknown(38);
        assert_eq!(
            check(unknown, response, &[]),
            Err(MessageError::BadExchange)
        );
    }
}
