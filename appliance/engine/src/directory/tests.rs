#![allow(clippy::unwrap_used)]
use super::*;
use hawser_flight::Path;
use proptest::prelude::*;
use std::time::Instant;

const TENANT: TenantId = TenantId(0);

fn ts(text: &str) -> TrafficSelector {
    TrafficSelector::parse(text).unwrap()
}

fn endpoint(n: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], n))
}

fn claim(directory: &Directory, device: u64, name: &str, at: SocketAddr, selectors: &[&str]) {
    let selectors = selectors.iter().map(|s| ts(s)).collect();
    claim_parsed(directory, device, name, at, selectors, true);
}

fn claim_parsed(
    directory: &Directory,
    device: u64,
    name: &str,
    endpoint: SocketAddr,
    selectors: Vec<TrafficSelector>,
    alive: bool,
) {
    directory.answer(DirectoryRequest::Claim {
        device: DeviceId(device),
        shard: ShardId(0),
        tenant: TENANT,
        identity: Identity::Fqdn(name.into()),
        path: Path {
            local: "192.0.2.1:4500".parse().unwrap(),
            remote: endpoint,
            encapsulated: true,
        },
        selectors,
        alive,
        spis: Vec::new(),
    });
}

fn locate(
    directory: &Directory,
    name: &str,
    endpoint: SocketAddr,
    selectors: &[TrafficSelector],
) -> (Vec<Located>, Vec<Located>) {
    let request = DirectoryRequest::Locate {
        tenant: TENANT,
        identity: Identity::Fqdn(name.into()),
        endpoint,
        selectors: selectors.to_vec(),
    };
    match directory.answer(request) {
        Answer::Located { same, others } => (same, others),
        other => panic!("{other:?}"),
    }
}

fn devices(found: &[Located]) -> Vec<u64> {
    found.iter().map(|l| l.device.0).collect()
}

#[test]
fn the_branches_of_the_case_are_told_apart() {
    let d = Directory::default();
    claim(&d, 1, "test", endpoint(1), &["10.1.0.0/24"]);
    claim(&d, 2, "test", endpoint(2), &["10.2.0.0/24"]);
    claim(&d, 3, "joe", endpoint(3), &["10.3.0.0/24"]);

    let (same, others) = locate(&d, "test", endpoint(9), &[ts("10.1.0.0/24")]);
    assert_eq!((devices(&same), devices(&others)), (vec![1], vec![]));
    assert!(same[0].overlaps);
    let (same, others) = locate(&d, "test", endpoint(2), &[ts("10.9.0.0/24")]);
    assert_eq!((devices(&same), devices(&others)), (vec![2], vec![]));
    assert!(!same[0].overlaps, "only its endpoint is the same");
    let (same, others) = locate(&d, "test", endpoint(9), &[ts("10.0.0.0/8")]);
    assert_eq!((devices(&same), devices(&others)), (vec![1, 2], vec![3]));
    let (same, others) = locate(&d, "new", endpoint(1), &[ts("10.2.0.7")]);
    assert_eq!(
        (devices(&same), devices(&others)),
        (vec![], vec![2]),
        "inside of another's"
    );
}

#[test]
fn a_claim_replaces_and_an_empty_one_ends() {
    let d = Directory::default();
    claim(&d, 1, "a", endpoint(1), &["10.1.0.0/24", "2001:db8::/64"]);
    claim(&d, 1, "a", endpoint(2), &["10.2.0.0/24"]);
    assert!(
        locate(
            &d,
            "b",
            endpoint(9),
            &[ts("10.1.0.0/24"), ts("2001:db8::/32")]
        )
        .1
        .is_empty()
    );
    assert!(
        locate(&d, "a", endpoint(1), &[ts("10.9.0.0/24")])
            .0
            .is_empty(),
        "old endpoint"
    );
    assert_eq!(
        devices(&locate(&d, "b", endpoint(9), &[ts("10.2.0.0/16")]).1),
        [1]
    );
    claim(&d, 1, "a", endpoint(2), &[]);
    assert!(
        locate(&d, "a", endpoint(2), &[ts("0.0.0.0/0")])
            .0
            .is_empty()
    );
    let book = d.tenants.get(&TENANT).unwrap();
    assert!(book.devices.is_empty() && book.numbers.is_empty() && book.identities.is_empty());
    assert!(book.claims.alive.is_empty() && book.claims.remembered.is_empty());
}

#[test]
fn one_that_is_alive_is_not_left_out_for_those_remembered() {
    let d = Directory::default();
    for n in 0..1_000u64 {
        claim_parsed(&d, n, "old", endpoint(7), vec![ts("10.1.0.0/24")], false);
    }
    claim(&d, 5_000, "holder", endpoint(8), &["10.1.0.128/25"]);
    claim(&d, 5_001, "old", endpoint(7), &["10.1.0.0/25"]);
    let (_, others) = locate(&d, "new", endpoint(9), &[ts("10.1.0.0/24")]);
    assert_eq!(
        others
            .iter()
            .filter(|l| l.alive)
            .map(|l| l.device.0)
            .sum::<u64>(),
        10_001
    );
    let (same, _) = locate(&d, "old", endpoint(7), &[ts("10.9.0.0/24")]);
    assert_eq!(
        (same[0].device.0, same[0].alive, same.len()),
        (5_001, true, 4)
    );
    claim_parsed(
        &d,
        5_000,
        "holder",
        endpoint(8),
        vec![ts("10.1.0.128/25")],
        false,
    );
    let (_, others) = locate(&d, "new", endpoint(9), &[ts("10.1.0.128/25")]);
    assert!(others.iter().all(|l| !l.alive), "it went down");
}

#[test]
fn protocols_and_ports_count() {
    let d = Directory::default();
    claim(&d, 1, "a", endpoint(1), &["10.1.0.0/24[tcp/80]"]);
    assert!(
        locate(&d, "b", endpoint(9), &[ts("10.1.0.0/24[tcp/443]")])
            .1
            .is_empty()
    );
    assert!(
        locate(&d, "b", endpoint(9), &[ts("10.1.0.0/24[udp]")])
            .1
            .is_empty()
    );
    assert_eq!(
        devices(&locate(&d, "b", endpoint(9), &[ts("10.1.0.0/24[tcp]")]).1),
        [1]
    );
}

#[test]
fn tenants_do_not_see_each_other() {
    let d = Directory::default();
    claim(&d, 1, "a", endpoint(1), &["10.1.0.0/24"]);
    let request = DirectoryRequest::Locate {
        tenant: TenantId(1),
        identity: Identity::Fqdn("a".into()),
        endpoint: endpoint(1),
        selectors: vec![ts("10.1.0.0/24")],
    };
    let Answer::Located { same, others } = d.answer(request) else {
        panic!()
    };
    assert!(same.is_empty() && others.is_empty());
}

/// 50,000 devices of one identity: neither the widest question nor the needle in the haystack
/// takes longer than a walk down the trie. (A scan of all would take a hundred times the bound.)
#[test]
fn fifty_thousand_of_one_identity_cost_what_one_costs() {
    let d = Directory::default();
    let net = |n: u32| format!("10.{}.{}.0/24", n >> 8, n & 255);
    for n in 0..50_000u32 {
        claim(
            &d,
            n.into(),
            "test",
            endpoint((n % 60_000) as u16),
            &[&net(n)],
        );
    }
    claim(&d, 99_999, "other", endpoint(9), &["10.100.7.128/25"]);
    let all = [ts("10.0.0.0/8")];
    let (same, others) = locate(&d, "test", endpoint(0), &all);
    assert_eq!((same.len(), devices(&others)), (4, vec![99_999]));

    // The best of several, so that a busy machine does not fail it.
    let each = (0..20).map(|_| {
        let begin = Instant::now();
        for _ in 0..50 {
            locate(&d, "test", endpoint(0), &all);
            locate(&d, "joe", endpoint(0), &all);
        }
        begin.elapsed() / 100
    });
    let best = each.min().unwrap();
    assert!(best.as_micros() < 200, "{best:?} for a question");
}

fn selector() -> impl Strategy<Value = TrafficSelector> {
    let range = (0u8..4, 0u8..4, prop::sample::select(vec![0u8, 6, 17])).prop_map(|(a, b, p)| {
        let (from, to) = (a.min(b), a.max(b));
        ts(&format!("10.0.0.{from}-10.0.0.{to}[{p}]"))
    });
    let net = (0u8..4, 6u8..=32).prop_map(|(a, len)| ts(&format!("10.{a}.0.0/{len}")));
    let v6 = (0u8..4, 30u8..=64).prop_map(|(a, len)| ts(&format!("2001:db8:{a}::/{len}")));
    prop_oneof![range, net, v6]
}

/// Name, endpoint, selectors.
type Modelled = (u8, u16, Vec<TrafficSelector>);
type Model = HashMap<u64, Modelled>;

/// What a walk through every device finds: those that must be named, before the limit.
fn naive(model: &Model, name: u8, at: u16, asked: &[TrafficSelector]) -> [BTreeSet<u64>; 2] {
    let overlaps = |held: &[TrafficSelector]| {
        held.iter()
            .any(|h| asked.iter().any(|a| a.intersect(h).is_some()))
    };
    let of = |wanted: &dyn Fn(&Modelled) -> bool| {
        model
            .iter()
            .filter(|(_, d)| wanted(d))
            .map(|(id, _)| *id)
            .collect()
    };
    [
        of(&|d| d.0 == name && (d.1 == at || overlaps(&d.2))),
        of(&|d| d.0 != name && overlaps(&d.2)),
    ]
}

proptest! {
    #[test]
    fn answers_as_a_walk_through_every_device_does(
        steps in prop::collection::vec(
            (0u64..12, 0u8..3, 0u16..4, prop::collection::vec(selector(), 0..4), any::<bool>()),
            1..40,
        ),
        name in 0u8..3,
        at in 0u16..4,
        asked in prop::collection::vec(selector(), 1..4),
    ) {
        let d = Directory::default();
        let mut model = Model::new();
        let mut living = BTreeSet::new();
        for (device, name, at, selectors, alive) in steps {
            claim_parsed(&d, device, &name.to_string(), endpoint(at), selectors.clone(), alive);
            model.remove(&device);
            if !selectors.is_empty() {
                model.insert(device, (name, at, selectors));
                living.remove(&device);
                if alive {
                    living.insert(device);
                }
            }
        }
        let (same, others) = locate(&d, &name.to_string(), endpoint(at), &asked);
        for (found, want) in [(&same, 0), (&others, 1)] {
            let want = &naive(&model, name, at, &asked)[want];
            let got = devices(found);
            prop_assert_eq!(got.len(), want.len().min(LIMIT));
            prop_assert!(found.iter().all(|l| l.alive == living.contains(&l.device.0)));
            prop_assert!(got.iter().all(|g| want.contains(g)), "{:?} not of {:?}", got, want);
            prop_assert_eq!(got.iter().collect::<BTreeSet<_>>().len(), got.len());
        }
    }
}

#[test]
fn the_living_devices_of_an_identity_and_of_the_tenant_are_counted() {
    let directory = Directory::default();
    let count = |name: &str| directory.alive(TENANT, &Identity::Fqdn(name.into()));
    assert_eq!(count("a"), (0, 0));
    claim(&directory, 1, "a", endpoint(1), &["10.0.1.0/24"]);
    claim(&directory, 2, "a", endpoint(2), &["10.0.2.0/24"]);
    claim(&directory, 3, "b", endpoint(3), &["10.0.3.0/24"]);
    claim(&directory, 1, "a", endpoint(4), &["10.0.1.0/24"]);
    assert_eq!(count("a"), (2, 3));
    let remembered = vec![ts("10.0.2.0/24")];
    claim_parsed(&directory, 2, "a", endpoint(2), remembered, false);
    claim(&directory, 3, "b", endpoint(3), &[]);
    assert_eq!((count("a"), count("b")), ((1, 1), (0, 1)));
}
