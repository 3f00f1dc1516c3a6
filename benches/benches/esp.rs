//! Seal and open per suite and size, one packet at a time and in trains.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hawser_crypto::{Encr, EspOpener, EspSealer, Integ, ToOpen, ToSeal};
use std::hint::black_box;

const SUITES: [(&str, Encr, Option<Integ>); 5] = [
    ("aes128gcm16", Encr::AesGcm128, None),
    ("aes256gcm16", Encr::AesGcm256, None),
    ("chacha20poly1305", Encr::ChaCha20Poly1305, None),
    ("aes128-sha1", Encr::AesCbc128, Some(Integ::HmacSha1_96)),
    (
        "aes256-sha256",
        Encr::AesCbc256,
        Some(Integ::HmacSha256_128),
    ),
];

/// Packets and octets of each; the train is what a TSO super-packet of 1400 octets a segment makes.
const SIZES: [(&str, usize, usize); 4] = [
    ("64", 1, 64),
    ("576", 1, 576),
    ("1400", 1, 1400),
    ("44x1400", 44, 1400),
];

fn keys(encr: Encr, integ: Option<Integ>) -> (Vec<u8>, Vec<u8>) {
    (
        vec![1; encr.key_len()],
        vec![2; integ.map_or(0, Integ::key_len)],
    )
}

fn room(sealer: &EspSealer, inner: usize) -> usize {
    let text = (inner + 2).next_multiple_of(sealer.align());
    8 + sealer.iv_len() + text + sealer.icv_len()
}

fn seal(c: &mut Criterion) {
    let mut group = c.benchmark_group("seal");
    for (suite, encr, integ) in SUITES {
        let (encr_key, integ_key) = keys(encr, integ);
        let sealer = EspSealer::new(encr, integ, &encr_key, &integ_key).unwrap();
        for (size, count, inner) in SIZES {
            let stride = room(&sealer, inner);
            let mut train = vec![0u8; count * stride];
            let mut counter = 0;
            group.throughput(Throughput::Bytes((count * inner) as u64));
            group.bench_function(BenchmarkId::new(suite, size), |b| {
                b.iter(|| {
                    let mut batch: Vec<_> = train
                        .chunks_mut(stride)
                        .map(|packet| {
                            counter += 1;
                            ToSeal {
                                packet,
                                esn_high: None,
                                counter,
                            }
                        })
                        .collect();
                    sealer.seal_batch(black_box(&mut batch));
                });
            });
        }
    }
}

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("open");
    for (suite, encr, integ) in SUITES {
        let (encr_key, integ_key) = keys(encr, integ);
        let sealer = EspSealer::new(encr, integ, &encr_key, &integ_key).unwrap();
        let opener = EspOpener::new(encr, integ, &encr_key, &integ_key).unwrap();
        for (size, count, inner) in SIZES {
            let stride = room(&sealer, inner);
            let mut train = vec![0u8; count * stride];
            for (packet, counter) in train.chunks_mut(stride).zip(1..) {
                sealer.seal(packet, None, counter);
            }
            group.throughput(Throughput::Bytes((count * inner) as u64));
            group.bench_function(BenchmarkId::new(suite, size), |b| {
                b.iter_batched_ref(
                    || train.clone(),
                    |train| {
                        let packets = train.chunks_mut(stride);
                        let mut batch: Vec<_> = packets.map(|p| ToOpen::new(p, None)).collect();
                        opener.open_batch(black_box(&mut batch));
                        assert!(batch.iter().all(|one| one.text.is_ok()));
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

/// The raw AEAD of aws-lc, to which seal of a train is held.
fn raw(c: &mut Criterion) {
    use aws_lc_rs::aead::{AES_128_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    let mut group = c.benchmark_group("raw");
    for (name, algorithm, len) in [
        ("aes128gcm16", &AES_128_GCM, 16),
        ("chacha20poly1305", &CHACHA20_POLY1305, 32),
    ] {
        let key = LessSafeKey::new(UnboundKey::new(algorithm, &vec![1; len]).unwrap());
        let mut train = vec![0u8; 44 * 1404];
        group.throughput(Throughput::Bytes(44 * 1400));
        group.bench_function(BenchmarkId::new(name, "44x1400"), |b| {
            b.iter(|| {
                for packet in train.chunks_mut(1404) {
                    let nonce = Nonce::assume_unique_for_key([3; 12]);
                    let tag = key.seal_in_place_separate_tag(nonce, Aad::from([0; 8]), packet);
                    let _ = black_box(tag);
                }
            });
        });
    }
}

criterion_group!(benches, seal, open, raw);
criterion_main!(benches);
