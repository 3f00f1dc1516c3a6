//! Two engines on loopback with high ports and socketpairs for TUNs: no rights, no routes.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, branch, headquarters, ipv4};
use hawser_engine::{ApplyError, Feed, StartError};
use hawser_flight::Event;
use hawser_shard::io::{Command, DeviceId, PeerFilter, Reply, ShardId};
use std::io::{Read, Write};
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// Sends pings from one site until one comes out at the other.
async fn carries(from: &Site, to: &Site, packet: &[u8]) {
    let begin = std::time::Instant::now();
    while begin.elapsed() < PATIENCE {
        from.send(packet);
        tokio::time::sleep(Duration::from_millis(50)).await;
        if to.received().iter().any(|p| p == packet) {
            return;
        }
    }
    let (a, b) = (from.engine.snapshots().await, to.engine.snapshots().await);
    panic!("nothing came through: {a:#?} {b:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_walks_both_ways_through_two_engines() {
    let hq = Site::start(headquarters(3));
    let mut events = hq.engine.subscribe_events();
    let branch = Site::start(branch(2, hq.nat_port()));
    carries(&branch, &hq, &ipv4([10, 1, 0, 2], [10, 0, 0, 1], 900)).await;
    carries(&hq, &branch, &ipv4([10, 0, 0, 1], [10, 1, 0, 2], 900)).await;

    let up = async {
        while let Some(feed) = events.next().await {
            if matches!(feed, Feed::Event(r) if r.event == Event::PeerUp) {
                return;
            }
        }
        panic!("no event");
    };
    timeout(PATIENCE, up).await.expect("PeerUp");

    let text = hq.engine.render_metrics().await;
    assert!(text.contains("hawser_handshakes_total 1"), "{text}");
    let counters = hq.engine.counters().await;
    assert_eq!(counters.len(), 3);
    assert_eq!(counters.iter().map(|c| c.handshakes).sum::<u64>(), 1);

    assert_eq!(
        branch.engine.shutdown().await,
        hawser_engine::Shutdown::default()
    );
    assert_eq!(
        hq.engine.shutdown().await,
        hawser_engine::Shutdown::default()
    );
    assert_eq!(hq.engine.join().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_reach_every_shard_and_devices_their_own() {
    let site = Site::start(headquarters(3));
    let replies = site.engine.command(Command::Status(PeerFilter::All)).await;
    let shards: Vec<u8> = replies.iter().map(|(s, _)| s.0).collect();
    assert_eq!(shards, [0, 1, 2]);
    assert!(
        replies
            .iter()
            .all(|(_, r)| matches!(r, Reply::Status(s) if s.peers.is_empty()))
    );
    let replies = site
        .engine
        .command(Command::Reset(DeviceId(1 << 56 | 7)))
        .await;
    assert_eq!(
        replies.iter().map(|(s, _)| *s).collect::<Vec<_>>(),
        [ShardId(1)]
    );
    let replies = site
        .engine
        .command(Command::Ping(DeviceId(200 << 56)))
        .await;
    assert!(matches!(replies[..], [(ShardId(200), Reply::NotFound)]));

    let policy = (*site.engine.policy()).clone();
    assert_eq!(policy.revision, 1);
    let replies = site.engine.apply(policy.clone()).await.unwrap();
    assert!(
        replies.iter().all(|(_, r)| matches!(r, Reply::Done)),
        "{replies:?}"
    );
    assert_eq!(site.engine.policy().revision, 2);
    let mut other = policy;
    other.tenants[0].mtu = 1300;
    let refused = site.engine.apply(other.clone()).await.unwrap_err();
    assert_eq!(refused, ApplyError::NeedsRestart("the tenants"));
    assert_eq!(site.engine.policy().revision, 2);

    site.engine.shutdown().await;
    assert_eq!(
        site.engine.apply(other).await.unwrap_err(),
        ApplyError::Ended
    );
    let replies = site.engine.command(Command::Status(PeerFilter::All)).await;
    assert_eq!(
        replies.len(),
        3,
        "an ended engine still answers: {replies:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_says_which() {
    let first = Site::start(headquarters(1));
    let mut policy = headquarters(1);
    policy.listen.port = first.ike_port();
    let error = Site::try_start(policy).err().unwrap();
    assert!(
        matches!(error, StartError::PortInUse(a) if a.port() == first.ike_port()),
        "{error}"
    );
    assert!(error.to_string().contains(&first.ike_port().to_string()));
    first.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_served_and_a_taken_port_is_an_error() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut policy = headquarters(2);
    policy.observability.metrics = Some(free);
    let site = Site::start(policy.clone());
    let taken = Site::try_start(policy).err().unwrap();
    assert!(matches!(taken, StartError::Metrics { .. }), "{taken}");

    let scrape = || -> std::io::Result<String> {
        let mut http = std::net::TcpStream::connect(free)?;
        http.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        http.read_to_string(&mut text)?;
        Ok(text)
    };
    // Published by itself, without anybody asking.
    let served = async {
        while !scrape()
            .unwrap()
            .contains("hawser_shard_loop_lag_seconds{shard=\"1\"}")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, served).await.expect("metrics");
    site.engine.shutdown().await;
}

/// Whatever comes, the engine stays and a tunnel through it works.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_harms_nobody() {
    let hq = Site::start(headquarters(2));
    let branch = Site::start(branch(1, hq.nat_port()));
    let packet = ipv4([10, 1, 0, 2], [10, 0, 0, 1], 64);
    carries(&branch, &hq, &packet).await;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut state = 1u64;
    for i in 0..5_000usize {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(i as u64);
        let noise: Vec<u8> = (0..i % 200).map(|k| (state >> (k % 57)) as u8).collect();
        for bound in hq.engine.bound() {
            let _ = socket.send_to(&noise, bound.address);
        }
        hq.send(&noise);
    }
    carries(&branch, &hq, &packet).await;
    assert_eq!(
        timeout(Duration::from_millis(10), hq.engine.join())
            .await
            .ok(),
        None
    );
    branch.engine.shutdown().await;
    hq.engine.shutdown().await;
}

/// A device that goes away is let go; the rest works on, and nothing spins.
#[tokio::test(flavor = "multi_thread")]
async fn an_inner_device_that_closes_is_let_go() {
    let (ours, theirs) = rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::SEQPACKET,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    let site = Site::start_with(headquarters(1), vec![theirs]).unwrap();
    drop(ours);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = site.engine.snapshots().await[0].engine.rounds;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let rounds = site.engine.snapshots().await[0].engine.rounds - before;
    assert!(rounds < 100, "{rounds} rounds: it spins");
    site.engine.shutdown().await;
}

/// Dropping the last handle ends threads and closes sockets: the ports are free again.
#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_handle_ends_the_engine() {
    let site = Site::start(headquarters(2));
    let address = site.engine.bound()[0].address;
    drop(site);
    let begin = std::time::Instant::now();
    while std::net::UdpSocket::bind(address).is_err() {
        assert!(begin.elapsed() < PATIENCE, "the port is still taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
