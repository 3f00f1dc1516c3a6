//! One proposal of the peer against one of ours.
//!
//! A transform that is not understood, or that has an attribute not understood, is none of ours by comparison, so only the
//! others of its type count. A transform type that is not understood makes the whole proposal unacceptable, and so does a
//! mandatory one that is missing (RFC 7296 section 3.3.6).

use super::{EspSuite, IkeSuite, SelectedEsp, SelectedIke};
use crate::payload::{Proposal, Transform};
use crate::registry::{ProtocolId, TransformType};
use hawser_crypto::{Encr, Integ, KeyExchange};
use hawser_policy::{Esn, EspProposal, IkeProposal};

const IKE_TYPES: &[TransformType] = &[
    TransformType::Encr,
    TransformType::Prf,
    TransformType::Integ,
    TransformType::Ke,
];

const ESP_TYPES: &[TransformType] = &[
    TransformType::Encr,
    TransformType::Integ,
    TransformType::Ke,
    TransformType::Esn,
];

/// Chooses an IKE suite; with `group` only one of that key exchange.
pub(super) fn ike(offer: &Proposal, own: &IkeProposal, group: Option<u16>) -> Option<SelectedIke> {
    if offer.protocol != ProtocolId::Ike || !is_understood(offer, IKE_TYPES) {
        return None;
    }
    let spi = match offer.spi.as_slice() {
        [] => None,
        octets => Some(ike_spi(octets)?),
    };
    let (encr, integ) = protection(offer, &own.encr, &own.integ)?;
    let prf = best(&own.prf, offer, Transform::as_prf)?;
    let ke = key_exchange(offer, &own.ke, group)?;
    Some(SelectedIke {
        number: offer.number,
        suite: IkeSuite {
            encr,
            integ,
            prf,
            ke,
        },
        spi,
        integ_none: integ.is_none() && has(offer, TransformType::Integ),
    })
}

/// Chooses a Child SA's suite; with `group` only one of that key exchange, or one without.
pub(super) fn esp(
    offer: &Proposal,
    own: &EspProposal,
    with_ke: bool,
    group: Option<u16>,
) -> Option<SelectedEsp> {
    if offer.protocol != ProtocolId::Esp || !is_understood(offer, ESP_TYPES) {
        return None;
    }
    let spi = esp_spi(&offer.spi)?;
    let (encr, integ) = protection(offer, &own.encr, &own.integ)?;
    let none_offered = offers_none(offer, TransformType::Ke);
    let ke = match (with_ke, own.ke.is_empty()) {
        (false, _) => None,
        (true, true) if none_offered || !has(offer, TransformType::Ke) => None,
        (true, true) => return None,
        (true, false) => Some(key_exchange(offer, &own.ke, group)?),
    };
    let esn = best(&own.esn, offer, Transform::as_esn)? == Esn::Yes;
    Some(SelectedEsp {
        number: offer.number,
        suite: EspSuite {
            encr,
            integ,
            ke,
            esn,
        },
        spi,
        integ_none: integ.is_none() && has(offer, TransformType::Integ),
        ke_none: ke.is_none() && none_offered,
    })
}

/// Encryption and integrity. An AEAD needs an offer without integrity, or with NONE (RFC 5282 section 8).
fn protection(offer: &Proposal, encr: &[Encr], integ: &[Integ]) -> Option<(Encr, Option<Integ>)> {
    let encr = best(encr, offer, Transform::as_encr)?;
    if !encr.is_aead() {
        return Some((encr, Some(best(integ, offer, Transform::as_integ)?)));
    }
    let without = !has(offer, TransformType::Integ) || offers_none(offer, TransformType::Integ);
    without.then_some((encr, None))
}

fn key_exchange(offer: &Proposal, own: &[KeyExchange], group: Option<u16>) -> Option<KeyExchange> {
    match group {
        None => best(own, offer, Transform::as_ke),
        Some(id) => {
            let ke = crate::algorithms::ke_from_group(id)?;
            let wanted = own.contains(&ke).then_some(ke)?;
            best(&[wanted], offer, Transform::as_ke)
        }
    }
}

/// The first of ours that is offered.
fn best<A: Copy + PartialEq>(
    own: &[A],
    offer: &Proposal,
    read: impl Fn(&Transform) -> Option<A>,
) -> Option<A> {
    let is_offered = |a: &A| offer.transforms.iter().any(|t| read(t) == Some(*a));
    own.iter().copied().find(is_offered)
}

fn has(offer: &Proposal, kind: TransformType) -> bool {
    offer.transforms.iter().any(|t| t.kind == kind)
}

fn offers_none(offer: &Proposal, kind: TransformType) -> bool {
    offer
        .transforms
        .iter()
        .any(|t| t.kind == kind && t.is_none())
}

fn is_understood(offer: &Proposal, types: &[TransformType]) -> bool {
    offer.transforms.iter().all(|t| types.contains(&t.kind))
}

/// Eight octets, not zero (RFC 7296 section 3.1).
fn ike_spi(octets: &[u8]) -> Option<u64> {
    let spi = u64::from_be_bytes(octets.try_into().ok()?);
    (spi != 0).then_some(spi)
}

/// Four octets; 0 to 255 are reserved (RFC 4303 section 2.1).
fn esp_spi(octets: &[u8]) -> Option<u32> {
    let spi = u32::from_be_bytes(octets.try_into().ok()?);
    (spi > 255).then_some(spi)
}
