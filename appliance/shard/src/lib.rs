//! Sans-IO shard: demux, peers, timers, admission, tenants.

pub mod counters;
pub mod io;
pub mod view;
