//! A deterministic simulator of Hawser: real shards and foreign peers on virtual time, behind NATs,
//! in a network that loses, delays, reorders, doubles and corrupts. Everything follows from a
//! seed; a failure is a seed.
//!
//! A [`plan::Plan`] says who takes part and what goes wrong when; [`run::run`] carries it out;
//! [`shrink::shrink`] finds the smallest part of it that still fails. In every round faults come
//! first, then everything heals, and then every branch must be usable within a minute, without an
//! operator (see `check`). At all times nothing goes out in clear, nobody gets what is not his, every route
//! belongs to a Child SA, and memory is bounded.

pub mod answers;
pub mod branch;
mod check;
pub mod drops;
pub mod fault;
mod faults;
pub mod gateway;
pub mod habits;
pub mod ledger;
pub mod nat;
pub mod packet;
pub mod plan;
pub mod policies;
pub mod queue;
pub mod run;
pub mod scenario;
pub mod shrink;
pub mod trace;
pub mod weather;
pub mod world;
