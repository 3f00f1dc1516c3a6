//! PRFs, integrity, encryption and key exchange of IKEv2 (RFC 7296) and ESP (RFC 4303).
//!
//! The crate is sans-IO: randomness comes in as an argument, nothing here reads a clock or a file.
//!
//! * [`Encr`], [`Integ`], [`Prf`] and [`KeyExchange`] name the algorithms of the four transform types and carry their
//!   lengths and strongSwan keywords.
//! * [`Prf::mac`] and [`Prf::plus`] make keys and AUTH payloads.
//! * [`KeyExchange::generate`] and [`KePrivate::agree`] run a key exchange.
//! * [`IkeCipher`] protects one direction of an IKE SA, [`EspSealer`] and [`EspOpener`] the directions of a Child SA.
//!
//! The AEADs and the elliptic curves come from aws-lc, AES-CBC, HMAC and the modular arithmetic from pure Rust crates. The
//! cargo feature `portable` takes the AEADs from RustCrypto as well.
//!
//! Keys, digests and shared secrets are wiped when they are dropped, and no `Debug` output shows them.

mod aead;
mod cbc;
mod encr;
mod error;
mod esp;
mod hash;
mod ike;
mod integ;
mod ke;
mod lanes;
mod prf;
mod suite;

pub use encr::Encr;
pub use error::{KeError, KeyLengthError, OpenError, PrfPlusError};
pub use esp::{EspOpener, EspSealer, ToOpen, ToSeal};
pub use ike::IkeCipher;
pub use integ::Integ;
pub use ke::{KePrivate, KeyExchange, SharedSecret};
pub use prf::{Digest, Prf};

/// Whether this is a build whose AEADs encrypt nothing (the feature `null-cipher`).
pub const NULL_CIPHER: bool = cfg!(feature = "null-cipher");
