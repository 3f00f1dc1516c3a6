//! Keys as Wireshark keeps them: a line of its table `ikev2_decryption_table` or `esp_sa`.

use hawser_crypto::{Encr, Integ};
use hawser_shard::capture::CapturedKeys;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A table of Wireshark, named as its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Table {
    /// The keys of IKE SAs.
    Ikev2DecryptionTable,
    /// The keys of Child SAs, each direction by itself.
    EspSa,
}

/// A line of a table; nothing where Wireshark does not know the algorithm.
pub(crate) fn line(keys: &CapturedKeys) -> Option<(Table, String)> {
    match keys {
        CapturedKeys::Ike {
            spi_i,
            spi_r,
            suite,
            keys,
        } => {
            let (encr, integ) = (ike_encr(suite.encr)?, ike_integ(suite.integ));
            let [ei, er] = [&keys.sk_ei, &keys.sk_er].map(|k| hex(k));
            let [ai, ar] = [&keys.sk_ai, &keys.sk_ar].map(|k| hex(k));
            let line =
                format!("{spi_i:016x},{spi_r:016x},{ei},{er},\"{encr}\",{ai},{ar},\"{integ}\"\n");
            Some((Table::Ikev2DecryptionTable, line))
        }
        CapturedKeys::Esp {
            from,
            to,
            spi,
            suite,
            encr,
            integ,
        } => {
            let family = match from {
                IpAddr::V4(_) => "IPv4",
                IpAddr::V6(_) => "IPv6",
            };
            let (cipher, check) = (esp_encr(suite.encr)?, esp_integ(suite.integ));
            let bits = if suite.esn { "64-bit" } else { "32-bit" };
            let (encr, integ) = (prefixed(encr), prefixed(integ));
            let line = format!(
                "\"{family}\",\"{from}\",\"{to}\",\"0x{spi:08x}\",\"{cipher}\",\"{encr}\",\
                 \"{check}\",\"{integ}\",\"{bits}\",\"0\"\n"
            );
            Some((Table::EspSa, line))
        }
    }
}

fn ike_encr(encr: Encr) -> Option<&'static str> {
    Some(match encr {
        Encr::AesCbc128 => "AES-CBC-128 [RFC3602]",
        Encr::AesCbc192 => "AES-CBC-192 [RFC3602]",
        Encr::AesCbc256 => "AES-CBC-256 [RFC3602]",
        Encr::AesGcm128 => "AES-GCM-128 with 16 octet ICV [RFC5282]",
        Encr::AesGcm256 => "AES-GCM-256 with 16 octet ICV [RFC5282]",
        Encr::ChaCha20Poly1305 => return None,
    })
}

fn ike_integ(integ: Option<Integ>) -> &'static str {
    match integ {
        Some(Integ::HmacSha1_96) => "HMAC_SHA1_96 [RFC2404]",
        Some(Integ::HmacSha256_128) => "HMAC_SHA2_256_128 [RFC4868]",
        Some(Integ::HmacSha384_192) => "HMAC_SHA2_384_192 [RFC4868]",
        Some(Integ::HmacSha512_256) => "HMAC_SHA2_512_256 [RFC4868]",
        None => "NONE [RFC4306]",
    }
}

fn esp_encr(encr: Encr) -> Option<&'static str> {
    Some(match encr {
        Encr::AesCbc128 | Encr::AesCbc192 | Encr::AesCbc256 => "AES-CBC [RFC3602]",
        Encr::AesGcm128 | Encr::AesGcm256 => "AES-GCM with 16 octet ICV [RFC4106]",
        Encr::ChaCha20Poly1305 => return None,
    })
}

fn esp_integ(integ: Option<Integ>) -> &'static str {
    match integ {
        Some(Integ::HmacSha1_96) => "HMAC-SHA-1-96 [RFC2404]",
        Some(Integ::HmacSha256_128) => "HMAC-SHA-256-128 [RFC4868]",
        Some(Integ::HmacSha384_192) => "HMAC-SHA-384-192 [RFC4868]",
        Some(Integ::HmacSha512_256) => "HMAC-SHA-512-256 [RFC4868]",
        None => "NULL",
    }
}

fn prefixed(key: &[u8]) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("0x{}", hex(key))
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|b| format!("{b:02x}")).collect()
}
