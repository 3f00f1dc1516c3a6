//! What the network does to what is sent.

use crate::fault::{Fault, What};
use std::time::Duration;

/// Between headquarters and one branch.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Weather {
    /// Probability that a datagram is lost.
    pub loss: f64,
    /// Probability that it comes twice.
    pub duplicate: f64,
    /// Probability that an octet of it is another.
    pub corrupt: f64,
    /// Up to so much later.
    pub delay: Duration,
    /// Nothing gets to headquarters.
    pub mute: bool,
    /// Nothing gets to the branch.
    pub deaf: bool,
    /// ESP does not get to headquarters.
    pub esp_lost: bool,
}

impl Weather {
    /// What the faults make of it for a branch.
    pub fn of<'a>(branch: u16, faults: impl Iterator<Item = &'a Fault>) -> Self {
        let mut weather = Self::default();
        for fault in faults {
            match fault.what {
                What::Loss(whom, p) if whom.is(branch) => weather.loss = weather.loss.max(p),
                What::Duplicate(whom, p) if whom.is(branch) => {
                    weather.duplicate = weather.duplicate.max(p);
                }
                What::Corrupt(whom, p) if whom.is(branch) => {
                    weather.corrupt = weather.corrupt.max(p);
                }
                What::Delay(whom, by) if whom.is(branch) => weather.delay = weather.delay.max(by),
                What::Partition(whom) if whom.is(branch) => {
                    (weather.mute, weather.deaf) = (true, true);
                }
                What::Mute(whom) if whom.is(branch) => weather.mute = true,
                What::Deaf(whom) if whom.is(branch) => weather.deaf = true,
                What::EspLost(whom) if whom.is(branch) => weather.esp_lost = true,
                _ => {}
            }
        }
        weather
    }
}
