//! The SPD against a naive model that asks every policy.

use crate::packets::udp;
use crate::suites::ts;
use hawser_esp::{PacketInfo, Spd};
use hawser_policy::TrafficSelector;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

type Policy = (u32, Vec<TrafficSelector>, Vec<TrafficSelector>);

/// Policies in order of insertion.
#[derive(Default)]
struct Model(Vec<Policy>);

impl Model {
    fn insert(&mut self, policy: Policy) {
        self.remove(policy.0);
        self.0.push(policy);
    }

    fn remove(&mut self, handle: u32) -> bool {
        let before = self.0.len();
        self.0.retain(|(h, ..)| *h != handle);
        self.0.len() != before
    }

    fn replace(&mut self, old: u32, new: u32) -> bool {
        if !self.0.iter().any(|(h, ..)| *h == old) {
            return false;
        }
        if old != new {
            self.remove(new);
        }
        self.0
            .iter_mut()
            .filter(|(h, ..)| *h == old)
            .for_each(|(h, ..)| *h = new);
        true
    }

    /// The best by (prefix length, names protocol, fewer remote ports, fewer local ports, fewer local addresses, later).
    fn lookup(&self, info: &PacketInfo) -> Option<u32> {
        let mut best = None;
        for (order, (handle, locals, remotes)) in self.0.iter().enumerate() {
            for (local, remote) in locals
                .iter()
                .flat_map(|l| remotes.iter().map(move |r| (l, r)))
            {
                let fits = local.matches(info.source, info.protocol, info.source_port)
                    && remote.matches(info.destination, info.protocol, info.destination_port);
                let nets = remote.to_nets();
                let net = nets.iter().find(|net| net.contains(&info.destination));
                if let (true, Some(net)) = (fits, net) {
                    let protocol = local.protocol != 0 || remote.protocol != 0;
                    let ports = |ts: &TrafficSelector| -i64::from(ts.port_end - ts.port_start);
                    let key = (
                        net.prefix_len(),
                        protocol,
                        ports(remote),
                        ports(local),
                        -span(local),
                        order,
                    );
                    best = best.max(Some((key, *handle)));
                }
            }
        }
        best.map(|(_, handle)| handle)
    }

    fn overlaps(&self, selectors: &[TrafficSelector]) -> Vec<u32> {
        let hit = |r: &TrafficSelector| selectors.iter().any(|s| s.intersect(r).is_some());
        self.0
            .iter()
            .filter(|(_, _, remote)| remote.iter().any(hit))
            .map(|(h, ..)| *h)
            .collect()
    }
}

fn span(selector: &TrafficSelector) -> i128 {
    match (selector.start, selector.end) {
        (IpAddr::V4(a), IpAddr::V4(b)) => i128::from(b.to_bits() - a.to_bits()),
        (IpAddr::V6(a), IpAddr::V6(b)) => (b.to_bits() - a.to_bits()) as i128,
        _ => unreachable!(),
    }
}

/// One of 8 addresses, so that much overlaps.
fn address(v6: bool, number: u8) -> IpAddr {
    if v6 {
        Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(number)).into()
    } else {
        Ipv4Addr::from_bits(0x0a00_0000 | u32::from(number)).into()
    }
}

fn selector() -> impl Strategy<Value = TrafficSelector> {
    prop_oneof![3 => random_selector(), 1 => Just(TrafficSelector::any_v4())]
}

fn random_selector() -> impl Strategy<Value = TrafficSelector> {
    let protocol = prop_oneof![2 => Just(0u8), 1 => Just(17), 1 => Just(6)];
    let ports = prop_oneof![3 => Just((0, u16::MAX)), 1 => Just((53, 53)), 1 => Just((50, 60))];
    let wide = any::<bool>();
    (any::<bool>(), 0u8..8, 0u8..8, protocol, ports, wide).prop_map(
        |(v6, a, b, protocol, ports, wide)| {
            let (start, end) = match (wide, v6) {
                (true, true) => (
                    Ipv6Addr::UNSPECIFIED.into(),
                    Ipv6Addr::from_bits(u128::MAX >> 1).into(),
                ),
                (true, false) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()),
                (false, _) => (address(v6, a.min(b)), address(v6, a.max(b))),
            };
            TrafficSelector {
                protocol,
                port_start: ports.0,
                port_end: ports.1,
                start,
                end,
            }
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Policy),
    Remove(u32),
    Replace(u32, u32),
    Lookup(bool, u8, u8, bool),
    Overlaps(Vec<TrafficSelector>),
}

fn step() -> impl Strategy<Value = Step> {
    let handle = 0u32..12;
    let list = || prop::collection::vec(selector(), 0..3);
    prop_oneof![
        6 => (handle.clone(), list(), list()).prop_map(Step::Insert),
        1 => handle.clone().prop_map(Step::Remove),
        1 => (handle.clone(), handle).prop_map(|(a, b)| Step::Replace(a, b)),
        12 => (any::<bool>(), 0u8..8, 0u8..8, any::<bool>()).prop_map(|(v, a, b, p)| Step::Lookup(v, a, b, p)),
        1 => list().prop_map(Step::Overlaps),
    ]
}

fn packet(v6: bool, source: u8, destination: u8, dns: bool) -> PacketInfo {
    let socket = |number, port| std::net::SocketAddr::new(address(v6, number), port).to_string();
    let port = if dns { 53 } else { 4000 };
    PacketInfo::parse(&udp(&socket(source, 4000), &socket(destination, port), 4)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let (mut spd, mut model) = (Spd::new(), Model::default());
        for step in steps {
            match step {
                Step::Insert(policy) => {
                    spd.insert(policy.0, &policy.1, &policy.2);
                    model.insert(policy);
                }
                Step::Remove(handle) => prop_assert_eq!(spd.remove(handle), model.remove(handle)),
                Step::Replace(a, b) => prop_assert_eq!(spd.replace(a, b), model.replace(a, b)),
                Step::Lookup(v6, source, destination, dns) => {
                    let info = packet(v6, source, destination, dns);
                    prop_assert_eq!(spd.lookup(&info), model.lookup(&info), "{:?}", info);
                }
                Step::Overlaps(selectors) => {
                    let got: Vec<u32> = spd.overlaps(&selectors).collect();
                    prop_assert_eq!(got, model.overlaps(&selectors));
                }
            }
            prop_assert_eq!(spd.len(), model.0.len());
        }
    }
}

fn lookup(spd: &Spd<char>, source: &str, destination: &str) -> Option<char> {
    spd.lookup(&PacketInfo::parse(&udp(source, destination, 4)).unwrap())
}

#[test]
fn longest_prefix_then_narrowest_then_newest() {
    let mut spd = Spd::new();
    let any = ts(&["0.0.0.0/0"]);
    spd.insert('a', &any, &any);
    spd.insert('b', &any, &ts(&["10.1.0.0/16"]));
    spd.insert('c', &any, &ts(&["10.1.0.0/16[udp/53]"]));
    spd.insert('d', &ts(&["10.2.0.0/16"]), &ts(&["10.1.7.0/24[tcp]"]));
    let from = "10.2.0.6:4000";
    assert_eq!(lookup(&spd, from, "10.1.0.5:53"), Some('c'));
    assert_eq!(lookup(&spd, from, "10.1.0.5:54"), Some('b'));
    assert_eq!(
        lookup(&spd, from, "10.1.7.5:54"),
        Some('b'),
        "the longer prefix does not fit"
    );
    assert_eq!(lookup(&spd, from, "10.9.0.5:54"), Some('a'));
    assert_eq!(lookup(&spd, "[fd00::1]:1", "[fd00::2]:1"), None);
    spd.insert('e', &any, &ts(&["10.1.0.0/16"]));
    assert_eq!(lookup(&spd, from, "10.1.0.5:54"), Some('e'), "the newest");
    spd.insert('b', &any, &ts(&["10.1.0.0/16"]));
    assert_eq!(
        lookup(&spd, from, "10.1.0.5:54"),
        Some('b'),
        "inserted anew"
    );
    spd.insert('f', &ts(&["10.2.0.0/16"]), &ts(&["10.1.0.0/16"]));
    spd.insert('g', &any, &ts(&["10.1.0.0/16"]));
    assert_eq!(
        lookup(&spd, from, "10.1.0.5:54"),
        Some('f'),
        "the narrower source"
    );
    assert_eq!(lookup(&spd, "10.3.0.6:4000", "10.1.0.5:54"), Some('g'));
    spd.insert('h', &ts(&["0.0.0.0/0[0/4000]"]), &ts(&["10.1.0.0/16"]));
    spd.insert('i', &any, &ts(&["10.1.0.0/16"]));
    assert_eq!(
        lookup(&spd, from, "10.1.0.5:54"),
        Some('h'),
        "the fewer local ports"
    );
}

#[test]
fn a_rekeyed_policy_keeps_its_place() {
    let mut spd = Spd::new();
    let (any, branch) = (ts(&["0.0.0.0/0"]), ts(&["10.1.0.0/16"]));
    spd.insert('a', &any, &branch);
    spd.insert('z', &any, &ts(&["10.9.0.0/16"]));
    assert!(spd.replace('a', 'b'));
    assert_eq!(lookup(&spd, "10.2.0.6:1", "10.1.0.5:1"), Some('b'));
    assert!(!spd.replace('a', 'c') && !spd.remove('a'));
    assert_eq!(
        spd.overlaps(&ts(&["10.0.0.0/8"])).collect::<Vec<_>>(),
        ['b', 'z']
    );
    assert_eq!(
        spd.overlaps(&ts(&["10.1.2.3/32"])).collect::<Vec<_>>(),
        ['b']
    );
    assert!(spd.remove('b'));
    assert_eq!(lookup(&spd, "10.2.0.6:1", "10.1.0.5:1"), None);
    assert_eq!(spd.len(), 1);
}

#[test]
fn ranges_that_are_no_prefix() {
    let mut spd = Spd::new();
    spd.insert('a', &ts(&["0.0.0.0/0"]), &ts(&["10.1.0.5-10.1.0.10"]));
    for last in 0..20 {
        let inside = (5..=10).contains(&last).then_some('a');
        assert_eq!(
            lookup(&spd, "10.2.0.6:1", &format!("10.1.0.{last}:1")),
            inside
        );
    }
}

#[test]
fn thousands_of_branches() {
    let mut spd = Spd::new();
    for n in 0..5000u32 {
        let net = format!("10.{}.{}.0/24", n / 250, n % 250);
        spd.insert(n, &ts(&["0.0.0.0/0"]), &ts(&[&net]));
    }
    for n in (0..5000u32).step_by(77) {
        let destination = format!("10.{}.{}.9:1", n / 250, n % 250);
        let info = PacketInfo::parse(&udp("192.168.0.1:1", &destination, 4)).unwrap();
        assert_eq!(spd.lookup(&info), Some(n));
        assert!(spd.remove(n));
        assert_eq!(spd.lookup(&info), None);
    }
}
