//! The Child SAs of a branch.

use hawser_crypto::{EspOpener, EspSealer};
use hawser_esp::packet::Ecn;
use hawser_esp::{InboundSa, OutboundSa, ReplayWindow};
use hawser_flight::{Lineage, Path};
use hawser_ike::io::ChildInstall;
use hawser_policy::Esn;
use std::time::{Duration, Instant};

struct Pair {
    spi_in: u32,
    predecessor: Option<u32>,
    inbound: InboundSa,
    outbound: OutboundSa,
    path: Path,
    active: bool,
    /// It has ended; what is under way is still taken until then.
    until: Option<Instant>,
}

/// What comes of an ESP packet.
pub(super) struct Taken {
    /// The inner packet.
    pub(super) inner: Vec<u8>,
    /// Inbound SPI of its pair.
    pub(super) spi_in: u32,
}

/// The Child SAs, in the order they were made.
#[derive(Default)]
pub(super) struct Pairs(Vec<Pair>);

impl Pairs {
    pub(super) fn install(&mut self, install: &ChildInstall, path: Path) {
        let suite = install.suite;
        let opener = EspOpener::new(suite.encr, suite.integ, &install.encr_in, &install.integ_in);
        let sealer = EspSealer::new(
            suite.encr,
            suite.integ,
            &install.encr_out,
            &install.integ_out,
        );
        let (Ok(opener), Ok(sealer)) = (opener, sealer) else {
            return;
        };
        let esn = if suite.esn { Esn::Yes } else { Esn::No };
        let inbound = InboundSa::new(
            install.spi_in,
            opener,
            esn,
            ReplayWindow::new(256),
            &install.local,
            &install.remote,
        );
        let predecessor = match install.lineage {
            Lineage::Rekey(spi) => u32::try_from(spi).ok(),
            _ => None,
        };
        self.0.push(Pair {
            spi_in: install.spi_in,
            predecessor,
            inbound,
            outbound: OutboundSa::new(install.spi_out, sealer, esn, 1),
            path,
            active: false,
            until: None,
        });
        if install.outbound {
            self.activate(install.spi_in);
        }
    }

    pub(super) fn activate(&mut self, spi_in: u32) {
        let Some(pair) = self.0.iter_mut().find(|p| p.spi_in == spi_in) else {
            return;
        };
        pair.active = true;
        let old = pair.predecessor;
        for pair in self.0.iter_mut().filter(|p| Some(p.spi_in) == old) {
            pair.active = false;
        }
    }

    pub(super) fn remove(&mut self, now: Instant, spi_in: u32, linger: Duration) {
        if let Some(pair) = self.0.iter_mut().find(|p| p.spi_in == spi_in) {
            pair.active = false;
            pair.until = Some(now + linger);
        }
        // Who takes over from it is sent on now.
        let lives = |p: &&Pair| p.predecessor == Some(spi_in) && p.until.is_none();
        let heir = self.0.iter().find(lives).map(|p| p.spi_in);
        heir.into_iter().for_each(|spi| self.activate(spi));
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.0.retain(|p| p.until.is_none_or(|at| at > now));
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.0.iter().filter_map(|p| p.until).min()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// How many are not on their way out.
    pub(super) fn live(&self) -> usize {
        self.0.iter().filter(|p| p.until.is_none()).count()
    }

    /// An ESP packet that is good.
    pub(super) fn open(&mut self, now: Instant, packet: &mut [u8]) -> Option<Taken> {
        let spi = u32::from_be_bytes(*packet.first_chunk()?);
        let pair = self.0.iter_mut().find(|p| p.spi_in == spi)?;
        let opened = pair.inbound.open(packet, Ecn::NotEct, now).ok()?;
        Some(Taken {
            inner: opened.inner.to_vec(),
            spi_in: spi,
        })
    }

    /// Seals on the newest pair that is sent on.
    pub(super) fn seal(&mut self, inner: &[u8]) -> Option<(Path, Vec<u8>)> {
        let pair = self.0.iter_mut().rev().find(|p| p.active)?;
        let mut sealed = Vec::new();
        pair.outbound.seal(inner, &mut sealed).ok()?;
        Some((pair.path, sealed))
    }
}
