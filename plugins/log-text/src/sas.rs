//! Which SAs there are, as far as this instance has seen: events about the end of an SA do not
//! repeat how it began.

use hawser_sdk::log::Event;
use std::collections::BTreeMap;

/// SAs of each kind that are remembered; the oldest are forgotten first.
const LIMIT: usize = 16_384;

/// An IKE SA.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IkeSa {
    /// Counted from 1, as charon does.
    pub number: u64,
    /// Initiator's SPI.
    pub spi_i: u64,
    /// Responder's SPI.
    pub spi_r: u64,
    /// `initiator` or `responder`: what we are.
    pub our_role: &'static str,
    /// A successor took over.
    pub rekeyed: bool,
    device: Option<u64>,
}

/// A pair of Child SAs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChildSa {
    /// Counted from 1, as charon does.
    pub number: u64,
    /// Our side's selectors, between spaces.
    pub local: String,
    /// The peer's side's.
    pub remote: String,
    /// `initiator` or `responder`: what we are in its IKE SA.
    pub our_role: &'static str,
    spi_in: u64,
}

/// The SAs of which this instance has seen the beginning and not the end.
#[derive(Default, Debug)]
pub struct Sas {
    ike: BTreeMap<u64, IkeSa>,
    ike_by_spi: BTreeMap<u64, u64>,
    ike_by_device: BTreeMap<u64, u64>,
    child: BTreeMap<u64, ChildSa>,
    child_by_spi: BTreeMap<u64, u64>,
    ike_count: u64,
    child_count: u64,
}

impl Sas {
    /// Takes up what begins with this event: to be called before it is formatted.
    pub fn begin(&mut self, event: &Event<'_>) {
        match event.name {
            "ike_sa_established" => self.begin_ike(event),
            "child_sa_installed" => self.begin_child(event),
            _ => {}
        }
    }

    /// Drops what ended with this event: to be called after it was formatted.
    pub fn end(&mut self, event: &Event<'_>) {
        match event.name {
            "ike_sa_closed" => {
                if let Some(number) = self.ike_sa(event).map(|sa| sa.number) {
                    self.forget_ike(number);
                }
            }
            "child_sa_removed" => {
                if let Some(number) = self.child_sa(event).map(|sa| sa.number) {
                    self.forget_child(number);
                }
            }
            _ => {}
        }
    }

    /// The IKE SA that an event is about: the one it names, or else the device's newest.
    pub fn ike_sa(&self, event: &Event<'_>) -> Option<&IkeSa> {
        let named = event.unsigned("spi_r").or(event.unsigned("spi_i"));
        let number = match named {
            Some(spi) => self.ike_by_spi.get(&spi),
            None => self.ike_by_device.get(&event.device?),
        };
        self.ike.get(number?)
    }

    /// The IKE SA with this SPI, whoever chose it.
    pub fn ike_sa_with(&self, spi: u64) -> Option<&IkeSa> {
        self.ike.get(self.ike_by_spi.get(&spi)?)
    }

    /// The pair of Child SAs that an event names.
    pub fn child_sa(&self, event: &Event<'_>) -> Option<&ChildSa> {
        let spi = event.unsigned("spi_in")?;
        self.child.get(self.child_by_spi.get(&spi)?)
    }

    fn begin_ike(&mut self, event: &Event<'_>) {
        let (Some(spi_i), Some(spi_r)) = (event.unsigned("spi_i"), event.unsigned("spi_r")) else {
            return;
        };
        let parent = event.unsigned("lineage.parent");
        if let Some(n) = parent.and_then(|spi| self.ike_by_spi.get(&spi))
            && let Some(old) = self.ike.get_mut(n)
        {
            old.rekeyed = true;
        }
        self.ike_count += 1;
        let number = self.ike_count;
        let sa = IkeSa {
            number,
            spi_i,
            spi_r,
            our_role: our_role(event.text("role")),
            rekeyed: false,
            device: event.device,
        };
        self.ike.insert(number, sa);
        self.ike_by_spi.extend([(spi_i, number), (spi_r, number)]);
        if let Some(device) = event.device {
            self.ike_by_device.insert(device, number);
        }
        if self.ike.len() > LIMIT
            && let Some(oldest) = self.ike.keys().next().copied()
        {
            self.forget_ike(oldest);
        }
    }

    fn begin_child(&mut self, event: &Event<'_>) {
        let Some(spi_in) = event.unsigned("spi_in") else {
            return;
        };
        self.child_count += 1;
        let number = self.child_count;
        let text = |name| event.text(name).unwrap_or_default().to_owned();
        let sa = ChildSa {
            number,
            local: text("local"),
            remote: text("remote"),
            our_role: self.ike_sa(event).map_or("responder", |sa| sa.our_role),
            spi_in,
        };
        self.child.insert(number, sa);
        self.child_by_spi.insert(spi_in, number);
        if self.child.len() > LIMIT
            && let Some(oldest) = self.child.keys().next().copied()
        {
            self.forget_child(oldest);
        }
    }

    fn forget_ike(&mut self, number: u64) {
        let Some(sa) = self.ike.remove(&number) else {
            return;
        };
        for spi in [sa.spi_i, sa.spi_r] {
            remove_if(&mut self.ike_by_spi, spi, number);
        }
        if let Some(device) = sa.device {
            remove_if(&mut self.ike_by_device, device, number);
        }
    }

    fn forget_child(&mut self, number: u64) {
        if let Some(sa) = self.child.remove(&number) {
            remove_if(&mut self.child_by_spi, sa.spi_in, number);
        }
    }
}

/// The key may lead to a newer one by now.
fn remove_if(index: &mut BTreeMap<u64, u64>, key: u64, number: u64) {
    if index.get(&key) == Some(&number) {
        index.remove(&key);
    }
}

fn our_role(initiator: Option<&str>) -> &'static str {
    match initiator {
        Some("initiator") => "initiator",
        _ => "responder",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_sdk::testing::log::event;

    fn established(i: u64, r: u64) -> Event<'static> {
        event("ike_sa_established")
            .with("role", "responder")
            .with("spi_i", i)
            .with("spi_r", r)
    }

    #[test]
    fn a_rekeyed_sa_is_replaced_by_its_successor() {
        let mut sas = Sas::default();
        sas.begin(&established(1, 2));
        sas.begin(&established(3, 4).with("lineage.parent", 2u64));
        assert!(sas.ike_sa_with(1).expect("the old one").rekeyed);
        assert_eq!(
            sas.ike_sa(&event("probe_sent")).map(|sa| sa.number),
            Some(2)
        );
        let closed = event("ike_sa_closed")
            .with("spi_i", 1u64)
            .with("spi_r", 2u64);
        sas.end(&closed);
        assert_eq!(sas.ike_sa_with(2), None);
        assert_eq!(
            sas.ike_sa(&event("probe_sent")).map(|sa| sa.number),
            Some(2)
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut sas = Sas::default();
        for spi in 0..2 * LIMIT as u64 {
            sas.begin(&established(2 * spi, 2 * spi + 1));
            sas.begin(&event("child_sa_installed").with("spi_in", spi));
        }
        assert_eq!((sas.ike.len(), sas.child.len()), (LIMIT, LIMIT));
        assert_eq!(sas.ike_by_spi.len(), 2 * LIMIT);
        assert_eq!(sas.child_by_spi.len(), LIMIT);
        assert_eq!(sas.ike_sa_with(1), None, "the oldest went first");
    }
}
