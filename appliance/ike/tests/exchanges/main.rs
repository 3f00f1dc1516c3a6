//! Exchanges between two ends of ours, message by message. The cases are those of RFC 7296 2.8 and
//! 2.25, and those that strongSwan's own suites name; their names are given where they differ.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod child_collision;
mod child_delete;
mod child_meets_ike;
mod child_rekey;
mod handshake;
mod hostile;
mod ike_collision;
mod ike_delete;
mod ike_group;
mod ike_rekey;
mod pair;
