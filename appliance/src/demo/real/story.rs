//! What happens, step by step, and what should come of it.

use super::branch::Branch;
use super::command::eventually;
use super::gateway::Gateway;
use super::ping::{Count, Ping};
use super::site::{SERVER, Site};
use crate::demo::figures::{Figures, ms};
use crate::demo::summary::{Check, Summary};
use serde_json::Value;
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
    /// What the headquarters' kernel had before the gateway.
    before: String,
    begin: Instant,
    silent: bool,
    figures: Figures,
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
        let before = site.traces().await?;
        let gateway = Gateway::start(&site.hq, dir).await?;
        let story = Self {
            gateway,
            branches,
            site,
            before,
            begin,
            silent,
            figures: Figures::default(),
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
        for number in 1..=BRANCHES {
            let branch = self.branch(number);
            let network = branch.lan.network();
            let before = self.gateway.endpoint(&network).await?;
            branch.lan.rebind().await?;
            let first = self.ping(number, 1)?.count().await?;
            let after = self.gateway.endpoint(&network).await?;
            self.add(first);
            let text = match (first.rtt, after) {
                (Some(rtt), Some(to)) if before.as_ref() != Some(&to) => {
                    self.figures.followed.push(rtt);
                    format!("followed to {to}, answered after {:.1} ms", ms(rtt))
                }
                _ => {
                    self.figures.unfollowed += 1;
                    "not followed".to_owned()
                }
            };
            self.say(&format!("the NAT of branch {number} forgot: {text}"));
        }
        let figures = &self.figures;
        let quick = figures.unfollowed == 0 && figures.slowest() <= FOLLOW_WITHIN;
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
        let Figures {
            ike_rekeys,
            child_rekeys,
            ..
        } = self.gateway.figures().await?;
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
        let counted = self.gateway.figures().await?;
        self.check(counted.failures.is_empty(), "no handshake failed");
        let ended = self.gateway.stop().await?;
        let clean = self.site.traces().await? == self.before;
        self.check(
            ended.success() && clean,
            "the gateway left no interface, route or rule behind",
        );
        let mut told = true;
        for branch in &self.branches {
            told &= branch.is_down().await?;
        }
        self.check(told, "and told every branch");
        self.say("the gateway has ended\n");
        Ok(Summary {
            figures: Figures {
                length: self.begin.elapsed(),
                branches: BRANCHES.into(),
                up: usize::try_from(up)?,
                handshakes: counted.handshakes,
                ike_rekeys: counted.ike_rekeys,
                child_rekeys: counted.child_rekeys,
                failures: counted.failures,
                downs: counted.downs,
                ..self.figures
            },
            lines: Vec::new(),
            details: Value::Null,
            checks: self.checks,
        })
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
            self.add(count);
        }
        Ok(whole)
    }

    fn add(&mut self, count: Count) {
        self.figures.sent += count.sent;
        self.figures.answered += count.answered;
        self.figures.lost += count.sent - count.answered;
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
