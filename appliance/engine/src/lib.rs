//! Threads, sockets, TUN, routes and metrics around the sans-IO shards.
//!
//! [`Engine::start`] binds the outer sockets, makes the inner devices and starts one pinned thread
//! for each shard; what is not a packet (netlink, metrics, the log) runs on a small tokio runtime
//! of the engine's own. The [`EngineHandle`] is how the rest of the process speaks to it.
//!
//! How a packet walks: the kernel's reuseport program ([`steering`]) puts a datagram into the
//! socket of the shard that its SPI names; the shard's loop ([`shard_thread`]) reads batches
//! ([`inbox`]), gives them to the shard, and the shard gives packets back through a sink that
//! writes to the TUN queue ([`inner`]), collects datagrams ([`outbox`]) or hands them to another
//! shard ([`mailbox`]). Questions go to the workers for key exchanges ([`workers`]) or to the
//! directory that shards share ([`directory`]).
//!
//! Nothing that comes from the network makes a loop block or a queue grow without bound: every
//! queue has a limit, and what does not fit is counted by a reason.
#![allow(rustdoc::private_intra_doc_links)]

mod background;
mod counters;
mod directory;
mod ends;
mod error;
mod events;
mod gso;
mod handle;
mod inbox;
mod incidents;
mod inner;
mod known;
mod log;
mod mailbox;
mod metrics;
mod netns;
mod options;
mod outbox;
mod plugins;
mod poller;
mod raw;
#[cfg(feature = "relay")]
pub mod relay;
mod routes;
mod runtime;
mod sender;
mod sendmmsg;
pub mod sentence;
mod shard_thread;
mod sockopt;
mod steering;
#[cfg(test)]
mod testing;
mod trie;
mod tun;
mod udp;
mod watch;
mod workers;

pub use counters::{EngineCounters, ShardSnapshot};
pub use ends::ShardFailure;
pub use error::{ApplyError, StartError};
pub use events::{EventStream, Feed};
pub use handle::{EngineHandle, Shutdown};
pub use incidents::{Dropped, Incident, Incidents, MassEvent, PeerName, Summary};
pub use log::{
    built_in as built_in_line, event_fields, event_severity, recorded_event, told_event,
};
pub use options::{EngineOptions, InnerDevices, Prepare, Routing};
pub use plugins::dpd_settings;
pub use runtime::Engine;
pub use udp::Bound;
pub use watch::Watched;
