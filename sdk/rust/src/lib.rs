//! Write plugins of Hawser: a trait for each hook, typed evidence, and tests without WebAssembly.
//!
//! A plugin is a type with settings ([`Plugin`]) that answers one kind of question:
//!
//! | hook | trait | macro | asked |
//! |---|---|---|---|
//! | `dpd-policy` | [`DpdPolicy`] | [`export_dpd_policy!`] | whether a device is alive, and when to ask it |
//! | `peer-authorization` | [`PeerAuthorization`] | [`export_peer_authorization!`] | whether an authenticated peer may have what it asks for |
//! | `log-format` | [`LogFormat`] | [`export_log_format!`] | how events become lines |
//!
//! ```
//! use hawser_sdk::dpd::{Decision, Evidence, Trigger};
//! use hawser_sdk::{About, DpdPolicy, Plugin, SettingsError};
//! use serde::Deserialize;
//!
//! /// Probes once a minute, and gives up after the third silence.
//! struct EachMinute;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {}
//!
//! impl Plugin for EachMinute {
//!     type Settings = Settings;
//!     const ABOUT: About = hawser_sdk::about!(r#"{"type": "object", "properties": {}}"#);
//!
//!     fn new(_: Settings) -> Result<Self, SettingsError> {
//!         Ok(Self)
//!     }
//! }
//!
//! impl DpdPolicy for EachMinute {
//!     fn decide(&mut self, evidence: &Evidence<'_>) -> Decision {
//!         match evidence.trigger {
//!             Trigger::Timer => Decision::probe(5_000),
//!             Trigger::Unanswered if evidence.transmissions >= 3 => Decision::give_up("3 silences"),
//!             Trigger::Unanswered => Decision::probe(5_000),
//!             _ => Decision::wait_until(evidence.now_ms + 60_000),
//!         }
//!     }
//! }
//!
//! hawser_sdk::export_dpd_policy!(EachMinute);
//! # fn main() {}
//! ```
//!
//! The book is `sdk/README.md`: what every field means, the limits, and what happens on a fault.

#[doc(hidden)]
pub mod abi;
pub mod authorization;
pub mod dpd;
pub mod export;
pub mod host;
pub mod log;
pub mod net;
mod plugin;
mod settings;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use authorization::PeerAuthorization;
pub use dpd::DpdPolicy;
pub use log::LogFormat;
pub use plugin::{About, Plugin, SettingsError};
pub use settings::configure;

/// The first thing in an instance: panics speak, settings are read.
fn start<P: Plugin>(settings: &str) -> Result<P, SettingsError> {
    #[cfg(target_family = "wasm")]
    host::report_panics();
    configure(settings)
}
