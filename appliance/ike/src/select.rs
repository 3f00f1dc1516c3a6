//! Negotiation: what is proposed, what is chosen, what is answered (RFC 7296 sections 2.7 and 3.3).

mod pick;
mod suite;

pub use suite::{EspSuite, IkeSuite};

use crate::algorithms::{
    encr_transform, esn_transform, integ_transform, ke_transform, prf_transform,
};
use crate::payload::{Proposal, SaPayload, Transform};
use crate::registry::{ProtocolId, TransformType};
use hawser_crypto::{Encr, Integ, KeyExchange};
use hawser_policy::{EspProposal, IkeProposal};

/// What was chosen for an IKE SA (RFC 7296 section 2.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SelectedIke {
    /// Number of the proposal, which the answer repeats.
    pub number: u8,
    /// The algorithms.
    pub suite: IkeSuite,
    /// The peer's SPI, which a proposal has in rekeying only.
    pub spi: Option<u64>,
    /// The proposal spells INTEG NONE beside its AEAD, so the answer does: it has one transform of each type proposed.
    pub integ_none: bool,
}

/// What was chosen for a Child SA (RFC 7296 section 2.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SelectedEsp {
    /// Number of the proposal, which the answer repeats.
    pub number: u8,
    /// The algorithms.
    pub suite: EspSuite,
    /// The peer's SPI: it is in our outbound packets.
    pub spi: u32,
    /// The proposal spells INTEG NONE beside its AEAD, so the answer does.
    pub integ_none: bool,
    /// The proposal spells KE NONE and no key exchange was chosen, so the answer spells it too.
    pub ke_none: bool,
}

/// Proposes IKE SAs, the best first; `spi` is ours in rekeying, none in IKE_SA_INIT (RFC 7296 section 3.3.1).
#[must_use]
pub fn ike_proposals_to_sa(proposals: &[IkeProposal], spi: Option<u64>) -> SaPayload {
    let numbered = (1..=u8::MAX).zip(proposals);
    let proposals = numbered.map(|(number, p)| {
        let mut transforms = protection(&p.encr, &p.integ);
        transforms.extend(p.prf.iter().copied().map(prf_transform));
        transforms.extend(p.ke.iter().copied().map(ke_transform));
        ike_proposal(number, spi, transforms)
    });
    SaPayload {
        proposals: proposals.collect(),
    }
}

/// Proposes Child SAs, the best first, with our inbound `spi`. Key exchanges only in CREATE_CHILD_SA: in IKE_AUTH there is
/// no KE payload to go with them (RFC 7296 section 1.2).
#[must_use]
pub fn esp_proposals_to_sa(proposals: &[EspProposal], spi: u32, with_ke: bool) -> SaPayload {
    let numbered = (1..=u8::MAX).zip(proposals);
    let proposals = numbered.map(|(number, p)| {
        let ke: &[KeyExchange] = if with_ke { &p.ke } else { &[] };
        let mut transforms = protection(&p.encr, &p.integ);
        transforms.extend(ke.iter().copied().map(ke_transform));
        transforms.extend(p.esn.iter().copied().map(esn_transform));
        esp_proposal(number, spi, transforms)
    });
    SaPayload {
        proposals: proposals.collect(),
    }
}

/// Chooses for an IKE SA among what the peer offers, by our order of preference (RFC 7296 section 2.7).
///
/// `ke_group` is the group of the KE payload: whatever fits with it comes before what would cost an INVALID_KE_PAYLOAD and
/// another round (RFC 7296 section 1.2). Where the result's group is another, that is to be sent.
#[must_use]
pub fn select_ike(
    offered: &SaPayload,
    ours: &[IkeProposal],
    ke_group: Option<u16>,
) -> Option<SelectedIke> {
    by_preference(offered, ours, ke_group, pick::ike)
}

/// Chooses for a Child SA among what the peer offers, by our order of preference (RFC 7296 section 2.7).
///
/// In IKE_AUTH (`with_ke` false) key exchanges are ignored (RFC 7296 section 1.2). In CREATE_CHILD_SA a proposal of ours
/// that names key exchanges needs one of them; one that names none needs an offer without, or with NONE.
#[must_use]
pub fn select_esp(offered: &SaPayload, ours: &[EspProposal], with_ke: bool) -> Option<SelectedEsp> {
    select_esp_for_group(offered, ours, with_ke, None)
}

/// As [`select_esp`], but what fits with the group of the KE payload comes first, as in [`select_ike`] (RFC 7296 section 1.3).
#[must_use]
pub fn select_esp_for_group(
    offered: &SaPayload,
    ours: &[EspProposal],
    with_ke: bool,
    ke_group: Option<u16>,
) -> Option<SelectedEsp> {
    by_preference(offered, ours, ke_group, |offer, own, group| {
        pick::esp(offer, own, with_ke, group)
    })
}

/// The first of ours that fits with any of the offer; with `ke_group` first, then with any.
fn by_preference<P, S>(
    offered: &SaPayload,
    ours: &[P],
    ke_group: Option<u16>,
    pick: impl Fn(&Proposal, &P, Option<u16>) -> Option<S>,
) -> Option<S> {
    let pass = |group: Option<u16>| {
        let pairs = ours
            .iter()
            .flat_map(|own| offered.proposals.iter().map(move |offer| (offer, own)));
        pairs
            .into_iter()
            .find_map(|(offer, own)| pick(offer, own, group))
    };
    let preferred = ke_group.and_then(|group| pass(Some(group)));
    preferred.or_else(|| pass(None))
}

/// The answer that accepts an IKE SA; `spi` is ours in rekeying, none in IKE_SA_INIT (RFC 7296 section 2.7).
#[must_use]
pub fn selected_ike_to_sa(selected: &SelectedIke, spi: Option<u64>) -> SaPayload {
    let suite = selected.suite;
    let mut transforms = protection(&[suite.encr], suite.integ.as_slice());
    if selected.integ_none {
        transforms.push(Transform::new(TransformType::Integ, 0));
    }
    transforms.push(prf_transform(suite.prf));
    transforms.push(ke_transform(suite.ke));
    SaPayload {
        proposals: vec![ike_proposal(selected.number, spi, transforms)],
    }
}

/// The answer that accepts a Child SA, with our inbound `spi` (RFC 7296 section 2.7).
#[must_use]
pub fn selected_esp_to_sa(selected: &SelectedEsp, spi: u32) -> SaPayload {
    let suite = selected.suite;
    let mut transforms = protection(&[suite.encr], suite.integ.as_slice());
    if selected.integ_none {
        transforms.push(Transform::new(TransformType::Integ, 0));
    }
    transforms.extend(suite.ke.map(ke_transform));
    if selected.ke_none {
        transforms.push(Transform::new(TransformType::Ke, 0));
    }
    transforms.push(esn_transform(suite.esn()));
    SaPayload {
        proposals: vec![esp_proposal(selected.number, spi, transforms)],
    }
}

/// Checks that the answer is one of what we proposed, and reads it (RFC 7296 section 2.7: "The initiator MUST check").
#[must_use]
pub fn confirm_ike(answer: &SaPayload, ours: &[IkeProposal]) -> Option<SelectedIke> {
    let (offer, own) = answered(answer, ours)?;
    pick::ike(offer, own, None)
}

/// Checks that the answer is one of what we proposed, `with_ke` as it was proposed, and reads it (RFC 7296 section 2.7).
#[must_use]
pub fn confirm_esp(answer: &SaPayload, ours: &[EspProposal], with_ke: bool) -> Option<SelectedEsp> {
    let (offer, own) = answered(answer, ours)?;
    // What we did not propose may not come back; NONE is the same as nothing.
    let no_ke = || !offer.transforms.iter().any(|t| t.as_ke().is_some());
    (with_ke || no_ke()).then(|| pick::esp(offer, own, with_ke, None))?
}

/// The only proposal of an answer, with at most one transform of each type, and the one of ours that its number names.
fn answered<'a, P>(answer: &'a SaPayload, ours: &'a [P]) -> Option<(&'a Proposal, &'a P)> {
    let [offer] = answer.proposals.as_slice() else {
        return None;
    };
    let transforms = &offer.transforms;
    let repeated = transforms
        .iter()
        .enumerate()
        .any(|(i, t)| transforms.iter().skip(i + 1).any(|u| u.kind == t.kind));
    let own = ours.get(usize::from(offer.number).checked_sub(1)?)?;
    (!repeated).then_some((offer, own))
}

fn protection(encr: &[Encr], integ: &[Integ]) -> Vec<Transform> {
    let encr = encr.iter().copied().map(encr_transform);
    let integ = integ.iter().copied().map(integ_transform);
    encr.chain(integ).collect()
}

fn ike_proposal(number: u8, spi: Option<u64>, transforms: Vec<Transform>) -> Proposal {
    Proposal {
        number,
        protocol: ProtocolId::Ike,
        spi: spi.map_or_else(Vec::new, |spi| spi.to_be_bytes().to_vec()),
        transforms,
    }
}

fn esp_proposal(number: u8, spi: u32, transforms: Vec<Transform>) -> Proposal {
    Proposal {
        number,
        protocol: ProtocolId::Esp,
        spi: spi.to_be_bytes().to_vec(),
        transforms,
    }
}
