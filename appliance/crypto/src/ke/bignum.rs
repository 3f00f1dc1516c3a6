//! Arithmetic modulo a prime by aws-lc, in constant time: 1.6 times as fast as portable code.
//!
//! aws-lc-rs does not offer it, so aws-lc is called directly. This is the only unsafe code of the crate. Numbers are little endian here; what
//! gives an `Option` gives `None` where aws-lc is out of memory.
#![expect(unsafe_code, reason = "a library in C; each call says why it is sound")]

use std::ptr::{self, NonNull};

use aws_lc_sys as aws;

/// A prime, with what is computed from it once.
pub(super) struct Modulus {
    prime: Number,
    montgomery: NonNull<aws::BN_MONT_CTX>,
}

// SAFETY: both are written by `new` alone, and aws-lc reads them from any number of threads.
unsafe impl Send for Modulus {}
// SAFETY: as above.
unsafe impl Sync for Modulus {}

impl Modulus {
    /// An odd prime.
    pub(super) fn new(prime: &[u8]) -> Option<Self> {
        let (prime, scratch) = (Number::new(prime)?, Scratch::new()?);
        // SAFETY: both arguments are valid, and neither is kept.
        let montgomery =
            unsafe { aws::BN_MONT_CTX_new_for_modulus(prime.0.as_ptr(), scratch.0.as_ptr()) };
        Some(Self {
            prime,
            montgomery: NonNull::new(montgomery)?,
        })
    }

    /// `base^exponent`; `base` is below the prime. The time depends on the length of `exponent`, not on its value.
    pub(super) fn power(&self, base: &Number, exponent: &Number) -> Option<Number> {
        let (power, scratch) = (Number::new(&[])?, Scratch::new()?);
        // SAFETY: every pointer is valid for the call, and the result is none of the operands.
        let made = unsafe {
            aws::BN_mod_exp_mont_consttime(
                power.0.as_ptr(),
                base.0.as_ptr(),
                exponent.0.as_ptr(),
                self.prime.0.as_ptr(),
                scratch.0.as_ptr(),
                self.montgomery.as_ptr(),
            )
        };
        (made == 1).then_some(power)
    }

    /// A number below the prime in Montgomery form, as [`multiply`](Self::multiply) takes and gives it.
    pub(super) fn enter(&self, number: &Number) -> Option<Number> {
        let (result, scratch) = (Number::new(&[])?, Scratch::new()?);
        // SAFETY: every pointer is valid for the call.
        let made = unsafe {
            aws::BN_to_montgomery(
                result.0.as_ptr(),
                number.0.as_ptr(),
                self.montgomery.as_ptr(),
                scratch.0.as_ptr(),
            )
        };
        (made == 1).then_some(result)
    }

    /// A number out of Montgomery form.
    pub(super) fn leave(&self, number: &Number) -> Option<Number> {
        let (result, scratch) = (Number::new(&[])?, Scratch::new()?);
        // SAFETY: every pointer is valid for the call.
        let made = unsafe {
            aws::BN_from_montgomery(
                result.0.as_ptr(),
                number.0.as_ptr(),
                self.montgomery.as_ptr(),
                scratch.0.as_ptr(),
            )
        };
        (made == 1).then_some(result)
    }

    /// The product of two numbers in Montgomery form.
    pub(super) fn multiply(&self, a: &Number, b: &Number, scratch: &mut Scratch) -> Option<Number> {
        let product = Number::new(&[])?;
        // SAFETY: every pointer is valid for the call, and nobody else uses the scratch.
        let made = unsafe {
            aws::BN_mod_mul_montgomery(
                product.0.as_ptr(),
                a.0.as_ptr(),
                b.0.as_ptr(),
                self.montgomery.as_ptr(),
                scratch.0.as_ptr(),
            )
        };
        (made == 1).then_some(product)
    }
}

impl Drop for Modulus {
    fn drop(&mut self) {
        // SAFETY: made by `BN_MONT_CTX_new_for_modulus`, and freed once.
        unsafe { aws::BN_MONT_CTX_free(self.montgomery.as_ptr()) };
    }
}

/// A number that is wiped when it goes.
pub(super) struct Number(NonNull<aws::BIGNUM>);

impl Number {
    /// Its width is that of the octets, whatever the value.
    pub(super) fn new(octets: &[u8]) -> Option<Self> {
        // SAFETY: as many octets as there are are read; a null pointer asks for a new number.
        let number = unsafe { aws::BN_le2bn(octets.as_ptr(), octets.len(), ptr::null_mut()) };
        NonNull::new(number).map(Self)
    }

    /// Fills `octets`; `None` where it is too long for them.
    pub(super) fn write(&self, octets: &mut [u8]) -> Option<()> {
        // SAFETY: no more than the length of `octets` is written to it.
        let written =
            unsafe { aws::BN_bn2le_padded(octets.as_mut_ptr(), octets.len(), self.0.as_ptr()) };
        (written == 1).then_some(())
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: made by `BN_le2bn`, and freed once.
        unsafe { aws::BN_clear_free(self.0.as_ptr()) };
    }
}

/// Where aws-lc keeps what lies between.
pub(super) struct Scratch(NonNull<aws::BN_CTX>);

impl Scratch {
    pub(super) fn new() -> Option<Self> {
        // SAFETY: it takes nothing.
        NonNull::new(unsafe { aws::BN_CTX_new() }).map(Self)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: made by `BN_CTX_new`, and freed once.
        unsafe { aws::BN_CTX_free(self.0.as_ptr()) };
    }
}
