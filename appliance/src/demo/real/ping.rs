//! Pings, counted.

use super::command;
use super::netns::Namespace;
use anyhow::Context as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::timeout;

/// A ping that runs; it ends by itself.
pub(super) struct Ping(Child);

/// What became of pings.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Count {
    pub(super) sent: u64,
    pub(super) answered: u64,
    /// Of the quickest.
    pub(super) rtt: Option<Duration>,
}

impl Count {
    /// Whether there were some and none was lost.
    pub(super) fn is_whole(&self) -> bool {
        self.sent > 0 && self.sent == self.answered
    }
}

impl Ping {
    /// Pings `times` times, 50 ms apart.
    pub(super) fn start(from: (&Namespace, &str), to: &str, times: u32) -> anyhow::Result<Self> {
        let (namespace, source) = from;
        let mut ping = namespace.command("ping");
        ping.args(["-n", "-q", "-i", "0.05", "-W", "1", "-I", source])
            .args(["-c", &times.to_string(), to])
            .stdout(Stdio::piped());
        Ok(Self(ping.spawn().context("ping does not start")?))
    }

    /// Waits for its end and counts.
    pub(super) async fn count(self) -> anyhow::Result<Count> {
        let output = timeout(command::WITHIN, self.0.wait_with_output()).await;
        let output = output.context("ping took too long")??;
        let text = String::from_utf8_lossy(&output.stdout);
        parse(&text).with_context(|| format!("ping said {text}"))
    }
}

/// Reads ping's last lines.
fn parse(text: &str) -> Option<Count> {
    let line = text.lines().find(|l| l.contains(" packets transmitted"))?;
    let mut numbers = line
        .split(',')
        .map(|part| part.trim().split(' ').next()?.parse().ok());
    let (sent, answered) = (numbers.next()??, numbers.next()??);
    let rtt = text.lines().find_map(|l| l.split_once(" = "));
    let rtt = rtt.and_then(|(_, times)| times.split('/').next()?.parse::<f64>().ok());
    Some(Count {
        sent,
        answered,
        rtt: rtt.map(|ms| Duration::from_secs_f64(ms / 1000.0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_ping_are_understood() {
        let text = "PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.\n\n--- ping statistics ---\n\
                    60 packets transmitted, 59 received, +1 duplicates, 1% packet loss, time 2ms\n\
                    rtt min/avg/max/mdev = 0.500/0.700/0.900/0.010 ms\n";
        let count = Count {
            sent: 60,
            answered: 59,
            rtt: Some(Duration::from_micros(500)),
        };
        assert_eq!(parse(text), Some(count));
        let none = "1 packets transmitted, 0 received, 100% packet loss, time 0ms\n";
        assert_eq!(
            parse(none).map(|c| (c.is_whole(), c.rtt)),
            Some((false, None))
        );
        assert_eq!(parse("ping: unknown host"), None);
    }
}
