//! Tests of `hawser-esp` from outside.
#![allow(clippy::unwrap_used)]

mod echo;
mod fit;
mod hostile;
mod inbound;
mod offload;
mod outbound;
mod packets;
mod replay;
mod round_trip;
mod spd;
mod suites;
