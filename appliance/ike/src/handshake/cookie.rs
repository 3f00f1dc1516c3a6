//! Cookies (RFC 7296 2.6): nothing is kept for an IKE_SA_INIT until its source shows that it
//! receives what is sent to it.

use hawser_crypto::Prf;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// How long a secret makes new cookies; the one before it is still accepted as long again.
pub const SECRET_LIFETIME: Duration = Duration::from_secs(60);

const COOKIE_LEN: usize = 17;

/// Makes and checks cookies: `version | first 16 octets of HMAC-SHA-256(secret, Ni | IPi | port | SPIi)`.
pub struct CookieJar {
    version: u8,
    current: [u8; 32],
    previous: [u8; 32],
    renew_at: Instant,
}

impl std::fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CookieJar")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl CookieJar {
    /// With fresh secrets.
    pub fn new(now: Instant, rng: &mut dyn rand::CryptoRng) -> Self {
        let mut jar = Self {
            version: 0,
            current: [0; 32],
            previous: [0; 32],
            renew_at: now + SECRET_LIFETIME,
        };
        rng.fill_bytes(&mut jar.current);
        rng.fill_bytes(&mut jar.previous);
        jar
    }

    /// The cookie for this source, nonce and SPI.
    pub fn make(
        &mut self,
        now: Instant,
        rng: &mut dyn rand::CryptoRng,
        source: SocketAddr,
        spi_i: u64,
        nonce: &[u8],
    ) -> Vec<u8> {
        self.renew(now, rng);
        bake(self.version, &self.current, source, spi_i, nonce).to_vec()
    }

    /// Whether `cookie` is one that was made here, not long ago, for this source, nonce and SPI.
    pub fn check(
        &mut self,
        now: Instant,
        rng: &mut dyn rand::CryptoRng,
        source: SocketAddr,
        spi_i: u64,
        nonce: &[u8],
        cookie: &[u8],
    ) -> bool {
        self.renew(now, rng);
        let secret = match cookie.first() {
            Some(v) if *v == self.version => &self.current,
            Some(v) if *v == self.version.wrapping_sub(1) => &self.previous,
            _ => return false,
        };
        bake(cookie[0], secret, source, spi_i, nonce)
            .ct_eq(cookie)
            .into()
    }

    fn renew(&mut self, now: Instant, rng: &mut dyn rand::CryptoRng) {
        if now < self.renew_at {
            return;
        }
        // After a pause of two lifetimes the current secret is as old as a previous one may be.
        if now < self.renew_at + SECRET_LIFETIME {
            self.previous = self.current;
        } else {
            rng.fill_bytes(&mut self.previous);
        }
        rng.fill_bytes(&mut self.current);
        self.version = self.version.wrapping_add(1);
        self.renew_at = now + SECRET_LIFETIME;
    }
}

fn bake(
    version: u8,
    secret: &[u8; 32],
    source: SocketAddr,
    spi_i: u64,
    nonce: &[u8],
) -> [u8; COOKIE_LEN] {
    let ip = match source.ip() {
        IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
        IpAddr::V6(a) => a.octets(),
    };
    let (port, spi) = (source.port().to_be_bytes(), spi_i.to_be_bytes());
    let mac = Prf::HmacSha256.mac(secret, &[nonce, &ip, &port, &spi]);
    let mut cookie = [version; COOKIE_LEN];
    cookie[1..].copy_from_slice(&mac.as_ref()[..COOKIE_LEN - 1]);
    cookie
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    /// Whether a cookie is taken `age` after it was made, when nothing happens between.
    fn taken_after(age: Duration) -> bool {
        let (start, source) = (Instant::now(), "192.0.2.7:500".parse().unwrap());
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        let mut jar = CookieJar::new(start, rng);
        let cookie = jar.make(start, rng, source, 7, b"nonce");
        jar.check(start + age, rng, source, 7, b"nonce", &cookie)
    }

    #[test]
    fn a_cookie_ages_also_while_none_is_made() {
        assert!(taken_after(Duration::ZERO));
        assert!(taken_after(SECRET_LIFETIME * 3 / 2));
        assert!(!taken_after(SECRET_LIFETIME * 2));
        assert!(!taken_after(SECRET_LIFETIME * 300));
    }
}
