//! What happens in Hawser, in one vocabulary.
//!
//! Log, metrics, the admin API and plugins all speak of the same [`Event`]s, [`CloseCause`]s and
//! [`DropReason`]s. Nothing here does I/O or knows the clock: whoever records an event stamps it.
//!
//! Each device has a [`Ring`] of its last events, and when it drops, [`verdict::judge`] says why from
//! what the ring holds.
//!
//! Adding an event: one variant in [`event::Event`] with its explanation in the doc comment. Texts of
//! it that a peer may make long are cut in `Event::shortened`.

pub mod cause;
pub mod event;
mod forms;
pub mod path;
pub mod ring;
pub mod verdict;

pub use cause::{CloseCause, DropReason, HandshakeFailure, MessageError};
pub use event::{Consequence, Event, Lineage, PeerLabel, Record, Repair, RevivalOutcome, Role};
pub use forms::Word;
pub use path::Path;
pub use ring::{Entry, Overwritten, Recording, Ring};
