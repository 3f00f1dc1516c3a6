//! `hawser swarm`: thousands of branches, each with an address and port of its own, against any IKEv2 responder.
//!
//! The branches are the demo's: real shards in the role of the initiator, with real keys, over UDP sockets.

mod gateway;
mod member;
mod tally;

use crate::branch::policy::{Calling, Kind};
use crate::branch::{WORKERS, limit};
use crate::cli::Health;
use anyhow::Context as _;
use gateway::Usage;
use hawser_policy::{Identity, Lifetimes, Policy, TrafficSelector};
use ipnet::{IpNet, Ipv4Net};
use member::{Member, Order};
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tally::Tally;
use tokio::sync::broadcast;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, sleep_until};

/// Branches that are not up so long after the last one began are counted as failed.
const GRACE: Duration = Duration::from_secs(30);
/// How often it is looked whether all are up.
const LOOK: Duration = Duration::from_millis(50);
/// Between two probes of a branch.
const DPD: Duration = Duration::from_secs(60);

/// What the swarm is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The responder's NAT traversal port.
    pub(crate) gateway: SocketAddr,
    /// What it must prove to be.
    pub(crate) gateway_identity: Identity,
    /// Number of the first branch: several swarms together are one without branches that are there twice.
    pub(crate) first: u32,
    /// How many branches.
    pub(crate) branches: u32,
    /// Branches that begin in a second.
    pub(crate) rate: f64,
    /// Where their NATs are seen: these addresses in turn.
    pub(crate) sources: Option<IpNet>,
    /// What they call themselves; `{}` is a branch's number.
    pub(crate) identity: String,
    /// The pre-shared key.
    pub(crate) secret: String,
    /// IKE proposal, as strongSwan writes it.
    pub(crate) ike: String,
    /// ESP proposal.
    pub(crate) esp: String,
    /// The network behind the gateway.
    pub(crate) network: IpNet,
    /// How long the tunnels are kept after the last one is up.
    pub(crate) hold: Duration,
    /// Each branch pings this host through its tunnel, so often.
    pub(crate) ping: Option<(Ipv4Addr, Duration)>,
    /// Lifetime of IKE SAs and Child SAs; the branches rekey at half of it.
    pub(crate) lifetime: Option<Duration>,
    /// In the hold, after so long, all rekey at once.
    pub(crate) rekey_storm: Option<Duration>,
    /// In the hold, after so long, all NATs rebind at once.
    pub(crate) rebind_storm: Option<Duration>,
    /// The responder's process: its CPU time and memory are measured.
    pub(crate) pid: Option<u32>,
    /// Print JSON.
    pub(crate) json: bool,
}

/// Runs the swarm; degraded when a branch is not up at the end.
pub(crate) fn run(options: &Options) -> anyhow::Result<Health> {
    limit::raise_for(u64::from(options.branches))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(WORKERS)
        .enable_all()
        .build()?;
    let report = LocalSet::new().block_on(&runtime, perform(options))?;
    let complete = report.up == options.branches;
    println!(
        "{}",
        if options.json {
            format!("{:#}", report.json())
        } else {
            report.text()
        }
    );
    Ok(if complete {
        Health::Healthy
    } else {
        Health::Degraded
    })
}

async fn perform(options: &Options) -> anyhow::Result<tally::Report> {
    let usage = || options.pid.map(Usage::read).transpose();
    let tally = Rc::new(RefCell::new(Tally::default()));
    let (orders, _) = broadcast::channel(4);
    let (begin, before) = (Instant::now(), usage()?);
    for index in 0..options.branches {
        let number = options.first + index;
        let member = Member {
            number,
            policy: Arc::new(policy(options, number)?),
            gateway: options.gateway,
            outside: outside(options, number)?,
            ping: options.ping,
            tally: Rc::clone(&tally),
        };
        let (orders, at) = (orders.subscribe(), begin + arrival(options, index));
        spawn_local(async move {
            sleep_until(at).await;
            member.live(orders).await;
        });
    }
    let deadline = begin + arrival(options, options.branches) + GRACE;
    while tally.borrow().first_ups() < options.branches && Instant::now() < deadline {
        sleep(LOOK).await;
    }
    let (arrived, after) = (Instant::now(), usage()?);
    hold(options, &orders).await;
    let end = usage()?;
    let tally = tally.borrow();
    Ok(tally::Report::new(
        &tally,
        options.branches,
        arrived - begin,
        arrived.elapsed(),
        [before, after, end],
    ))
}

/// Keeps the tunnels, with the storms that are asked for.
async fn hold(options: &Options, orders: &broadcast::Sender<Order>) {
    let begin = Instant::now();
    let mut storms: Vec<(Duration, Order)> = Vec::new();
    storms.extend(options.rekey_storm.map(|at| (at, Order::Rekey)));
    storms.extend(options.rebind_storm.map(|at| (at, Order::Rebind)));
    storms.sort_by_key(|(at, _)| *at);
    for (at, order) in storms {
        sleep_until(begin + at).await;
        let _ = orders.send(order);
    }
    sleep_until(begin + options.hold).await;
}

/// When the branch with this index begins.
fn arrival(options: &Options, index: u32) -> Duration {
    Duration::from_secs_f64(f64::from(index) / options.rate)
}

/// Where the Internet sees branch `number`.
fn outside(options: &Options, number: u32) -> anyhow::Result<IpAddr> {
    match options.sources {
        Some(IpNet::V4(net)) => {
            let hosts = (1_u32 << (32 - net.prefix_len()).min(31))
                .saturating_sub(2)
                .max(1);
            let host = u32::from(net.network()) + 1 + number % hosts;
            Ok(Ipv4Addr::from(host).into())
        }
        Some(IpNet::V6(net)) => Ok(net
            .hosts()
            .nth(number as usize)
            .unwrap_or(net.addr())
            .into()),
        None if options.gateway.is_ipv4() => Ok(Ipv4Addr::UNSPECIFIED.into()),
        None => Ok(std::net::Ipv6Addr::UNSPECIFIED.into()),
    }
}

/// The host of a branch that pings, and whose network is its tunnel's: one of 65,536 in 10.0.0.0/8.
fn host(number: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, (number >> 8) as u8, number as u8, 1)
}

fn policy(options: &Options, number: u32) -> anyhow::Result<Policy> {
    let text = options.identity.replace("{}", &number.to_string());
    let net = IpNet::V4(Ipv4Net::new_assert(host(number), 24).trunc());
    let lives = Lifetimes {
        time: options.lifetime,
        bytes: None,
        margin: options.lifetime.unwrap_or_default() / 2,
    };
    Ok(Calling {
        kind: Kind {
            template: "swarm",
            ike: &options.ike,
            esp: &options.esp,
            secret: &options.secret,
        },
        identity: Identity::parse(&text).with_context(|| format!("identity {text}"))?,
        gateway: options.gateway,
        gateway_identity: options.gateway_identity.clone(),
        local: TrafficSelector::from_net(net),
        remote: TrafficSelector::from_net(options.network),
        ike: lives,
        child: lives,
        dpd: DPD,
    }
    .policy())
}
