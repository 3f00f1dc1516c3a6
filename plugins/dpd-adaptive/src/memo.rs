//! What the policy learns of a device, in the memo that the gateway keeps for it.

/// Version of the form below; another one is another policy's memo, or an older one.
const FORM: u8 = 1;
const LENGTH: usize = 34;

/// What is known of a device.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Memo {
    /// How often `quiet-ms` is doubled for a device that only receives.
    pub(crate) patience: u8,
    /// Smoothed round-trip time in microseconds (RFC 6298); 0: none yet.
    pub(crate) rtt_us: u32,
    /// Its mean deviation.
    pub(crate) deviation_us: u32,
    /// The longest silence that the device's NAT is known to have survived, in milliseconds.
    pub(crate) survived_ms: u32,
    /// The shortest silence after which its NAT had forgotten it; 0: it never has.
    pub(crate) forgot_ms: u32,
    /// When something last went out or came in, as of the last question.
    pub(crate) active_ms: u64,
    /// When the probe that is under way was sent first.
    pub(crate) probing_since_ms: u64,
}

impl Memo {
    /// None where there is no memo, or one of another form.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        let octets = <[u8; LENGTH]>::try_from(octets).ok()?;
        if octets[0] != FORM {
            return None;
        }
        let mut rest = &octets[2..];
        Some(Self {
            patience: octets[1],
            rtt_us: u32::from_le_bytes(take(&mut rest)),
            deviation_us: u32::from_le_bytes(take(&mut rest)),
            survived_ms: u32::from_le_bytes(take(&mut rest)),
            forgot_ms: u32::from_le_bytes(take(&mut rest)),
            active_ms: u64::from_le_bytes(take(&mut rest)),
            probing_since_ms: u64::from_le_bytes(take(&mut rest)),
        })
    }

    pub(crate) fn write(&self) -> [u8; LENGTH] {
        let mut octets = [0; LENGTH];
        octets[0] = FORM;
        octets[1] = self.patience;
        octets[2..6].copy_from_slice(&self.rtt_us.to_le_bytes());
        octets[6..10].copy_from_slice(&self.deviation_us.to_le_bytes());
        octets[10..14].copy_from_slice(&self.survived_ms.to_le_bytes());
        octets[14..18].copy_from_slice(&self.forgot_ms.to_le_bytes());
        octets[18..26].copy_from_slice(&self.active_ms.to_le_bytes());
        octets[26..].copy_from_slice(&self.probing_since_ms.to_le_bytes());
        octets
    }

    /// A round trip was measured (RFC 6298, section 2).
    pub(crate) fn round_trip(&mut self, us: u32) {
        if self.rtt_us == 0 {
            (self.rtt_us, self.deviation_us) = (us.max(1), us / 2);
            return;
        }
        let off = self.rtt_us.abs_diff(us);
        self.deviation_us = self.deviation_us - self.deviation_us / 4 + off / 4;
        self.rtt_us = (self.rtt_us - self.rtt_us / 8 + us / 8).max(1);
    }

    /// The device was silent for so long, and its NAT still knew it.
    pub(crate) fn survived(&mut self, ms: u64) {
        self.survived_ms = self.survived_ms.max(short(ms));
        if self.forgot_ms != 0 && self.survived_ms >= self.forgot_ms {
            // Another NAT, or another setting of it: learned anew.
            self.forgot_ms = 0;
        }
    }

    /// After so long a silence the device came from another endpoint.
    pub(crate) fn forgot(&mut self, ms: u64) {
        let ms = short(ms).max(1);
        self.forgot_ms = match self.forgot_ms {
            0 => ms,
            known => known.min(ms),
        };
        self.survived_ms = self.survived_ms.min(self.forgot_ms - 1);
    }
}

fn short(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}

/// The first octets of a memo whose length was checked.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let mut octets = [0; N];
    if let Some((first, others)) = rest.split_first_chunk::<N>() {
        octets = *first;
        *rest = others;
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let memo = Memo {
            patience: 3,
            rtt_us: 30_000,
            deviation_us: 4_000,
            survived_ms: 55_000,
            forgot_ms: 60_000,
            active_ms: 1 << 40,
            probing_since_ms: (1 << 40) + 5,
        };
        let octets = memo.write();
        assert_eq!(octets.len(), LENGTH);
        assert_eq!(Memo::read(&octets), Some(memo));
        assert_eq!(Memo::read(&octets[1..]), None);
        let mut other = octets;
        other[0] = 9;
        assert_eq!(Memo::read(&other), None);
    }

    #[test]
    fn round_trips_are_smoothed() {
        let mut memo = Memo::default();
        memo.round_trip(80_000);
        assert_eq!((memo.rtt_us, memo.deviation_us), (80_000, 40_000));
        memo.round_trip(160_000);
        assert_eq!((memo.rtt_us, memo.deviation_us), (90_000, 50_000));
        for _ in 0..100 {
            memo.round_trip(20_000);
        }
        assert!(memo.rtt_us.abs_diff(20_000) < 20, "{memo:?}");
        assert!(memo.deviation_us < 20, "{memo:?}");
    }

    #[test]
    fn a_nat_is_bracketed_and_learned_anew() {
        let mut memo = Memo::default();
        memo.survived(40_000);
        memo.forgot(60_000);
        memo.forgot(50_000);
        assert_eq!((memo.survived_ms, memo.forgot_ms), (40_000, 50_000));
        memo.forgot(30_000);
        assert_eq!((memo.survived_ms, memo.forgot_ms), (29_999, 30_000));
        memo.survived(45_000);
        assert_eq!((memo.survived_ms, memo.forgot_ms), (45_000, 0));
    }
}
