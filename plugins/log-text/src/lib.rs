//! What log formats share: civil time, events in words, and which SAs there are.

mod civil;
mod sas;
mod words;

pub use civil::Civil;
pub use sas::{ChildSa, IkeSa, Sas};
pub use words::{host_port, sentence, value, write_sentence};
