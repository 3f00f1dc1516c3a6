//! What happens, step by step, and what should come of it.

use super::branch::Branch;
use super::command::eventually;
use super::gateway::{Gateway, Tally};
use super::ping::{Count, Ping};
use super::site::{SERVER, Site};
use crate::demo::score::{listed, ms};
use crate::demo::summary::{Check, Summary};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How many branches there are.
const BRANCHES: u8 = 3;
/// Pings of a quick look, each way.
const FEW: u32 = 5;
/// Pings while something happens, each way: three seconds of them.
const MANY: u32 = 60;
/// A rebind is followed within this time of the branch's next packet.
const FOLLOW_WITHIN: Duration = Duration::from_secs(1);
/// How long old SAs may take to go.
const SETTLE: Duration = Duration::from_secs(8);

/// Everything there is, in the order in which it goes.
struct Story {
    gateway: Gateway,
    branches: Vec<Branch>,
    site: Site,
    begin: Instant,
    silent: bool,
    pings: Count,
    followed: Vec<Duration>,
    checks: Vec<Check>,
}

/// Tells it.
pub(super) async fn tell(dir: &Path, silent: bool) -> anyhow::Result<Summary> {
    let mut story = Story::begin(dir, silent).await?;
    story.connect().await?;
    story.rebind().await?;
    story.rekey().await?;
    story.leave_and_return().await?;
    story.end().await
}

impl Story {
    async fn begin(dir: &Path, silent: bool) -> anyhow::Result<Self> {
        let begin = Instant::now();
        let site = Site::build().await?;
        let mut branches = Vec::new();
        for number in 1..=BRANCHES {
            let lan = site.add(number).await?;
            branches.push(Branch::start(lan, &format!("branch{number}"), dir).await?);
        }
        let gateway = Gateway::start(&site.hq, dir).await?;
        let story = Self {
            gateway,
            branches,
            site,
            begin,
            silent,
            pings: Count::default(),
            followed: Vec::new(),
            checks: Vec::new(),
        };
        story.say("a gateway with configs/hq.cfg, and three strongSwan behind three NATs");
        Ok(story)
    }

    async fn connect(&mut self) -> anyhow::Result<()> {
        for number in 1..=BRANCHES {
            let branch = self.branch(number);
            let took = branch.connect().await?;
            let endpoint = self.gateway.endpoint(&branch.lan.network()).await?;
            let endpoint = endpoint.unwrap_or_else(|| "nowhere".to_owned());
            let took = ms(took);
            self.say(&format!(
                "branch {number} is up as `test` at {endpoint} after {took:.0} ms"
            ));
        }
        let up = self.gateway.counts().await?[0];
        self.check(
            up == u64::from(BRANCHES),
            "three branches of one name are up, each on its own",
        );
        let pings = self.ping_all(FEW)?;
        let fine = self.count(pings).await?;
        self.check(fine, "every branch and the headquarters ping each other");
        Ok(())
    }

    /// Every NAT forgets, and the branch's next packet comes from another port.
    async fn rebind(&mut self) -> anyhow::Result<()> {
        let mut quick = true;
        for number in 1..=BRANCHES {
            let branch = self.branch(number);
            let network = branch.lan.network();
            let before = self.gateway.endpoint(&network).await?;
            branch.lan.rebind().await?;
            let first = self.ping(number, 1)?.count().await?;
            let after = self.gateway.endpoint(&network).await?;
            let moved = after.is_some() && before != after;
            quick &= moved && first.rtt.is_some_and(|rtt| rtt <= FOLLOW_WITHIN);
            self.pings.sent += first.sent;
            self.pings.answered += first.answered;
            self.followed.extend(first.rtt);
            let text = match (first.rtt, &after) {
                (Some(rtt), Some(to)) if moved => {
                    format!("followed to {to}, answered after {:.1} ms", ms(rtt))
                }
                _ => "not followed".to_owned(),
            };
            self.say(&format!("the NAT of branch {number} forgot: {text}"));
        }
        self.check(
            quick,
            "every rebind was followed with the branch's next packet",
        );
        let pings = self.ping_all(FEW)?;
        let fine = self.count(pings).await?;
        self.check(fine, "pings go both ways through the new ports");
        Ok(())
    }

    /// New keys while everybody pings: from a branch, and from the gateway.
    async fn rekey(&mut self) -> anyhow::Result<()> {
        let pings = self.ping_all(MANY)?;
        sleep(Duration::from_millis(300)).await;
        let branch = self.branch(1);
        branch.swanctl("--rekey --child net").await?;
        branch.swanctl("--rekey --ike hq").await?;
        let network = self.branch(2).lan.network();
        self.gateway.ask(&["rekey", &network]).await?;
        let whole = self.count(pings).await?;
        let Tally {
            ike_rekeys,
            child_rekeys,
            ..
        } = self.gateway.tally().await?;
        self.say(&format!(
            "{ike_rekeys} IKE SAs and {child_rekeys} Child SAs have new keys"
        ));
        self.check(
            ike_rekeys == 2 && child_rekeys == 2,
            "a branch and the gateway renewed keys",
        );
        self.check(whole, "no ping was lost while keys were renewed");
        Ok(())
    }

    /// The last branch says goodbye and comes back, while the others ping.
    async fn leave_and_return(&mut self) -> anyhow::Result<()> {
        let mut pings = Vec::new();
        for number in 1..BRANCHES {
            pings.extend([self.ping(number, MANY)?, self.ping_back(number, MANY)?]);
        }
        let leaver = self.branch(BRANCHES);
        let network = leaver.lan.network();
        leaver.swanctl("--terminate --ike hq").await?;
        let gone = self.gateway.endpoint(&network).await?.is_none();
        let took = leaver.connect().await?;
        self.say(&format!(
            "branch {BRANCHES} said goodbye, came back, and was up after {:.0} ms",
            ms(took)
        ));
        let others = self.count(pings).await?;
        self.check(gone, "a branch that said goodbye was down at once");
        let back = vec![self.ping(BRANCHES, FEW)?, self.ping_back(BRANCHES, FEW)?];
        let back = self.count(back).await?;
        self.check(back, "it came back, and pings go both ways again");
        self.check(others, "the other branches noticed nothing of it");
        Ok(())
    }

    /// The gateway ends; what it and its kernel have left.
    async fn end(mut self) -> anyhow::Result<Summary> {
        let all = [u64::from(BRANCHES); 3];
        let gateway = &self.gateway;
        let settled = eventually("one IKE SA and one Child SA each", SETTLE, async || {
            Ok(gateway.counts().await? == all)
        })
        .await;
        self.check(
            settled.is_ok(),
            "each is left with one IKE SA and one Child SA",
        );
        let [up, ..] = self.gateway.counts().await?;
        let tally = self.gateway.tally().await?;
        self.check(tally.failures.is_empty(), "no handshake failed");
        let ended = self.gateway.stop().await?;
        let links = self.site.hq.ip("link show").await?;
        let rules = self.site.hq.ip("rule show").await?;
        let clean = !links.contains("hawser0") && !rules.contains("fwmark");
        self.check(
            ended.success() && clean,
            "the gateway left no interface and no rule behind",
        );
        let mut told = true;
        for branch in &self.branches {
            told &= branch.is_down().await?;
        }
        self.check(told, "and told every branch");
        self.say("the gateway has ended\n");
        Ok(self.summary(up, &tally))
    }

    fn summary(mut self, up: u64, tally: &Tally) -> Summary {
        self.followed.sort_unstable();
        let slowest = self.followed.last().copied().unwrap_or_default();
        let median = self.followed.get(self.followed.len() / 2);
        let median = median.copied().unwrap_or_default();
        let Count { sent, answered, .. } = self.pings;
        let seconds = self.begin.elapsed().as_secs_f64();
        let lines = vec![
            (
                "branches",
                format!(
                    "{up} of {BRANCHES} strongSwan, all of them `test`, up; {seconds:.1} s in all"
                ),
            ),
            (
                "handshakes",
                format!("{}, failed: {}", tally.handshakes, listed(&tally.failures)),
            ),
            (
                "pings",
                format!("{sent} sent, {answered} answered, {} lost", sent - answered),
            ),
            (
                "rebinds",
                format!(
                    "{} followed; from the branch's packet to its answer: median {:.1} ms, slowest {:.1} ms",
                    tally.moves,
                    ms(median),
                    ms(slowest)
                ),
            ),
            (
                "rekeys",
                format!(
                    "{} IKE SAs, {} Child SAs",
                    tally.ike_rekeys, tally.child_rekeys
                ),
            ),
            ("tunnels down", listed(&tally.downs)),
        ];
        let figures = json!({
            "seconds": seconds,
            "branches": BRANCHES,
            "up": up,
            "handshakes": tally.handshakes,
            "pings": { "sent": sent, "answered": answered, "lost": sent - answered },
            "rebinds": {
                "followed": tally.moves, "median_ms": ms(median), "slowest_ms": ms(slowest),
            },
            "rekeys": { "ike": tally.ike_rekeys, "child": tally.child_rekeys },
            "tunnels_down": tally.downs,
            "failures": tally.failures,
        });
        Summary {
            lines,
            figures,
            checks: self.checks,
        }
    }

    /// Starts pings from a branch to the headquarters.
    fn ping(&self, number: u8, times: u32) -> anyhow::Result<Ping> {
        let lan = &self.branch(number).lan;
        Ping::start((&lan.inside, &lan.host()), SERVER, times)
    }

    /// Starts pings from the headquarters to a branch.
    fn ping_back(&self, number: u8, times: u32) -> anyhow::Result<Ping> {
        let host = self.branch(number).lan.host();
        Ping::start((&self.site.hq, SERVER), &host, times)
    }

    /// Starts pings between the headquarters and every branch, both ways.
    fn ping_all(&self, times: u32) -> anyhow::Result<Vec<Ping>> {
        let mut pings = Vec::new();
        for number in 1..=BRANCHES {
            pings.extend([self.ping(number, times)?, self.ping_back(number, times)?]);
        }
        Ok(pings)
    }

    /// Waits for pings and counts them; says whether none was lost.
    async fn count(&mut self, pings: Vec<Ping>) -> anyhow::Result<bool> {
        let mut whole = true;
        for ping in pings {
            let count = ping.count().await?;
            whole &= count.is_whole();
            self.pings.sent += count.sent;
            self.pings.answered += count.answered;
        }
        Ok(whole)
    }

    fn branch(&self, number: u8) -> &Branch {
        &self.branches[usize::from(number) - 1]
    }

    fn check(&mut self, fine: bool, what: &str) {
        self.checks.push(Check {
            what: what.to_owned(),
            fine,
        });
    }

    fn say(&self, text: &str) {
        if !self.silent {
            println!("{:>5.1} s  {text}", self.begin.elapsed().as_secs_f64());
        }
    }
}
