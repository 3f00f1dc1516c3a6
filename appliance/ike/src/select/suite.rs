//! The suites that negotiation ends in.

use hawser_crypto::{Encr, Integ, KeyExchange, Prf};
use hawser_policy::{Esn, EspProposal, IkeProposal};
use std::fmt;

/// The algorithms of an IKE SA (RFC 7296 section 3.3). `integ` is `None` if and only if `encr` is an AEAD.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct IkeSuite {
    /// Encryption.
    pub encr: Encr,
    /// Integrity.
    pub integ: Option<Integ>,
    /// Pseudo-random function.
    pub prf: Prf,
    /// Key exchange.
    pub ke: KeyExchange,
}

/// The algorithms of a Child SA (RFC 7296 section 3.3). `integ` is `None` if and only if `encr` is an AEAD.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EspSuite {
    /// Encryption.
    pub encr: Encr,
    /// Integrity.
    pub integ: Option<Integ>,
    /// Key exchange of its own; `None`: keys come from the IKE SA's.
    pub ke: Option<KeyExchange>,
    /// Whether sequence numbers have 64 bits.
    pub esn: bool,
}

impl IkeSuite {
    /// Whether one of the algorithms should be named on purpose only (RFC 8247).
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.as_proposal().is_weak()
    }

    /// Whether `proposal` names all of its algorithms.
    #[must_use]
    pub fn is_allowed_by(&self, proposal: &IkeProposal) -> bool {
        proposal.encr.contains(&self.encr)
            && self.integ.is_none_or(|i| proposal.integ.contains(&i))
            && proposal.prf.contains(&self.prf)
            && proposal.ke.contains(&self.ke)
    }

    /// The proposal of these algorithms alone.
    #[must_use]
    pub fn as_proposal(&self) -> IkeProposal {
        IkeProposal {
            encr: vec![self.encr],
            integ: Vec::from_iter(self.integ),
            prf: vec![self.prf],
            ke: vec![self.ke],
        }
    }
}

impl EspSuite {
    /// Whether one of the algorithms should be named on purpose only (RFC 8221).
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.as_proposal().is_weak()
    }

    /// [`Self::esn`] as the policy has it.
    pub(super) const fn esn(&self) -> Esn {
        if self.esn { Esn::Yes } else { Esn::No }
    }

    fn as_proposal(&self) -> EspProposal {
        EspProposal {
            encr: vec![self.encr],
            integ: Vec::from_iter(self.integ),
            ke: Vec::from_iter(self.ke),
            esn: vec![self.esn()],
        }
    }
}

/// As strongSwan writes it: `aes128-sha1-modp1024`.
impl fmt::Display for IkeSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_proposal().fmt(f)
    }
}

/// As strongSwan writes it: `aes256gcm16-x25519-esn`.
impl fmt::Display for EspSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_proposal().fmt(f)
    }
}
