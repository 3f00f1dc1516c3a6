//! The networks of the case: `hq -- inet -- nat N -- branch N`.

use super::command::{command, run};
use super::netns::Namespace;

/// The gateway's outer address, as in `configs/hq.cfg`.
pub(super) const HQ: &str = "192.0.2.1";
/// The host at the headquarters that is pinged.
pub(super) const SERVER: &str = "192.168.100.1";
/// A router that is no NAT's friend: unknown datagrams are not even refused.
const NAT: &str = "table ip nat {
    chain post { type nat hook postrouting priority 100; oifname wan masquerade fully-random; }
    chain unknown { type filter hook input priority 0; iifname wan meta l4proto udp drop; }
}";

/// The headquarters and the router between everybody.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) hq: Namespace,
    inet: Namespace,
}

/// A branch's networks.
#[derive(Debug)]
pub(super) struct Lan {
    pub(super) inside: Namespace,
    nat: Namespace,
    number: u8,
}

impl Site {
    pub(super) async fn build() -> anyhow::Result<Self> {
        let (hq, inet) = (Namespace::new("hq").await?, Namespace::new("inet").await?);
        hq.join(("wan", "192.0.2.1/24"), &inet, ("hq", "192.0.2.254/24"))
            .await?;
        hq.ip("route add default via 192.0.2.254").await?;
        hq.ip(&format!("addr add {SERVER}/24 dev lo")).await?;
        Ok(Self { hq, inet })
    }

    /// Interfaces, rules and routes of the headquarters.
    pub(super) async fn traces(&self) -> anyhow::Result<String> {
        let mut traces = String::new();
        for list in ["-br link show", "-4 rule show", "-4 route show table all"] {
            traces += &self.hq.ip(list).await?;
        }
        Ok(traces)
    }

    /// Adds a branch. Each has the private address of the case, behind its NAT.
    pub(super) async fn add(&self, number: u8) -> anyhow::Result<Lan> {
        let inside = Namespace::new(&format!("branch{number}")).await?;
        let nat = Namespace::new(&format!("nat{number}")).await?;
        let lan = Lan {
            inside,
            nat,
            number,
        };
        let (port, outside) = (
            format!("nat{number}"),
            format!("198.51.100.{}/30", number * 4 + 2),
        );
        let router = (port.as_str(), &*format!("{}/30", lan.router()));
        lan.nat.join(("wan", &outside), &self.inet, router).await?;
        let host = ("wan", "192.168.1.100/24");
        lan.nat
            .join(("lan", "192.168.1.1/24"), &lan.inside, host)
            .await?;
        lan.nat_route().await?;
        lan.inside.ip("route add default via 192.168.1.1").await?;
        lan.inside
            .ip(&format!("addr add {}/24 dev lo", lan.host()))
            .await?;
        run(lan.nat.command("nft").arg(NAT)).await?;
        Ok(lan)
    }
}

impl Lan {
    /// The host at the branch that pings.
    pub(super) fn host(&self) -> String {
        format!("172.16.{}.1", self.number)
    }

    /// The network behind the branch.
    pub(super) fn network(&self) -> String {
        format!("172.16.{}.0/24", self.number)
    }

    /// The NAT forgets its mappings: what the branch sends next leaves from another port.
    pub(super) async fn rebind(&self) -> anyhow::Result<()> {
        if run(command("conntrack").arg("--version")).await.is_ok() {
            run(self.nat.command("conntrack").arg("-F")).await?;
        } else {
            // As when a router dials in anew: masquerading forgets what an interface had that
            // went down.
            self.nat.ip("link set wan down").await?;
            self.nat.ip("link set wan up").await?;
            self.nat_route().await?;
        }
        Ok(())
    }

    async fn nat_route(&self) -> anyhow::Result<()> {
        let router = self.router();
        self.nat
            .ip(&format!("route add default via {router}"))
            .await?;
        Ok(())
    }

    fn router(&self) -> String {
        format!("198.51.100.{}", self.number * 4 + 1)
    }
}
