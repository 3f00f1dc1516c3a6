//! IKE_SA_INIT and IKE_AUTH: what stands before an [`crate::IkeSa`].
//!
//! A half-open SA is a type of its own ([`Responder`], [`Initiator`]): it has no handler for
//! CREATE_CHILD_SA, and only a verified AUTH payload turns it into an [`crate::IkeSa`].
//!
//! There is no way around that: neither has the calls of an IKE SA,
//!
//! ```compile_fail,E0599
//! fn answer(half_open: &mut hawser_ike::handshake::Responder, env: &mut hawser_ike::io::Env<'_>) {
//!     half_open.create_child(env, 0);
//! }
//! ```
//!
//! ```compile_fail,E0599
//! fn begin(half_open: &mut hawser_ike::handshake::Initiator, env: &mut hawser_ike::io::Env<'_>) {
//!     half_open.create_child(env, 0);
//! }
//! ```
//!
//! and nobody else can make an IKE SA.
//!
//! ```compile_fail,E0624
//! let made = hawser_ike::IkeSa::new;
//! ```
//!
//! ```compile_fail,E0451
//! fn copy(sa: hawser_ike::IkeSa) -> hawser_ike::IkeSa {
//!     hawser_ike::IkeSa { state: hawser_ike::ike_sa::SaState::Established, ..sa }
//! }
//! ```

pub mod cookie;
pub mod initiator;
pub mod responder;

pub use initiator::Initiator;
pub use responder::Responder;

use crate::header::{Flags, Header};
use crate::message::Message;
use crate::payload::{Notify, ParseError, Payload, parse_chain};
use crate::registry::{ExchangeType, PayloadType};
use hawser_policy::Identity;

/// The header of an IKE message; lengths and first payload are filled in when it is encoded.
pub fn header(
    spis: (u64, u64),
    exchange: ExchangeType,
    message_id: u32,
    from_initiator: bool,
    response: bool,
) -> Header {
    Header {
        spi_i: spis.0,
        spi_r: spis.1,
        next_payload: PayloadType::None,
        major: 2,
        minor: 0,
        exchange,
        flags: Flags {
            initiator: from_initiator,
            response,
            version: false,
        },
        message_id,
        length: 0,
    }
}

/// An unprotected IKE_SA_INIT response with one notify: an error, or a demand.
pub fn init_notify(request: &Header, notify: Notify) -> Vec<u8> {
    let header = header((request.spi_i, 0), ExchangeType::IkeSaInit, 0, false, true);
    Message {
        header,
        payloads: vec![Payload::Notify(notify)],
    }
    .encode_clear()
}

/// The answer to an IKE_SA_INIT request that has an unknown critical payload (RFC 7296 2.5); `None`
/// if that is not what is wrong with it. Nothing is kept for it.
pub fn unsupported_critical(datagram: &[u8]) -> Option<Vec<u8>> {
    let header = Header::parse(datagram).ok()?;
    match parse_chain(header.next_payload, datagram.get(Header::LEN..)?) {
        Err(error @ ParseError::CriticalPayload(_)) => Some(init_notify(&header, error.notify())),
        _ => None,
    }
}

/// The identity that we show: the template's, else our outer address.
pub fn local_identity(configured: Option<&Identity>, path: &hawser_flight::Path) -> Identity {
    configured
        .cloned()
        .unwrap_or_else(|| Identity::from_ip(path.local.ip()))
}

/// Largest IKE message, in octets, that goes out whole: what is left of `fragment_size` without
/// IP and UDP headers and the non-ESP marker (RFC 7383 2.5.1).
pub fn fragment_limit(fragment_size: u16, path: &hawser_flight::Path) -> usize {
    let ip = if path.remote.is_ipv4() { 20 } else { 40 };
    usize::from(fragment_size).saturating_sub(ip + 8 + 4)
}
