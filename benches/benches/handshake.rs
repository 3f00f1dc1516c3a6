//! What a key exchange costs, and IKE_SA_INIT with IKE_AUTH and the Child SA at the responder.
#![allow(missing_docs, clippy::unwrap_used)]

mod net;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use hawser_crypto::KeyExchange;
use net::{Node, Suites, talk};
use std::time::{Duration, Instant};

const HANDSHAKES: [Suites; 6] = [
    with("aes128-sha1-modp1024"),
    with("aes128-sha256-modp2048"),
    with("aes128-sha256-modp3072"),
    with("aes128-sha256-x25519"),
    with("aes128-sha256-ecp256"),
    with("aes256gcm16-prfsha384-ecp384"),
];

const fn with(ike: &'static str) -> Suites {
    Suites {
        ike,
        esp: "aes128-sha1",
    }
}

/// What a responder does: a key pair, and the shared secret.
fn key_exchange(c: &mut Criterion) {
    let mut rng = net::repeatable();
    let mut group = c.benchmark_group("key exchange");
    for method in KeyExchange::ALL {
        let (_, peer) = method.generate(&mut rng).unwrap();
        group.bench_function(format!("{method}/generate"), |b| {
            b.iter(|| method.generate(&mut rng).unwrap());
        });
        group.bench_function(format!("{method}/agree"), |b| {
            b.iter_batched(
                || method.generate(&mut rng).unwrap().0,
                |private| private.agree(&peer).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
}

/// The responder's work alone, key exchange included; the branch works between the measured pieces.
fn handshake(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake");
    for suites in HANDSHAKES {
        group.bench_function(suites.ike, |b| {
            b.iter_custom(|count| responder(suites, count as u32));
        });
    }
}

fn responder(suites: Suites, count: u32) -> Duration {
    let now = Instant::now();
    let mut gateway = Node::gateway(suites, 0, 1, now);
    for number in 0..count {
        let mut branch = Node::branch(suites, number, now);
        talk(now, &mut gateway, &mut branch, number);
    }
    assert_eq!(gateway.shard.counters().child_sas, u64::from(count));
    gateway.spent
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = key_exchange, handshake
}
criterion_main!(benches);
