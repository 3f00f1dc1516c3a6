//! How the tunnels of a template are kept up without an operator.

use serde::Serialize;
use std::time::Duration;

/// Whether we begin a handshake towards a device that is gone without a successor, through the
/// NAT mapping that it was last seen behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revive {
    /// Never: the branch has to come back by itself.
    Off,
    /// Yes, within the limits of the shard's `revive` rules.
    #[default]
    On,
}

/// What a new IKE SA does to earlier ones of the same identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uniqueness {
    /// An identity may be many devices: only an earlier SA of the same device is replaced.
    #[default]
    Device,
    /// An identity is one device: whatever it held goes when it comes again.
    Replace,
    /// An identity is one device: while it lives from elsewhere, another is refused.
    Keep,
    /// Nothing is ever replaced, INITIAL_CONTACT is ignored; what is not used ends by DPD.
    Never,
}

/// How the tunnels of a template are kept up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Upkeep {
    /// Whether devices are revived.
    pub revive: Revive,
    /// Consent to revive with a pre-shared key of less than 16 octets: whoever begins shows its
    /// identity and a proof first, from which a weak key can be guessed.
    pub revive_weak_secret: bool,
    /// How often an IKE SA that nothing came on is tested, 60 s to a day; a failure marks the
    /// device degraded and ends nothing. `None`: never.
    pub audit: Option<Duration>,
    /// What becomes of earlier IKE SAs of the same identity.
    pub uniqueness: Uniqueness,
    /// While the authorization plugin of the template fails to decide, a new peer is let in as it
    /// asks, instead of refused; an event names each that was.
    pub admit_undecided: bool,
}

impl Upkeep {
    /// Pre-shared keys from this length on are taken for strong: 128 bits.
    pub const STRONG_SECRET: usize = 16;
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            revive: Revive::On,
            revive_weak_secret: false,
            audit: Some(Duration::from_secs(600)),
            uniqueness: Uniqueness::Device,
            admit_undecided: false,
        }
    }
}
