//! Pairs of SAs that share keys.

use hawser_crypto::{Encr, EspOpener, EspSealer, Integ};
use hawser_esp::{InboundSa, OutboundSa, ReplayWindow};
use hawser_policy::{Esn, TrafficSelector};

pub(crate) const SPI: u32 = 0x0712_3456;

/// Every combination of algorithms.
pub(crate) fn all() -> Vec<(Encr, Option<Integ>)> {
    let with_integ = |encr: Encr| Integ::ALL.map(|integ| (encr, Some(integ))).to_vec();
    Encr::ALL
        .into_iter()
        .flat_map(|encr| {
            if encr.is_aead() {
                vec![(encr, None)]
            } else {
                with_integ(encr)
            }
        })
        .collect()
}

fn keys(encr: Encr, integ: Option<Integ>) -> (Vec<u8>, Vec<u8>) {
    (
        vec![7; encr.key_len()],
        vec![9; integ.map_or(0, Integ::key_len)],
    )
}

pub(crate) fn sealer(encr: Encr, integ: Option<Integ>) -> EspSealer {
    let (encr_key, integ_key) = keys(encr, integ);
    EspSealer::new(encr, integ, &encr_key, &integ_key).unwrap()
}

pub(crate) fn opener(encr: Encr, integ: Option<Integ>) -> EspOpener {
    let (encr_key, integ_key) = keys(encr, integ);
    EspOpener::new(encr, integ, &encr_key, &integ_key).unwrap()
}

pub(crate) fn ts(texts: &[&str]) -> Vec<TrafficSelector> {
    texts
        .iter()
        .map(|text| TrafficSelector::parse(text).unwrap())
        .collect()
}

/// An inbound SA for AES-GCM-128 with given selectors.
pub(crate) fn inbound(local: &[&str], remote: &[&str]) -> InboundSa {
    let cipher = opener(Encr::AesGcm128, None);
    InboundSa::new(
        SPI,
        cipher,
        Esn::No,
        ReplayWindow::default(),
        &ts(local),
        &ts(remote),
    )
}

/// An outbound SA for AES-GCM-128.
pub(crate) fn outbound() -> OutboundSa {
    OutboundSa::new(SPI, sealer(Encr::AesGcm128, None), Esn::No, 1)
}

/// A pair that passes everything.
pub(crate) fn pair(
    (encr, integ): (Encr, Option<Integ>),
    esn: Esn,
    first: u64,
) -> (OutboundSa, InboundSa) {
    let any = ts(&["0.0.0.0/0", "::/0"]);
    let replay = ReplayWindow::default();
    (
        OutboundSa::new(SPI, sealer(encr, integ), esn, first),
        InboundSa::new(SPI, opener(encr, integ), esn, replay, &any, &any),
    )
}

/// An AES-GCM-128 packet around any plaintext, padding and trailer given by the caller.
pub(crate) fn seal_raw(seq: u32, text: &[u8]) -> Vec<u8> {
    let mut packet = [SPI.to_be_bytes(), seq.to_be_bytes()].concat();
    packet.extend([0; 8]);
    packet.extend(text);
    packet.extend([0; 16]);
    sealer(Encr::AesGcm128, None).seal(&mut packet, None, seq.into());
    packet
}
