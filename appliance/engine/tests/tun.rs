//! The real thing in network namespaces: TUN interfaces, rules, routes. Takes root and `ip`; says
//! so and passes without.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, branch, headquarters, ipv4};
use hawser_engine::{Engine, EngineHandle, EngineOptions, Feed, Shutdown, StartError};
use hawser_flight::Event;
use hawser_policy::Policy;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A network namespace that goes with the test.
struct Namespace(String);

impl Namespace {
    fn new(name: &str) -> Option<Self> {
        let name = format!("hawser-{name}-{}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).status();
        if !made.is_ok_and(|s| s.success()) {
            eprintln!("skipped: cannot make a network namespace");
            return None;
        }
        let namespace = Self(name);
        namespace.ip("link set lo up");
        Some(namespace)
    }

    fn ip(&self, args: &str) -> String {
        let ip = Command::new("ip")
            .args(["-n", &self.0])
            .args(args.split(' '))
            .output()
            .unwrap();
        String::from_utf8(ip.stdout).unwrap()
    }

    /// Runs the test in here: sockets and threads it makes belong to the namespace.
    fn run(&self, test: impl FnOnce(&Self) + Send) {
        let enter = || {
            let file = std::fs::File::open(format!("/run/netns/{}", self.0)).unwrap();
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            test(self);
        };
        std::thread::scope(|scope| scope.spawn(enter).join().unwrap());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn start(policy: Policy) -> Result<EngineHandle, StartError> {
    let options = EngineOptions {
        workers: Some(1),
        unpinned: true,
        ..EngineOptions::default()
    };
    Engine::start(Arc::new(policy), options)
}

fn with_address(mut policy: Policy) -> Policy {
    policy.tenants[0].addresses = vec!["10.0.0.1/24".parse().unwrap()];
    policy
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn traffic_routes_and_nothing_left_behind() {
    let Some(namespace) = Namespace::new("tun") else {
        return;
    };
    // What a crash leaves, twice, and what belongs to another.
    for _ in 0..2 {
        namespace.ip("rule add not fwmark 0x4857 lookup 220 pref 220 protocol 72");
        namespace.ip("rule add not fwmark 0x4858 lookup 220 pref 221");
    }
    namespace.ip("route add 10.77.0.0/24 dev lo table 220 proto 72");
    namespace.ip("route add 10.78.0.0/24 dev lo table 220 proto 99");
    namespace.run(|namespace| {
        let hq = start(with_address(headquarters(2))).unwrap();
        let link = namespace.ip("address show hawser-test");
        assert!(link.contains("mtu 1400") && link.contains("10.0.0.1/24") && link.contains("UP"));
        for family in ["-4", "-6"] {
            let rules = namespace.ip(&format!("{family} rule"));
            assert_eq!(
                rules.matches("fwmark 0x4857 lookup 220").count(),
                1,
                "{rules}"
            );
            assert!(
                rules.contains("220:\tnot from all fwmark 0x4857 lookup 220"),
                "{rules}"
            );
        }
        let routes = namespace.ip("route show table 220");
        assert!(
            !routes.contains("10.77.") && routes.contains("10.78."),
            "{routes}"
        );

        let nat = hq.bound().iter().find(|b| b.nat).unwrap().address.port();
        let branch = Site::start(branch(1, nat));
        traffic(namespace, &branch);
        block_on(async {
            branch.engine.shutdown().await;
            assert_eq!(hq.shutdown().await, Shutdown::default());
        });
        assert!(!namespace.ip("link show").contains("hawser-test"));
        let left = namespace.ip("route show table 220");
        assert!(
            left.starts_with("10.78.0.0/24") && left.lines().count() == 1,
            "{left}"
        );
        for family in ["-4", "-6"] {
            assert!(!namespace.ip(&format!("{family} rule")).contains("0x4857"));
        }
        assert!(namespace.ip("rule").contains("0x4858"), "of another");
    });
}

/// Somebody takes the interface away under the gateway: it is there again, with address and routes, the tunnel has
/// stayed, and traffic flows.
#[test]
fn an_interface_taken_away_is_made_again() {
    let Some(namespace) = Namespace::new("gone") else {
        return;
    };
    namespace.run(|namespace| {
        let hq = start(with_address(headquarters(2))).unwrap();
        let nat = hq.bound().iter().find(|b| b.nat).unwrap().address.port();
        let branch = Site::start(branch(1, nat));
        traffic(namespace, &branch);
        let mut events = hq.subscribe_events();
        for _ in 0..2 {
            namespace.ip("link del hawser-test");
            for wanted in [false, true] {
                block_on(async {
                    loop {
                        let next = tokio::time::timeout(Duration::from_secs(20), events.next());
                        let Some(Feed::Event(record)) = next.await.unwrap() else {
                            panic!("no event");
                        };
                        match &record.event {
                            Event::InnerDevice { present, .. } if *present == wanted => return,
                            Event::PeerDown { .. } => panic!("the tunnel went"),
                            _ => {}
                        }
                    }
                });
            }
            traffic(namespace, &branch);
        }
        block_on(async {
            branch.engine.shutdown().await;
            assert_eq!(hq.shutdown().await, Shutdown::default());
        });
        assert!(!namespace.ip("link show").contains("hawser-test"));
    });
}

/// A server behind headquarters' TUN hears the branch and answers through the route.
fn traffic(namespace: &Namespace, branch: &Site) {
    let server = UdpSocket::bind("10.0.0.1:12346").unwrap();
    server
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut buffer = [0; 2048];
    let mut client = None;
    until("a packet of the branch at headquarters", || {
        branch.send(&ipv4([10, 1, 0, 2], [10, 0, 0, 1], 1000));
        client = server.recv_from(&mut buffer).ok();
        client.is_some()
    });
    let (len, client) = client.unwrap();
    assert_eq!((len, client), (1000, "10.1.0.2:12345".parse().unwrap()));
    until("the route", || {
        namespace
            .ip("route show table 220")
            .contains("10.1.0.0/24 dev hawser-test proto 72")
    });
    until("the answer at the branch", || {
        server.send_to(b"answer", client).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        branch.received().iter().any(|p| p.ends_with(b"answer"))
    });
}

/// Takes not being root.
#[test]
fn missing_rights_say_how_to_grant_them() {
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: root has them");
        return;
    }
    let error = start(headquarters(1)).err().unwrap();
    assert!(
        matches!(error, StartError::TunNotPermitted { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("setcap cap_net_admin"),
        "{error}"
    );
    let mut policy = headquarters(1);
    policy.listen.port = 500;
    let error = Site::try_start(policy).err().unwrap();
    assert!(matches!(error, StartError::PortNotPermitted(_)), "{error}");
    assert!(
        error.to_string().contains("500") && error.to_string().contains("setcap"),
        "{error}"
    );

    let mut policy = headquarters(1);
    policy.listen.native_esp = true;
    let site = Site::start(policy);
    let notes = site.engine.notes().join("; ");
    assert!(notes.contains("CAP_NET_RAW"), "{notes}");
    block_on(site.engine.shutdown());
}

#[test]
fn tenants_have_namespaces_of_their_own() {
    let (Some(outer), Some(inner)) = (Namespace::new("outer"), Namespace::new("inner")) else {
        return;
    };
    outer.run(|outer| {
        let mut policy = with_address(headquarters(2));
        policy.tenants[0].namespace = Some(inner.0.clone());
        let hq = start(policy.clone()).unwrap();
        assert!(inner.ip("address show hawser-test").contains("10.0.0.1/24"));
        assert!(inner.ip("rule").contains("fwmark 0x4857"));
        assert!(!outer.ip("link show").contains("hawser-test"));
        assert!(!outer.ip("rule").contains("0x4857"));
        let taken = start(Policy {
            listen: headquarters(1).listen,
            ..policy.clone()
        });
        assert!(
            matches!(taken, Err(StartError::TunInUse { .. })),
            "{:?}",
            taken.err()
        );
        block_on(hq.shutdown());
        assert!(!inner.ip("link show").contains("hawser-test"));
        assert!(!inner.ip("rule").contains("0x4857"));

        drop(start(policy.clone()).unwrap());
        until("the end without a shutdown", || {
            !inner.ip("link show").contains("hawser-test") && !inner.ip("rule").contains("0x4857")
        });

        policy.tenants[0].namespace = Some("no-such-namespace".into());
        let error = start(policy).err().unwrap().to_string();
        assert!(error.contains("ip netns add no-such-namespace"), "{error}");
    });
}
