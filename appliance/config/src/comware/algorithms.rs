//! Comware's names of algorithms, and the keywords of proposals for them.

use super::args::{Args, Fault};
use super::lex::Word;

/// A Comware name and a keyword; without one the algorithm is not supported, for the reason.
type Names = &'static [(&'static str, Result<&'static str, &'static str>)];

const WEAK: &str = "it is broken, and no proposal of ours will have it";
const ABSENT: &str = "choose another algorithm";

/// `encryption` of an IKEv2 proposal.
pub(super) const IKE_ENCRYPTION: Names = &[
    ("aes-cbc-128", Ok("aes128")),
    ("aes-cbc-192", Ok("aes192")),
    ("aes-cbc-256", Ok("aes256")),
    ("aes-gcm-128", Ok("aes128gcm16")),
    ("aes-gcm-192", Err(ABSENT)),
    ("aes-gcm-256", Ok("aes256gcm16")),
    ("aes-ctr-128", Err(ABSENT)),
    ("aes-ctr-192", Err(ABSENT)),
    ("aes-ctr-256", Err(ABSENT)),
    ("camellia-cbc-128", Err(ABSENT)),
    ("camellia-cbc-192", Err(ABSENT)),
    ("camellia-cbc-256", Err(ABSENT)),
    ("3des-cbc", Err(WEAK)),
    ("des-cbc", Err(WEAK)),
];

/// `integrity` of an IKEv2 proposal.
pub(super) const IKE_INTEGRITY: Names = &[
    ("sha1", Ok("sha1")),
    ("sha256", Ok("sha256")),
    ("sha384", Ok("sha384")),
    ("sha512", Ok("sha512")),
    ("aes-xcbc-mac", Err(ABSENT)),
    ("md5", Err(WEAK)),
];

/// `prf` of an IKEv2 proposal.
pub(super) const IKE_PRF: Names = &[
    ("sha1", Ok("prfsha1")),
    ("sha256", Ok("prfsha256")),
    ("sha384", Ok("prfsha384")),
    ("sha512", Ok("prfsha512")),
    ("aes-xcbc-mac", Err(ABSENT)),
    ("md5", Err(WEAK)),
];

/// `dh` of an IKEv2 proposal.
pub(super) const IKE_DH: Names = &[
    ("group1", Err(WEAK)),
    ("group2", Ok("modp1024")),
    ("group5", Ok("modp1536")),
    ("group14", Ok("modp2048")),
    ("group15", Ok("modp3072")),
    ("group16", Ok("modp4096")),
    ("group19", Ok("ecp256")),
    ("group20", Ok("ecp384")),
    ("group24", Err(ABSENT)),
    ("group31", Ok("x25519")),
];

/// `pfs` of a transform set.
pub(super) const PFS: Names = &[
    ("dh-group1", Err(WEAK)),
    ("dh-group2", Ok("modp1024")),
    ("dh-group5", Ok("modp1536")),
    ("dh-group14", Ok("modp2048")),
    ("dh-group15", Ok("modp3072")),
    ("dh-group16", Ok("modp4096")),
    ("dh-group19", Ok("ecp256")),
    ("dh-group20", Ok("ecp384")),
    ("dh-group24", Err(ABSENT)),
    ("dh-group31", Ok("x25519")),
];

/// `esp encryption-algorithm` of a transform set.
pub(super) const ESP_ENCRYPTION: Names = &[
    ("aes-cbc-128", Ok("aes128")),
    ("aes-cbc-192", Ok("aes192")),
    ("aes-cbc-256", Ok("aes256")),
    ("gcm-128", Ok("aes128gcm16")),
    ("gcm-192", Err(ABSENT)),
    ("gcm-256", Ok("aes256gcm16")),
    ("aes-gcm-128", Ok("aes128gcm16")),
    ("aes-gcm-256", Ok("aes256gcm16")),
    ("aes-ctr-128", Err(ABSENT)),
    ("aes-ctr-192", Err(ABSENT)),
    ("aes-ctr-256", Err(ABSENT)),
    ("gmac-128", Err(ABSENT)),
    ("gmac-192", Err(ABSENT)),
    ("gmac-256", Err(ABSENT)),
    ("camellia-cbc-128", Err(ABSENT)),
    ("camellia-cbc-192", Err(ABSENT)),
    ("camellia-cbc-256", Err(ABSENT)),
    ("sm1-cbc-128", Err(ABSENT)),
    ("sm4-cbc", Err(ABSENT)),
    ("3des-cbc", Err(WEAK)),
    ("des-cbc", Err(WEAK)),
    ("null", Err("ESP without encryption is never offered")),
];

/// `esp authentication-algorithm` of a transform set.
pub(super) const ESP_AUTHENTICATION: Names = &[
    ("sha1", Ok("sha1")),
    ("sha256", Ok("sha256")),
    ("sha384", Ok("sha384")),
    ("sha512", Ok("sha512")),
    ("aes-xcbc-mac", Err(ABSENT)),
    ("sm3", Err(ABSENT)),
    ("md5", Err(WEAK)),
];

/// The keywords of every word that is left, at least one; each once.
pub(super) fn all(
    args: &mut Args<'_>,
    what: &str,
    names: Names,
) -> Result<Vec<&'static str>, Fault> {
    let mut keywords = vec![one(args.word(what)?, what, names)?];
    for word in args.rest() {
        let keyword = one(word, what, names)?;
        if !keywords.contains(&keyword) {
            keywords.push(keyword);
        }
    }
    Ok(keywords)
}

/// The keyword of one word.
pub(super) fn one(word: Word<'_>, what: &str, names: Names) -> Result<&'static str, Fault> {
    match names.iter().find(|(name, _)| *name == word.text) {
        Some((_, Ok(keyword))) => Ok(keyword),
        Some((name, Err(why))) => Err(Fault::new(
            word.place,
            format!("`{name}` is not supported: {why}"),
        )),
        None => {
            let usable: Vec<&str> = names
                .iter()
                .filter(|(_, k)| k.is_ok())
                .map(|(name, _)| *name)
                .collect();
            Err(Fault::unknown(word, what, &usable))
        }
    }
}
