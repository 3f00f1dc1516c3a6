//! Diffie-Hellman over MODP groups (RFC 7296 appendix B, RFC 3526) in constant time.

use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams};
use crypto_bigint::{U512, U1024, U1536, U2048, U3072, U4096, Uint, const_monty_params};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::error::KeError;

/// The generator of every group.
const GENERATOR: u8 = 2;

/// Octets of the longest exponent.
const MAX_EXPONENT_LEN: usize = 64;

const_monty_params!(
    Prime1024,
    U1024,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    "RFC 7296 appendix B.2."
);

const_monty_params!(
    Prime1536,
    U1536,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF",
    "RFC 3526 section 2."
);

const_monty_params!(
    Prime2048,
    U2048,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    "RFC 3526 section 3."
);

const_monty_params!(
    Prime3072,
    U3072,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
     ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
     BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    "RFC 3526 section 4."
);

const_monty_params!(
    Prime4096,
    U4096,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
     ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
     BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D7\
     88719A10BDBA5B2699C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6\
     287C59474E6BC05D99B2964FA090C3A2233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9\
     93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C934063199FFFFFFFFFFFFFFFF",
    "RFC 3526 section 5."
);

/// Base, exponent and its bits; see [`power`].
type Power = fn(&[u8], &U512, u32) -> Result<Zeroizing<Vec<u8>>, KeError>;

/// What the groups differ in.
pub(super) struct Group {
    /// Octets of p, and so of a public value and of the shared secret.
    pub(super) len: usize,
    /// Bits of a private exponent: twice the strength of the group by the larger estimate of RFC 3526 section 8, in whole words,
    /// and at least 256.
    exponent_bits: u32,
    /// [`power`] in the group.
    power: Power,
}

pub(super) static MODP1024: Group = Group {
    len: 128,
    exponent_bits: 256,
    power: power::<Prime1024, { U1024::LIMBS }>,
};

pub(super) static MODP1536: Group = Group {
    len: 192,
    exponent_bits: 256,
    power: power::<Prime1536, { U1536::LIMBS }>,
};

pub(super) static MODP2048: Group = Group {
    len: 256,
    exponent_bits: 320,
    power: power::<Prime2048, { U2048::LIMBS }>,
};

pub(super) static MODP3072: Group = Group {
    len: 384,
    exponent_bits: 448,
    power: power::<Prime3072, { U3072::LIMBS }>,
};

pub(super) static MODP4096: Group = Group {
    len: 512,
    exponent_bits: 512,
    power: power::<Prime4096, { U4096::LIMBS }>,
};

/// A private exponent in its group.
pub(super) struct Private {
    group: &'static Group,
    exponent: Zeroizing<U512>,
}

impl Private {
    pub(super) fn generate(group: &'static Group, rng: &mut dyn CryptoRng) -> (Self, Vec<u8>) {
        let mut octets = Zeroizing::new([0; MAX_EXPONENT_LEN]);
        let unused = MAX_EXPONENT_LEN - group.exponent_bits as usize / 8;
        rng.fill_bytes(&mut octets[unused..]);
        let private = Self {
            group,
            exponent: Zeroizing::new(U512::from_be_slice(&*octets)),
        };
        let mut generator = vec![0; group.len];
        generator[group.len - 1] = GENERATOR;
        let public = private
            .agree(&generator)
            .expect("the generator is a value of the group");
        (private, public.to_vec())
    }

    /// `peer_public` has the length of the group.
    pub(super) fn agree(&self, peer_public: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeError> {
        (self.group.power)(peer_public, &self.exponent, self.group.exponent_bits)
    }
}

/// `base^exponent mod p`, padded to the length of p. The time depends on `exponent_bits`, not on the exponent.
fn power<P: ConstMontyParams<LIMBS>, const LIMBS: usize>(
    base: &[u8],
    exponent: &U512,
    exponent_bits: u32,
) -> Result<Zeroizing<Vec<u8>>, KeError> {
    let base = Uint::<LIMBS>::from_be_slice(base);
    let largest = P::PARAMS.modulus().as_ref().wrapping_sub(&Uint::from_u8(2));
    // The base is public, so the comparison need not hide it.
    if base < Uint::from_u8(2) || base > largest {
        return Err(KeError::OutOfRange);
    }
    let power = ConstMontyForm::<P, LIMBS>::new(&base).pow_bounded_exp(exponent, exponent_bits);
    let octets = Zeroizing::new(power.retrieve().to_be_bytes());
    Ok(Zeroizing::new(octets.to_vec()))
}
