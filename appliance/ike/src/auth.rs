//! Authentication by pre-shared key (RFC 7296 2.15).

use crate::keymat::SaKeys;
use crate::payload::id::encode_identity;
use hawser_crypto::Prf;
use hawser_flight::Role;
use hawser_policy::{Identity, Secret};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const KEY_PAD: &[u8] = b"Key Pad for IKEv2";

/// What the AUTH payload of one side signs.
#[derive(Clone, Copy, Debug)]
pub struct SignedOctets<'a> {
    /// That side's IKE_SA_INIT message, whole.
    pub init_message: &'a [u8],
    /// The other side's nonce.
    pub other_nonce: &'a [u8],
    /// That side's identity.
    pub identity: &'a Identity,
}

/// AUTH = prf(prf(secret, "Key Pad for IKEv2"), message | nonce | prf(SK_p, ID')).
pub fn shared_key_mac(
    keys: &SaKeys,
    signer: Role,
    secret: &Secret,
    signed: &SignedOctets<'_>,
) -> Vec<u8> {
    let prf: Prf = keys.suite.prf;
    let sk_p = match signer {
        Role::Initiator => &keys.sk_pi,
        Role::Responder => &keys.sk_pr,
    };
    let id_mac = prf.mac(sk_p, &[&encode_identity(signed.identity)]);
    let key = Zeroizing::new(prf.mac(secret.expose(), &[KEY_PAD]).as_ref().to_vec());
    let parts: [&[u8]; 3] = [signed.init_message, signed.other_nonce, id_mac.as_ref()];
    prf.mac(&key, &parts).as_ref().to_vec()
}

/// Whether an AUTH payload is right, in constant time.
pub fn verify_shared_key_mac(
    keys: &SaKeys,
    signer: Role,
    secret: &Secret,
    signed: &SignedOctets<'_>,
    auth: &[u8],
) -> bool {
    shared_key_mac(keys, signer, secret, signed)
        .ct_eq(auth)
        .into()
}
