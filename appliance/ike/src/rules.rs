//! Which payloads an exchange allows and needs (RFC 7296 sections 1.2 to 1.4 and appendix C).

use crate::payload::{MAX_PAYLOADS, Payload};
use crate::registry::{ExchangeType, NotifyType, PayloadType};
use hawser_flight::MessageError;

/// How often a payload comes.
struct Rule {
    kind: PayloadType,
    min: usize,
    max: usize,
}

/// One legal form of a message. Payloads without a row are not allowed in it.
type Form = &'static [Rule];

const fn one(kind: PayloadType) -> Rule {
    Rule {
        kind,
        min: 1,
        max: 1,
    }
}

const fn maybe(kind: PayloadType) -> Rule {
    Rule {
        kind,
        min: 0,
        max: 1,
    }
}

const fn any(kind: PayloadType) -> Rule {
    Rule {
        kind,
        min: 0,
        max: MAX_PAYLOADS,
    }
}

/// What every exchange allows (appendix C: "[V+]", "[N+]").
const EVERYWHERE: Form = &[any(PayloadType::Notify), any(PayloadType::VendorId)];

const INIT_REQUEST: &[Form] = &[&[
    one(PayloadType::Sa),
    one(PayloadType::Ke),
    one(PayloadType::Nonce),
]];

const INIT_RESPONSE: &[Form] = &[&[
    one(PayloadType::Sa),
    one(PayloadType::Ke),
    one(PayloadType::Nonce),
    any(PayloadType::CertReq),
]];

/// AUTH is never missing: EAP is not spoken. Without SA, TSi and TSr no Child SA is asked for (RFC 6023).
const AUTH_REQUEST: &[Form] = &[
    &[
        one(PayloadType::IdI),
        any(PayloadType::Cert),
        any(PayloadType::CertReq),
        maybe(PayloadType::IdR),
        one(PayloadType::Auth),
        maybe(PayloadType::Configuration),
        one(PayloadType::Sa),
        one(PayloadType::TsI),
        one(PayloadType::TsR),
    ],
    &[
        one(PayloadType::IdI),
        any(PayloadType::Cert),
        any(PayloadType::CertReq),
        maybe(PayloadType::IdR),
        one(PayloadType::Auth),
        maybe(PayloadType::Configuration),
    ],
];

const AUTH_RESPONSE: &[Form] = &[
    &[
        one(PayloadType::IdR),
        any(PayloadType::Cert),
        one(PayloadType::Auth),
        maybe(PayloadType::Configuration),
        one(PayloadType::Sa),
        one(PayloadType::TsI),
        one(PayloadType::TsR),
    ],
    &[
        one(PayloadType::IdR),
        any(PayloadType::Cert),
        one(PayloadType::Auth),
        maybe(PayloadType::Configuration),
    ],
];

/// The first form makes or rekeys a Child SA, the second rekeys the IKE SA. Requests and responses are alike.
const CREATE_CHILD: &[Form] = &[
    &[
        one(PayloadType::Sa),
        one(PayloadType::Nonce),
        maybe(PayloadType::Ke),
        one(PayloadType::TsI),
        one(PayloadType::TsR),
        maybe(PayloadType::Configuration),
    ],
    &[
        one(PayloadType::Sa),
        one(PayloadType::Nonce),
        one(PayloadType::Ke),
    ],
];

const INFORMATIONAL: &[Form] = &[&[any(PayloadType::Delete), maybe(PayloadType::Configuration)]];

/// RFC 9242 leaves the content to whoever uses it; so far that is a further key exchange (RFC 9370).
const INTERMEDIATE: &[Form] = &[&[maybe(PayloadType::Ke)]];

fn forms(exchange: ExchangeType, response: bool) -> Option<&'static [Form]> {
    match (exchange, response) {
        (ExchangeType::IkeSaInit, false) => Some(INIT_REQUEST),
        (ExchangeType::IkeSaInit, true) => Some(INIT_RESPONSE),
        (ExchangeType::IkeAuth, false) => Some(AUTH_REQUEST),
        (ExchangeType::IkeAuth, true) => Some(AUTH_RESPONSE),
        (ExchangeType::CreateChildSa, _) => Some(CREATE_CHILD),
        (ExchangeType::Informational, _) => Some(INFORMATIONAL),
        (ExchangeType::IkeIntermediate, _) => Some(INTERMEDIATE),
        (ExchangeType::Unknown(_), _) => None,
    }
}

/// Whether the payloads make one of the legal forms of the exchange (RFC 7296 appendix C).
///
/// Payloads of unknown types are ignored (RFC 7296 section 2.5; critical ones are refused earlier). A response with an
/// error needs nothing else, nor does one to IKE_SA_INIT that demands a cookie; what else it has must be allowed still.
///
/// # Errors
/// `PayloadRules`: none fits. `BadExchange`: an exchange type that is not known.
pub fn check(
    exchange: ExchangeType,
    response: bool,
    payloads: &[Payload],
) -> Result<(), MessageError> {
    let forms = forms(exchange, response).ok_or(MessageError::BadExchange)?;
    let refusal = response && payloads.iter().any(|p| is_refusal(exchange, p));
    if forms.iter().any(|form| fits(form, refusal, payloads)) {
        Ok(())
    } else {
        Err(MessageError::PayloadRules)
    }
}

fn is_refusal(exchange: ExchangeType, payload: &Payload) -> bool {
    let Payload::Notify(notify) = payload else {
        return false;
    };
    notify.kind.is_error()
        || exchange == ExchangeType::IkeSaInit && notify.kind == NotifyType::Cookie
}

fn fits(form: Form, refusal: bool, payloads: &[Payload]) -> bool {
    let rules = || form.iter().chain(EVERYWHERE);
    let allowed = |kind| rules().any(|rule| rule.kind == kind);
    let known = |payload: &&Payload| !matches!(payload.kind(), PayloadType::Unknown(_));
    payloads.iter().filter(known).all(|p| allowed(p.kind()))
        && rules().all(|rule| {
            let count = payloads.iter().filter(|p| p.kind() == rule.kind).count();
            (refusal || count >= rule.min) && count <= rule.max
        })
}
