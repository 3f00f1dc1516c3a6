//! The Identification payloads (RFC 7296 section 3.5).

use crate::registry::IdType;
use crate::wire::Reader;
use hawser_policy::Identity;

/// The longest identity accepted. Distinguished names reach some hundred octets; whatever is accepted is filed per device.
const MAX_IDENTITY: usize = 2048;

/// ID type, RESERVED and data: what the AUTH payload signs as RestOfInitIDPayload or RestOfRespIDPayload
/// (RFC 7296 section 2.15).
#[must_use]
pub fn encode_identity(identity: &Identity) -> Vec<u8> {
    let mut out = Vec::new();
    encode(identity, &mut out);
    out
}

pub(super) fn parse(body: &[u8]) -> Result<Identity, &'static str> {
    let mut reader = Reader::new(body);
    let kind = IdType::from_u8(reader.u8().ok_or("too short")?);
    reader.octets(3).ok_or("too short")?;
    let data = reader.rest();
    if data.is_empty() || data.len() > MAX_IDENTITY {
        return Err("identity length");
    }
    match kind {
        IdType::Ipv4Addr => address(data).map(|a: [u8; 4]| Identity::Ipv4(a.into())),
        IdType::Ipv6Addr => address(data).map(|a: [u8; 16]| Identity::Ipv6(a.into())),
        IdType::Fqdn => name(data).map(Identity::Fqdn),
        IdType::Rfc822Addr => name(data).map(Identity::Email),
        IdType::DerAsn1Dn => Ok(Identity::DistinguishedName(data.to_vec())),
        IdType::DerAsn1Gn => Ok(Identity::GeneralName(data.to_vec())),
        IdType::KeyId => Ok(Identity::KeyId(data.to_vec())),
        IdType::Unknown(_) => Err("identification type not known"),
    }
}

fn address<const N: usize>(data: &[u8]) -> Result<[u8; N], &'static str> {
    data.try_into().map_err(|_| "address length")
}

/// Names are ASCII by RFC 7296, internationalized ones UTF-8; other octets are no name.
fn name(data: &[u8]) -> Result<String, &'static str> {
    let name = std::str::from_utf8(data).map_err(|_| "name is not UTF-8")?;
    Ok(name.to_owned())
}

pub(super) fn encode(identity: &Identity, out: &mut Vec<u8>) {
    let mut write = |kind: IdType, data: &[u8]| {
        out.extend_from_slice(&[kind.to_u8(), 0, 0, 0]);
        out.extend_from_slice(data);
    };
    match identity {
        Identity::Ipv4(a) => write(IdType::Ipv4Addr, &a.octets()),
        Identity::Ipv6(a) => write(IdType::Ipv6Addr, &a.octets()),
        Identity::Fqdn(name) => write(IdType::Fqdn, name.as_bytes()),
        Identity::Email(name) => write(IdType::Rfc822Addr, name.as_bytes()),
        Identity::DistinguishedName(der) => write(IdType::DerAsn1Dn, der),
        Identity::GeneralName(der) => write(IdType::DerAsn1Gn, der),
        Identity::KeyId(octets) => write(IdType::KeyId, octets),
    }
}
