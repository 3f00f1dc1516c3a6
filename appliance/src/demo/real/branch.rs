//! strongSwan at a branch.

use super::command::{command, eventually, run, start};
use super::site::{HQ, Lan};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Child;
use tokio::time::Instant;

/// kernel-libipsec before kernel-netlink: ESP in its own process, whatever the kernel has.
const PLUGINS: &str = "random nonce aes sha1 sha2 hmac pem openssl gmp kdf kernel-libipsec \
                       kernel-netlink socket-default vici updown";
/// How long a start and a handshake may take.
const WITHIN: Duration = Duration::from_secs(10);

/// A running charon; dropped, it is killed.
pub(super) struct Branch {
    _charon: Child,
    pub(super) lan: Lan,
    conf: PathBuf,
    vici: String,
}

impl Branch {
    /// Starts charon with its files in `dir`.
    pub(super) async fn start(lan: Lan, name: &str, dir: &Path) -> anyhow::Result<Self> {
        let conf = dir.join(format!("{name}.conf"));
        let vici = format!("unix://{}/{name}.vici", dir.display());
        fs::write(&conf, daemon_conf(&vici))?;
        let connection = dir.join(format!("{name}.swanctl"));
        fs::write(&connection, connection_conf(&lan.network()))?;
        let mut charon = lan.inside.command("charon-systemd");
        charon.env("STRONGSWAN_CONF", &conf).current_dir(dir);
        let branch = Self {
            _charon: start(&mut charon, &dir.join(format!("{name}.log")))?,
            lan,
            conf,
            vici,
        };
        eventually("charon answers swanctl", WITHIN, async || {
            branch.swanctl("--stats").await.map(|_| true)
        })
        .await?;
        let file = connection.display();
        branch.swanctl(&format!("--load-all --file {file}")).await?;
        Ok(branch)
    }

    /// Calls the gateway, and how long the tunnel took.
    pub(super) async fn connect(&self) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let timeout = WITHIN.as_secs() - 1;
        self.swanctl(&format!("--initiate --child net --timeout {timeout}"))
            .await?;
        Ok(begin.elapsed())
    }

    /// Runs `swanctl LINE`.
    pub(super) async fn swanctl(&self, line: &str) -> anyhow::Result<String> {
        let mut swanctl = command("swanctl");
        swanctl.env("STRONGSWAN_CONF", &self.conf);
        let words = line.split_whitespace();
        run(swanctl.args(words).args(["--uri", &self.vici])).await
    }

    /// Whether it holds no IKE SA.
    pub(super) async fn is_down(&self) -> anyhow::Result<bool> {
        let listed = self.swanctl("--list-sas --raw").await?;
        Ok(!listed.contains("responder-spi="))
    }
}

fn daemon_conf(vici: &str) -> String {
    format!(
        "charon-systemd {{
 load = {PLUGINS}
 plugins {{
  vici {{
   socket = {vici}
  }}
 }}
 filelog {{
  stderr {{
   flush_line = yes
  }}
 }}
}}
"
    )
}

/// The branch of the case: AES-CBC with SHA-1, and the name that every branch has.
fn connection_conf(network: &str) -> String {
    format!(
        "connections {{
 hq {{
  version = 2
  remote_addrs = {HQ}
  proposals = aes128-sha1-modp1024
  local {{
   auth = psk
   id = test
  }}
  remote {{
   auth = psk
   id = {HQ}
  }}
  children {{
   net {{
    local_ts = {network}
    remote_ts = 192.168.100.0/24
    esp_proposals = aes128-sha1
   }}
  }}
 }}
}}
secrets {{
 ike-hq {{
  id = {HQ}
  secret = test
 }}
}}
"
    )
}
