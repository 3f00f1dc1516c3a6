//! Diffie-Hellman over MODP groups (RFC 7296 appendix B, RFC 3526) in constant time.

use std::sync::OnceLock;

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::bignum::{Modulus, Number};
use super::fixed_base::FixedBase;
use crate::error::KeError;

/// The generator of every group.
const GENERATOR: u8 = 2;

/// What the groups differ in.
pub(super) struct Group {
    /// p, in hexadecimal.
    prime: &'static str,
    /// Octets of p, and so of a public value and of the shared secret.
    pub(super) len: usize,
    /// Octets of a private exponent: twice the strength of the group by the larger estimate of RFC 3526 section 8, in whole words,
    /// and at least 32.
    exponent_len: usize,
    prepared: OnceLock<Option<Prepared>>,
}

/// What is made of p once, and serves every thread.
struct Prepared {
    modulus: Modulus,
    generator: FixedBase,
    /// p - 2, the largest public value (RFC 6989 section 2.1), big endian.
    largest: Vec<u8>,
}

/// RFC 7296 appendix B.2.
pub(super) static MODP1024: Group = Group::new(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    32,
);

/// RFC 3526 section 2.
pub(super) static MODP1536: Group = Group::new(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF",
    32,
);

/// RFC 3526 section 3.
pub(super) static MODP2048: Group = Group::new(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    40,
);

/// RFC 3526 section 4.
pub(super) static MODP3072: Group = Group::new(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
     ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
     BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    56,
);

/// RFC 3526 section 5.
pub(super) static MODP4096: Group = Group::new(
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
    64,
);

impl Group {
    const fn new(prime: &'static str, exponent_len: usize) -> Self {
        Self {
            prime,
            len: prime.len() / 2,
            exponent_len,
            prepared: OnceLock::new(),
        }
    }

    fn prepared(&self) -> Result<&Prepared, KeError> {
        let prepared = self.prepared.get_or_init(|| {
            let prime = hex::decode(self.prime).expect("p is hexadecimal");
            let modulus = Modulus::new(&reversed(&prime))?;
            let generator = FixedBase::new(&modulus, GENERATOR, self.exponent_len, self.len)?;
            let mut largest = prime;
            // Every p ends with 64 bits that are set.
            *largest.last_mut()? -= 2;
            Some(Prepared {
                modulus,
                generator,
                largest,
            })
        });
        prepared.as_ref().ok_or(KeError::Memory)
    }

    /// A number as IKE carries it: big endian, of the length of p.
    fn octets(&self, number: &Number) -> Option<Zeroizing<Vec<u8>>> {
        let mut octets = Zeroizing::new(vec![0; self.len]);
        number.write(&mut octets)?;
        octets.reverse();
        Some(octets)
    }
}

fn reversed(octets: &[u8]) -> Vec<u8> {
    octets.iter().rev().copied().collect()
}

/// A private exponent in its group, little endian.
pub(super) struct Private {
    group: &'static Group,
    exponent: Zeroizing<Vec<u8>>,
}

impl Private {
    pub(super) fn generate(
        group: &'static Group,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Vec<u8>), KeError> {
        let mut exponent = Zeroizing::new(vec![0; group.exponent_len]);
        rng.fill_bytes(&mut exponent);
        exponent.reverse();
        let prepared = group.prepared()?;
        let public = prepared.generator.power(&prepared.modulus, &exponent);
        let public = public.and_then(|public| group.octets(&public));
        let public = public.ok_or(KeError::Memory)?.to_vec();
        Ok((Self { group, exponent }, public))
    }

    /// `peer_public` has the length of the group.
    pub(super) fn agree(&self, peer_public: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeError> {
        let prepared = self.group.prepared()?;
        // It is public, so the comparisons need not hide it.
        let (last, leading) = peer_public.split_last().ok_or(KeError::OutOfRange)?;
        let is_small = *last < 2 && leading.iter().all(|octet| *octet == 0);
        if is_small || peer_public > prepared.largest.as_slice() {
            return Err(KeError::OutOfRange);
        }
        let power = || {
            let base = Number::new(&reversed(peer_public))?;
            let power = prepared
                .modulus
                .power(&base, &Number::new(&self.exponent)?)?;
            self.group.octets(&power)
        };
        power().ok_or(KeError::Memory)
    }
}
