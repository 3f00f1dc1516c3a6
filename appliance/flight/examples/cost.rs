//! What the recorder costs: `cargo run --release -p hawser-flight --example cost`.
//!
//! Ten thousand devices, each with the events of a device that is probed, and now and then rekeyed.

use hawser_flight::{Event, Lineage, Ring};
use std::hint::black_box;
use std::time::Instant;

const DEVICES: usize = 10_000;
const ROUNDS: usize = 400;

fn main() {
    let rekeyed = Event::ChildSaInstalled {
        spi_in: 0x0100_0001,
        spi_out: 0xb3b7_65e6,
        suite: "aes128-sha1".into(),
        local: "192.168.100.0/24".into(),
        remote: "172.16.19.0/24".into(),
        lineage: Lineage::Rekey(0x0100_0000),
    };
    let probes = |n: u32| {
        let answered = Event::ProbeAnswered {
            message_id: n,
            rtt_us: 12_000,
        };
        [Event::ProbeSent { message_id: n }, answered]
    };
    let mut rings: Vec<Ring> = (0..DEVICES).map(|_| Ring::new(4096)).collect();
    // Memory is taken, and every ring is full: from here on each event overwrites others.
    fill(&mut rings, &rekeyed, &probes);
    let begin = Instant::now();
    let events = fill(&mut rings, &rekeyed, &probes);
    let each = begin.elapsed().as_nanos() as f64 / events as f64;
    let octets: usize = rings.iter().map(Ring::octets).sum();
    println!("{each:.0} ns an event, {events} events in {DEVICES} full rings in turn");
    println!("{} octets a device", octets / DEVICES);
    let begin = Instant::now();
    for _ in 0..1000 {
        black_box(rings[7].recording());
    }
    let read = begin.elapsed().as_micros() as f64 / 1000.0;
    let kept = rings[7].recording().entries.len();
    println!("{read:.0} us to read a ring of {kept} events");
}

fn fill(rings: &mut [Ring], rekeyed: &Event, probes: &impl Fn(u32) -> [Event; 2]) -> usize {
    let mut events = 0;
    for round in 0..ROUNDS {
        let now = round as u64 * 20_000;
        let probes = probes(round as u32);
        for ring in &mut *rings {
            for event in &probes {
                ring.record(now, black_box(event));
            }
            if round % 10 == 0 {
                ring.record(now, black_box(rekeyed));
            }
        }
        events += rings.len() * (2 + usize::from(round % 10 == 0));
    }
    events
}
