//! A Child SA that a request asks for: selected and narrowed.

use crate::message::Message;
use crate::registry::NotifyType;
use crate::select::{SelectedEsp, select_esp_for_group};
use hawser_policy::{PeerTemplate, TrafficSelector};

/// Selectors of one side of a Child SA at most, unless the template itself has more: each becomes
/// routes. A request for more gets the first of them (RFC 7296 2.9 lets us narrow).
pub const MAX_SELECTORS: usize = 64;

/// What we can give of what a request asks for. We are the responder of the exchange.
#[derive(Clone, Debug)]
pub struct ChildOffer {
    /// The selected proposal with the peer's SPI.
    pub selected: SelectedEsp,
    /// Index of its template in the peer template.
    pub child: usize,
    /// Our side (TSr), narrowed.
    pub local: Vec<TrafficSelector>,
    /// The peer's side (TSi), narrowed.
    pub remote: Vec<TrafficSelector>,
}

/// The first Child SA of the template that fits the request.
///
/// # Errors
/// NO_PROPOSAL_CHOSEN when no algorithms fit, TS_UNACCEPTABLE when no selectors do,
/// INVALID_SYNTAX when payloads are missing.
pub fn select(
    template: &PeerTemplate,
    request: &Message,
    with_ke: bool,
) -> Result<ChildOffer, NotifyType> {
    let (Some(sa), Some(ts_i), Some(ts_r)) = (request.sa(), request.ts_i(), request.ts_r()) else {
        return Err(NotifyType::InvalidSyntax);
    };
    let group = request.ke().map(|ke| ke.group);
    let mut error = NotifyType::NoProposalChosen;
    for (child, settings) in template.children.iter().enumerate() {
        let Some(selected) = select_esp_for_group(sa, &settings.proposals, with_ke, group) else {
            continue;
        };
        let local = narrow(ts_r, &settings.local);
        let remote = narrow(ts_i, &settings.remote);
        if !local.is_empty() && !remote.is_empty() {
            return Ok(ChildOffer {
                selected,
                child,
                local,
                remote,
            });
        }
        error = NotifyType::TsUnacceptable;
    }
    Err(error)
}

/// The successor of a Child SA: the same selectors, or what both sides still want of them.
///
/// # Errors
/// As [`select`].
pub fn select_rekey(
    template: &PeerTemplate,
    old: &crate::child_sa::ChildSa,
    request: &Message,
) -> Result<ChildOffer, NotifyType> {
    let (Some(sa), Some(ts_i), Some(ts_r)) = (request.sa(), request.ts_i(), request.ts_r()) else {
        return Err(NotifyType::InvalidSyntax);
    };
    let group = request.ke().map(|ke| ke.group);
    let proposals = template
        .children
        .get(old.child)
        .map_or(&[][..], |c| &c.proposals);
    let selected =
        select_esp_for_group(sa, proposals, true, group).ok_or(NotifyType::NoProposalChosen)?;
    let local = narrow(ts_r, &old.local);
    let remote = narrow(ts_i, &old.remote);
    if local.is_empty() || remote.is_empty() {
        return Err(NotifyType::TsUnacceptable);
    }
    Ok(ChildOffer {
        selected,
        child: old.child,
        local,
        remote,
    })
}

/// What both allow, as much of it as is taken.
pub(crate) fn narrow(
    proposed: &[TrafficSelector],
    allowed: &[TrafficSelector],
) -> Vec<TrafficSelector> {
    let mut narrowed = TrafficSelector::narrow(proposed, allowed);
    narrowed.truncate(allowed.len().max(MAX_SELECTORS));
    narrowed
}
