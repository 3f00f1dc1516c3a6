//! What happens in Hawser, in one vocabulary.
//!
//! Log, metrics, the admin API and plugins all speak of the same [`Event`]s, [`CloseCause`]s and
//! [`DropReason`]s. Nothing here does I/O or knows the clock: whoever records an event stamps it.
//!
//! Adding an event: one variant in [`event::Event`] with its explanation in the doc comment.

pub mod cause;
pub mod event;
pub mod path;

pub use cause::{CloseCause, DropReason, HandshakeFailure, MessageError};
pub use event::{Event, Lineage, PeerLabel, Record, Role};
pub use path::Path;
