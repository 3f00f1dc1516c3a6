//! Who made a plugin: ed25519.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use crate::component::{leb128, sections};
use crate::fault::LoadError;

/// Name of the custom section that may hold the signature.
pub const SECTION: &str = "hawser-signature";

const SIGNATURE: usize = 64;

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// Verifies an ed25519 signature by one of `keys` (32 octets each).
///
/// `detached` is the content of `FILE.sig` (64 octets, or 128 hexadecimal digits) and signs the
/// whole file. Without it the file's last section must be [`SECTION`]: its 64 octets sign
/// everything before that section. Without keys everything passes.
pub fn verify(bytes: &[u8], detached: Option<&[u8]>, keys: &[[u8; 32]]) -> Result<(), LoadError> {
    if keys.is_empty() {
        return Ok(());
    }
    let (signed, signature) = match detached {
        Some(text) => (bytes, decode(text)?),
        None => embedded(bytes)?,
    };
    let verified = |key: &[u8; 32]| {
        UnparsedPublicKey::new(&ED25519, key)
            .verify(signed, &signature)
            .is_ok()
    };
    if keys.iter().any(verified) {
        return Ok(());
    }
    Err(LoadError::Signature(
        "made by another key or for another file".into(),
    ))
}

fn decode(text: &[u8]) -> Result<[u8; SIGNATURE], LoadError> {
    if let Ok(raw) = text.try_into() {
        return Ok(raw);
    }
    let mut raw = [0; SIGNATURE];
    match hex::decode_to_slice(text.trim_ascii(), &mut raw) {
        Ok(()) => Ok(raw),
        Err(_) => Err(LoadError::Signature(
            "neither 64 octets nor 128 hexadecimal digits".into(),
        )),
    }
}

/// What the last section signs, and its signature.
fn embedded(bytes: &[u8]) -> Result<(&[u8], [u8; SIGNATURE]), LoadError> {
    let sections = sections(bytes)?;
    let last = sections.last().filter(|section| section.id == 0);
    let last = last.ok_or(LoadError::Unsigned)?;
    let content = &bytes[last.content.clone()];
    let (length, used) = leb128(content).ok_or(LoadError::Unsigned)?;
    let rest = &content[used..];
    match rest.split_at_checked(length) {
        Some((name, signature)) if name == SECTION.as_bytes() => {
            Ok((&bytes[..last.start], decode(signature)?))
        }
        _ => Err(LoadError::Unsigned),
    }
}
