//! ESP (RFC 4303) as plain computation: no sockets, no clock, no locks, and no panic on any input.
//!
//! * [`inbound::InboundSa`] opens packets, [`outbound::OutboundSa`] seals them.
//! * [`sad::Sad`] finds the inbound SA of a SPI, [`spd::Spd`] the outbound policy of an inner packet.
//! * [`packet::PacketInfo`] is what policy needs to know of an inner packet.
//! * [`offload`] splits and joins the super-packets of a TUN.
//! * [`mtu`], [`mss`], [`icmp`] and [`fragment`] make inner packets fit the path.
//! * [`echo`] answers pings for an inner network that does not exist.
//!
//! Nothing here allocates per packet, except where an item says so.

mod checksum;

pub mod echo;
pub mod fragment;
pub mod icmp;
pub mod inbound;
pub mod mss;
pub mod mtu;
pub mod offload;
pub mod outbound;
pub mod packet;
pub mod replay;
pub mod sad;
pub mod spd;

pub use fragment::Fragmenter;
pub use inbound::{InboundSa, Opened};
pub use mtu::Encapsulation;
pub use outbound::{Clear, OutboundSa, Sealed, SealedBatch};
pub use packet::{Ecn, Fragment, PacketInfo};
pub use replay::ReplayWindow;
pub use sad::{Sad, SadEntry};
pub use spd::Spd;
