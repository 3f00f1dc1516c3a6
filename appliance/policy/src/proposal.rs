//! Proposals as operators write them: strongSwan's keywords joined by `-`.

use hawser_crypto::{Encr, Integ, KeyExchange, Prf};
use std::fmt;

/// Extended sequence numbers (RFC 4304), the transform of type 5.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Esn {
    /// 32-bit sequence numbers.
    No,
    /// 64-bit sequence numbers.
    Yes,
}

/// Algorithms for an IKE SA; within a kind the best first.
///
/// Invariants: `encr`, `prf` and `ke` are not empty; `encr` is all AEAD or all not; `integ` is
/// empty if and only if `encr` is AEAD (RFC 7296 3.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IkeProposal {
    /// Encryption.
    pub encr: Vec<Encr>,
    /// Integrity.
    pub integ: Vec<Integ>,
    /// Pseudo-random function.
    pub prf: Vec<Prf>,
    /// Key exchange.
    pub ke: Vec<KeyExchange>,
}

/// Algorithms for Child SAs (ESP); within a kind the best first.
///
/// Invariants as for [`IkeProposal`]; `ke` empty means no PFS, `esn` is never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EspProposal {
    /// Encryption.
    pub encr: Vec<Encr>,
    /// Integrity.
    pub integ: Vec<Integ>,
    /// Key exchange for PFS in CREATE_CHILD_SA.
    pub ke: Vec<KeyExchange>,
    /// Extended sequence numbers, in order of preference.
    pub esn: Vec<Esn>,
}

/// Why a proposal cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProposalError {
    /// A keyword that is not known.
    #[error("unknown algorithm `{0}`")]
    Unknown(String),
    /// A kind that must be there is missing.
    #[error("no {0} algorithm")]
    Missing(&'static str),
    /// AEAD and other ciphers in one proposal (RFC 7296 3.3 wants two).
    #[error("AEAD and other ciphers do not mix in one proposal: write two")]
    MixedAead,
    /// An integrity algorithm beside an AEAD cipher.
    #[error("`{0}` does not go with an AEAD cipher, which protects integrity itself")]
    IntegrityWithAead(String),
}

#[derive(Default)]
struct Keywords {
    encr: Vec<Encr>,
    integ: Vec<Integ>,
    prf: Vec<Prf>,
    ke: Vec<KeyExchange>,
    esn: Vec<Esn>,
}

impl Keywords {
    fn read(text: &str) -> Result<Self, ProposalError> {
        let mut all = Self::default();
        for word in text.split('-') {
            all.add(word.trim())?;
        }
        if all.encr.is_empty() {
            return Err(ProposalError::Missing("encryption"));
        }
        let aead = all.encr.iter().filter(|e| e.is_aead()).count();
        match (aead, all.integ.first()) {
            (0, None) => Err(ProposalError::Missing("integrity")),
            (n, _) if n != 0 && n != all.encr.len() => Err(ProposalError::MixedAead),
            _ => Ok(all),
        }
    }

    fn add(&mut self, word: &str) -> Result<(), ProposalError> {
        if let Some(encr) = Encr::from_keyword(word) {
            self.encr.push(encr);
        } else if let Some(integ) = Integ::from_keyword(word) {
            self.integ.push(integ);
        } else if let Some(prf) = Prf::from_keyword(word) {
            self.prf.push(prf);
        } else if let Some(ke) = KeyExchange::from_keyword(word) {
            self.ke.push(ke);
        } else if word == "esn" {
            self.esn.push(Esn::Yes);
        } else if word == "noesn" {
            self.esn.push(Esn::No);
        } else {
            return Err(ProposalError::Unknown(word.to_owned()));
        }
        Ok(())
    }
}

/// The PRF that goes with an integrity algorithm where none is named, as strongSwan has it.
fn implied_prf(integ: Integ) -> Prf {
    match integ {
        Integ::HmacSha1_96 => Prf::HmacSha1,
        Integ::HmacSha256_128 => Prf::HmacSha256,
        Integ::HmacSha384_192 => Prf::HmacSha384,
        Integ::HmacSha512_256 => Prf::HmacSha512,
    }
}

impl IkeProposal {
    /// The same with this PRF alone, if it is among its.
    #[must_use]
    pub fn with_prf(&self, prf: Prf) -> Option<Self> {
        self.prf.contains(&prf).then(|| Self {
            prf: vec![prf],
            ..self.clone()
        })
    }

    /// Reads for example `aes128-sha1-modp1024` or `aes256gcm16-prfsha384-x25519`.
    ///
    /// # Errors
    /// An unknown keyword, a missing kind, or AEAD mixed with other ciphers.
    pub fn parse(text: &str) -> Result<Self, ProposalError> {
        let all = Keywords::read(text)?;
        let aead = all.encr[0].is_aead();
        let prf = match (all.prf.is_empty(), all.integ.is_empty()) {
            (false, _) => all.prf,
            (true, false) => all.integ.iter().map(|i| implied_prf(*i)).collect(),
            (true, true) => return Err(ProposalError::Missing("PRF")),
        };
        if all.ke.is_empty() {
            return Err(ProposalError::Missing("key exchange"));
        }
        // With AEAD strongSwan lets a hash keyword stand for the PRF; so do we.
        let integ = if aead { Vec::new() } else { all.integ };
        Ok(Self {
            encr: all.encr,
            integ,
            prf,
            ke: all.ke,
        })
    }

    /// Whether any algorithm named is weak.
    pub fn is_weak(&self) -> bool {
        self.integ.iter().any(|a| a.is_weak())
            || self.prf.iter().any(|a| a.is_weak())
            || self.ke.iter().any(|a| a.is_weak())
    }
}

impl EspProposal {
    /// Reads for example `aes128-sha1`, `aes256gcm16-x25519-esn` or `chacha20poly1305-esn-noesn`.
    ///
    /// # Errors
    /// An unknown keyword, a missing kind, AEAD mixed with other ciphers or with integrity.
    pub fn parse(text: &str) -> Result<Self, ProposalError> {
        let all = Keywords::read(text)?;
        if let (true, Some(integ)) = (all.encr[0].is_aead(), all.integ.first()) {
            return Err(ProposalError::IntegrityWithAead(integ.keyword().to_owned()));
        }
        if let Some(prf) = all.prf.first() {
            return Err(ProposalError::Unknown(prf.keyword().to_owned()));
        }
        let esn = if all.esn.is_empty() {
            vec![Esn::No]
        } else {
            all.esn
        };
        Ok(Self {
            encr: all.encr,
            integ: all.integ,
            ke: all.ke,
            esn,
        })
    }

    /// Whether any algorithm named is weak.
    pub fn is_weak(&self) -> bool {
        self.integ.iter().any(|a| a.is_weak()) || self.ke.iter().any(|a| a.is_weak())
    }
}

fn join(f: &mut fmt::Formatter<'_>, words: &[&str]) -> fmt::Result {
    f.write_str(&words.join("-"))
}

impl fmt::Display for IkeProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<&str> = self.encr.iter().map(|a| a.keyword()).collect();
        words.extend(self.integ.iter().map(|a| a.keyword()));
        let implied: Vec<Prf> = self.integ.iter().map(|i| implied_prf(*i)).collect();
        if self.prf != implied {
            words.extend(self.prf.iter().map(|a| a.keyword()));
        }
        words.extend(self.ke.iter().map(|a| a.keyword()));
        join(f, &words)
    }
}

impl fmt::Display for EspProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<&str> = self.encr.iter().map(|a| a.keyword()).collect();
        words.extend(self.integ.iter().map(|a| a.keyword()));
        words.extend(self.ke.iter().map(|a| a.keyword()));
        if self.esn != [Esn::No] {
            words.extend(self.esn.iter().map(|e| match e {
                Esn::Yes => "esn",
                Esn::No => "noesn",
            }));
        }
        join(f, &words)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_and_prints() {
        for text in [
            "aes128-sha1-modp1024",
            "aes256gcm16-prfsha384-x25519",
            "aes128-aes256-sha256-sha1-modp2048-ecp256",
        ] {
            assert_eq!(IkeProposal::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "aes128-sha1",
            "aes256gcm16-x25519-esn",
            "chacha20poly1305-esn-noesn",
        ] {
            assert_eq!(EspProposal::parse(text).unwrap().to_string(), text);
        }
        let gcm = IkeProposal::parse("aes128gcm16-sha256-prfsha256-x25519").unwrap();
        assert!(gcm.integ.is_empty());
    }

    #[test]
    fn refuses_what_makes_no_proposal() {
        let ike = |t: &str| IkeProposal::parse(t).unwrap_err();
        assert_eq!(ike("aes128-sha1"), ProposalError::Missing("key exchange"));
        assert_eq!(ike("aes128-modp2048"), ProposalError::Missing("integrity"));
        assert_eq!(ike("aes128gcm16-x25519"), ProposalError::Missing("PRF"));
        assert_eq!(
            ike("aes128-aes128gcm16-sha1-modp2048"),
            ProposalError::MixedAead
        );
        assert_eq!(
            ike("aes128-md5-modp1024"),
            ProposalError::Unknown("md5".into())
        );
        assert!(matches!(
            EspProposal::parse("aes128gcm16-sha1"),
            Err(ProposalError::IntegrityWithAead(_))
        ));
    }

    #[test]
    fn weak_is_said() {
        assert!(
            IkeProposal::parse("aes128-sha1-modp2048")
                .unwrap()
                .is_weak()
        );
        assert!(
            IkeProposal::parse("aes128-sha256-modp1024")
                .unwrap()
                .is_weak()
        );
        assert!(
            !IkeProposal::parse("aes128-sha256-modp2048")
                .unwrap()
                .is_weak()
        );
    }
}
