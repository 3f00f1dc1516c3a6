//! The Traffic Selector payloads (RFC 7296 section 3.13).

use crate::registry::TsType;
use crate::wire::{Reader, count_u8, with_length};
use hawser_policy::TrafficSelector;
use std::net::IpAddr;

/// Type, protocol and length of a selector.
const SELECTOR_HEADER: usize = 4;
/// Their number is one octet.
const MAX_SELECTORS: usize = 255;

/// Reads the selectors. One of an unknown type (RFC 7296 section 2.9: nothing we could narrow to) is skipped.
pub(super) fn parse(body: &[u8]) -> Result<Vec<TrafficSelector>, &'static str> {
    let mut reader = Reader::new(body);
    let count = reader.u8().ok_or("too short")?;
    reader.octets(3).ok_or("too short")?;
    let mut selectors = Vec::new();
    for _ in 0..count {
        selectors.extend(parse_selector(&mut reader)?);
    }
    if !reader.is_empty() {
        return Err("octets behind the last selector");
    }
    Ok(selectors)
}

fn parse_selector(reader: &mut Reader<'_>) -> Result<Option<TrafficSelector>, &'static str> {
    let mut fields = || {
        let kind = TsType::from_u8(reader.u8()?);
        let protocol = reader.u8()?;
        let length = reader.u16()?;
        Some((kind, protocol, reader.body(length, SELECTOR_HEADER)?))
    };
    let (kind, protocol, body) = fields().ok_or("selector length")?;
    let selector = match kind {
        TsType::Ipv4AddrRange => parse_range::<4>(protocol, body),
        TsType::Ipv6AddrRange => parse_range::<16>(protocol, body),
        TsType::Unknown(_) => return Ok(None),
    };
    let selector = selector.ok_or("selector length")?;
    if selector.start > selector.end || !are_ports(&selector) {
        return Err("selector out of order");
    }
    Ok(Some(selector))
}

fn parse_range<const N: usize>(protocol: u8, body: &[u8]) -> Option<TrafficSelector>
where
    IpAddr: From<[u8; N]>,
{
    let mut reader = Reader::new(body);
    let selector = TrafficSelector {
        protocol,
        port_start: reader.u16()?,
        port_end: reader.u16()?,
        start: reader.array::<N>()?.into(),
        end: reader.array::<N>()?.into(),
    };
    reader.is_empty().then_some(selector)
}

/// A range, or OPAQUE, which is 65535 to 0 (RFC 7296 section 3.13.1).
fn are_ports(selector: &TrafficSelector) -> bool {
    let ports = (selector.port_start, selector.port_end);
    ports.0 <= ports.1 || ports == (u16::MAX, 0)
}

pub(super) fn encode(selectors: &[TrafficSelector], out: &mut Vec<u8>) {
    let selectors = selectors.get(..MAX_SELECTORS).unwrap_or(selectors);
    out.extend_from_slice(&[count_u8(selectors.len()), 0, 0, 0]);
    for selector in selectors {
        encode_selector(selector, out);
    }
}

fn encode_selector(selector: &TrafficSelector, out: &mut Vec<u8>) {
    let kind = if selector.is_v4() {
        TsType::Ipv4AddrRange
    } else {
        TsType::Ipv6AddrRange
    };
    let start = out.len();
    out.extend_from_slice(&[kind.to_u8(), selector.protocol, 0, 0]);
    with_length(out, start, start + 2, |out| {
        out.extend_from_slice(&selector.port_start.to_be_bytes());
        out.extend_from_slice(&selector.port_end.to_be_bytes());
        for address in [selector.start, selector.end] {
            match address {
                IpAddr::V4(a) => out.extend_from_slice(&a.octets()),
                IpAddr::V6(a) => out.extend_from_slice(&a.octets()),
            }
        }
    });
}
