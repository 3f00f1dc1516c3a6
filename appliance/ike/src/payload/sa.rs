//! The Security Association payload: proposals, transforms, attributes (RFC 7296 section 3.3).

use crate::registry::{ProtocolId, TransformType};
use crate::wire::{Reader, count_u8, with_length};

/// The most proposals of one payload. Their number is one octet; this bounds what an unauthenticated sender makes us keep.
const MAX_PROPOSALS: usize = 128;

/// Last Substruc, RESERVED and length, with which proposals and transforms begin.
const SUBSTRUCTURE_HEADER: usize = 4;
/// "Last Substruc" of a proposal that another follows.
const MORE_PROPOSALS: u8 = 2;
/// "Last Substruc" of a transform that another follows.
const MORE_TRANSFORMS: u8 = 3;
/// The attribute's value is the 16 bits that otherwise hold its length.
const ATTRIBUTE_TV: u16 = 0x8000;
const KEY_LENGTH: u16 = 14;

/// A Security Association payload (RFC 7296 section 3.3).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SaPayload {
    /// The proposals; an answer has exactly one.
    pub proposals: Vec<Proposal>,
}

/// One proposal (RFC 7296 section 3.3.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Its number, from 1; an answer repeats it.
    pub number: u8,
    /// The protocol.
    pub protocol: ProtocolId,
    /// The sender's SPI: none in an initial IKE SA, eight octets in its rekeying, four for ESP and AH.
    pub spi: Vec<u8>,
    /// The transforms, within a kind the best first.
    pub transforms: Vec<Transform>,
}

/// One transform (RFC 7296 section 3.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transform {
    /// The kind of algorithm.
    pub kind: TransformType,
    /// The algorithm within its kind.
    pub id: u16,
    /// The Key Length attribute, in bits (RFC 7296 section 3.3.5).
    pub key_length: Option<u16>,
    /// Whether it had another attribute, which makes it unacceptable (RFC 7296 section 3.3.6). Not encoded.
    pub has_unknown_attribute: bool,
}

impl SaPayload {
    pub(super) fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let mut proposals = Vec::new();
        let mut reader = Reader::new(body);
        loop {
            if proposals.len() == MAX_PROPOSALS {
                return Err("too many proposals");
            }
            let (more, proposal) = Proposal::parse(&mut reader)?;
            proposals.push(proposal);
            if more == reader.is_empty() {
                return Err("last proposal mismarked");
            }
            if !more {
                return Ok(Self { proposals });
            }
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for (i, proposal) in self.proposals.iter().enumerate() {
            proposal.encode(i + 1 < self.proposals.len(), out);
        }
    }
}

impl Proposal {
    fn parse(reader: &mut Reader<'_>) -> Result<(bool, Self), &'static str> {
        let (more, body) = substructure(reader, MORE_PROPOSALS).ok_or("proposal length")?;
        let mut reader = Reader::new(body);
        let mut fields = || {
            let number = reader.u8()?;
            let protocol = ProtocolId::from_u8(reader.u8()?);
            let (spi_size, count) = (reader.u8()?, reader.u8()?);
            Some((number, protocol, reader.octets(spi_size.into())?, count))
        };
        let (number, protocol, spi, count) = fields().ok_or("proposal header")?;
        let proposal = Self {
            number,
            protocol,
            spi: spi.to_vec(),
            transforms: parse_transforms(&mut reader, count)?,
        };
        Ok((more, proposal))
    }

    fn encode(&self, more: bool, out: &mut Vec<u8>) {
        let start = out.len();
        let last = if more { MORE_PROPOSALS } else { 0 };
        out.extend_from_slice(&[last, 0, 0, 0]);
        with_length(out, start, start + 2, |out| {
            out.push(self.number);
            out.push(self.protocol.to_u8());
            out.push(count_u8(self.spi.len()));
            out.push(count_u8(self.transforms.len()));
            out.extend_from_slice(&self.spi);
            for (i, transform) in self.transforms.iter().enumerate() {
                transform.encode(i + 1 < self.transforms.len(), out);
            }
        });
    }
}

fn parse_transforms(reader: &mut Reader<'_>, count: u8) -> Result<Vec<Transform>, &'static str> {
    let mut transforms = Vec::new();
    for left in (0..count).rev() {
        let (more, transform) = Transform::parse(reader)?;
        if more != (left > 0) {
            return Err("last transform mismarked");
        }
        transforms.push(transform);
    }
    if !reader.is_empty() {
        return Err("octets behind the last transform");
    }
    Ok(transforms)
}

/// The common beginning of proposals and transforms: whether another follows, and the body.
fn substructure<'a>(reader: &mut Reader<'a>, more_mark: u8) -> Option<(bool, &'a [u8])> {
    let mark = reader.u8()?;
    let _reserved = reader.u8()?;
    let length = reader.u16()?;
    let body = reader.body(length, SUBSTRUCTURE_HEADER)?;
    (mark == more_mark || mark == 0).then_some((mark == more_mark, body))
}

impl Transform {
    /// A transform without attributes (RFC 7296 section 3.3.2).
    #[must_use]
    pub const fn new(kind: TransformType, id: u16) -> Self {
        Self {
            kind,
            id,
            key_length: None,
            has_unknown_attribute: false,
        }
    }

    fn parse(reader: &mut Reader<'_>) -> Result<(bool, Self), &'static str> {
        let (more, body) = substructure(reader, MORE_TRANSFORMS).ok_or("transform length")?;
        let mut reader = Reader::new(body);
        let mut fields = || {
            let kind = TransformType::from_u8(reader.u8()?);
            let _reserved = reader.u8()?;
            Some(Self::new(kind, reader.u16()?))
        };
        let mut transform = fields().ok_or("transform header")?;
        while !reader.is_empty() {
            transform.parse_attribute(&mut reader).ok_or("attribute")?;
        }
        Ok((more, transform))
    }

    /// One attribute, as type and value or as type, length and value (RFC 7296 section 3.3.5).
    fn parse_attribute(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let (kind, value) = (reader.u16()?, reader.u16()?);
        let is_tv = kind & ATTRIBUTE_TV != 0;
        if !is_tv {
            reader.octets(value.into())?;
        }
        // A Key Length given twice, or in the long form that it must not have, is nothing that we understand either.
        if is_tv && kind & !ATTRIBUTE_TV == KEY_LENGTH && self.key_length.is_none() {
            self.key_length = Some(value);
        } else {
            self.has_unknown_attribute = true;
        }
        Some(())
    }

    fn encode(&self, more: bool, out: &mut Vec<u8>) {
        let start = out.len();
        let last = if more { MORE_TRANSFORMS } else { 0 };
        out.extend_from_slice(&[last, 0, 0, 0]);
        with_length(out, start, start + 2, |out| {
            out.extend_from_slice(&[self.kind.to_u8(), 0]);
            out.extend_from_slice(&self.id.to_be_bytes());
            if let Some(bits) = self.key_length {
                out.extend_from_slice(&(ATTRIBUTE_TV | KEY_LENGTH).to_be_bytes());
                out.extend_from_slice(&bits.to_be_bytes());
            }
        });
    }
}
