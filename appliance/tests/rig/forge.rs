//! Packets that no honest peer sends: datagrams with a chosen source, and ESP with keys that a peer's daemon gave away.

use std::net::{Ipv4Addr, SocketAddrV4};

use aes::Aes128;
use anyhow::{Context as _, Result, ensure};
use cbc::cipher::{
    BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _, block_padding::NoPadding,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::keylog::{Entry, Secret};
use crate::netns::Namespace;

const BLOCK: usize = 16;
const ICV: usize = 12;
const IPV4_IN_ESP: u8 = 4;
const UDP: u8 = 17;

/// One direction of a Child SA of AES-128-CBC with HMAC-SHA1.
#[derive(Clone, Debug)]
pub struct EspKeys {
    /// The SPI of its packets.
    pub spi: u32,
    /// The cipher's key.
    pub encr: [u8; 16],
    /// The key of the integrity check.
    pub integ: Vec<u8>,
}

impl EspKeys {
    /// What a branch sends on its first Child SA, from the log of the charon that initiated it.
    pub fn from_log(entries: &[Entry]) -> Result<Self> {
        let secret = |name: &str| {
            entries.iter().find_map(|entry| match entry {
                Entry::Secret(Secret {
                    name: theirs,
                    value,
                }) if theirs == name => Some(value.clone()),
                _ => None,
            })
        };
        let established = entries.iter().find_map(|entry| match entry {
            Entry::Message(text) => text
                .split_once(" established with SPIs ")
                .map(|(_, spis)| spis),
            Entry::Secret(_) => None,
        });
        let spi = established
            .and_then(|spis| spis.get(11..19))
            .context("the SPIs of the first Child SA")?;
        let encr = secret("encryption initiator key").context("the encryption key")?;
        Ok(Self {
            spi: u32::from_str_radix(spi, 16).context("an SPI")?,
            encr: encr.try_into().ok().context("a key of 16 bytes")?,
            integ: secret("integrity initiator key").context("the integrity key")?,
        })
    }

    /// ESP with `inner`, an IPv4 packet.
    pub fn seal(&self, sequence: u32, inner: &[u8]) -> Result<Vec<u8>> {
        let iv = [0x5a; BLOCK];
        let padding = (BLOCK - (inner.len() + 2) % BLOCK) % BLOCK;
        let mut plain = inner.to_vec();
        plain.extend((1..=padding).map(|byte| byte as u8));
        plain.extend([padding as u8, IPV4_IN_ESP]);
        let length = plain.len();
        let cipher = cbc::Encryptor::<Aes128>::new(&self.encr.into(), &iv.into());
        cipher
            .encrypt_padded::<NoPadding>(&mut plain, length)
            .ok()
            .context("encrypting")?;
        let mut packet = [self.spi.to_be_bytes(), sequence.to_be_bytes()].concat();
        packet.extend(iv);
        packet.extend(plain);
        let tag = self.tag(&packet)?;
        packet.extend(tag);
        Ok(packet)
    }

    /// The inner packet of `esp`, with the padding still behind it.
    pub fn open(&self, esp: &[u8]) -> Result<Vec<u8>> {
        ensure!(
            esp.get(..4) == Some(&self.spi.to_be_bytes()[..]),
            "another SPI"
        );
        let (sealed, tag) = esp
            .split_at_checked(esp.len().saturating_sub(ICV))
            .context("a short packet")?;
        ensure!(self.tag(sealed)? == tag, "a false integrity check value");
        let (iv, mut plain) = (
            sealed[8..8 + BLOCK].try_into()?,
            sealed[8 + BLOCK..].to_vec(),
        );
        let cipher = cbc::Decryptor::<Aes128>::new(&self.encr.into(), &<[u8; BLOCK]>::into(iv));
        cipher
            .decrypt_padded::<NoPadding>(&mut plain)
            .ok()
            .context("decrypting")?;
        Ok(plain)
    }

    fn tag(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.integ).context("an integrity key")?;
        mac.update(bytes);
        Ok(mac.finalize().into_bytes()[..ICV].to_vec())
    }
}

/// An IPv4 packet with a UDP datagram.
pub fn udp(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let length = 28 + payload.len();
    let mut packet = vec![
        0x45,
        0,
        (length >> 8) as u8,
        length as u8,
        0,
        0,
        0,
        0,
        64,
        UDP,
        0,
        0,
    ];
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    let sum = !checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    // No UDP checksum.
    packet.extend([((length - 20) >> 8) as u8, (length - 20) as u8, 0, 0]);
    packet.extend(payload);
    packet
}

/// Sends datagrams whose source is free to choose.
#[derive(Debug)]
pub struct RawSender(Socket);

impl RawSender {
    /// Opens a raw socket in `ns`.
    pub fn new(ns: &Namespace) -> Result<Self> {
        const RAW: i32 = 255;
        let open = || {
            Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW))).context("a raw socket")
        };
        ns.enter(open).map(Self)
    }

    /// Sends `payload` in UDP.
    pub fn send(&self, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Result<()> {
        let target = SockAddr::from(SocketAddrV4::new(*to.ip(), 0));
        self.0
            .send_to(&udp(from, to, payload), &target)
            .with_context(|| format!("sending {from} -> {to}"))?;
        Ok(())
    }
}

/// A socket address; the address is one of the rig's own.
pub fn at(address: &str, port: u16) -> Result<SocketAddrV4> {
    let address: Ipv4Addr = address.parse().with_context(|| address.to_owned())?;
    Ok(SocketAddrV4::new(address, port))
}

/// The Internet checksum, not yet complemented.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}
