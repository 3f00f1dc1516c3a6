//! Sans-IO IKEv2 (RFC 7296).
//!
//! A half-open SA is a [`handshake::Responder`] or a [`handshake::Initiator`]; a verified AUTH
//! payload turns it into an [`IkeSa`], which owns its Child SAs. Inputs are method calls with an
//! [`io::Env`]; [`io::Output`]s are drained afterwards, in order. Nothing here does I/O, reads a
//! clock, or waits: what takes long is asked for.
//!
//! Adding a payload: its file in `payload/`, one line in `payload/mod.rs`, one in `rules.rs`.

pub mod algorithms;
pub mod auth;
pub mod child_sa;
pub mod exchange;
pub mod fragment;
pub mod handshake;
pub mod header;
pub mod ike_sa;
pub mod io;
mod iv;
pub mod keymat;
pub mod message;
pub mod nat;
pub mod payload;
pub mod peek;
pub mod protect;
pub mod registry;
pub mod rules;
pub mod select;
mod upkeep;
pub mod window;
mod wire;

pub use ike_sa::IkeSa;
pub use io::{KeAnswer, KeRequest};
