//! `hawser explain PEER`.

use super::Health;
use super::client::{Call, ask};
use super::peer::Target;
use super::table::ago;
use crate::admin::api::Explanation;
use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Why a peer dropped.
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    target: Target,
    /// The last drop at or before this time: 2023-11-08T02:36:03Z, or without Z in local time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
}

/// A time as people write it.
pub(super) fn time(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Ok(stamp);
    }
    let civil: DateTime = text
        .parse()
        .context("not a time such as 2023-11-08T02:36:03Z")?;
    Ok(TimeZone::system().to_timestamp(civil)?)
}

impl Explain {
    pub(super) fn perform(&self) -> anyhow::Result<Health> {
        let at = self.at.map(|at| at.as_millisecond().to_string());
        let mut call = Call::get("/v1/peer/explain").with("peer", &self.target.peer);
        if let Some(at) = &at {
            call = call.with("at", at);
        }
        let told: Explanation = ask(&self.target.remote, &call)?;
        self.target.say(&text(&told))?;
        Ok(Health::when(told.peer.status == "up"))
    }
}

fn text(told: &Explanation) -> String {
    let mut out = head(told);
    if let Some(finding) = &told.finding {
        let (verdict, sure) = (finding.verdict, finding.confidence);
        out += &format!("\nverdict  {verdict} ({sure} confidence)\n");
        for evidence in &finding.evidence {
            out += &wrapped("  for      ", evidence);
        }
        for against in &finding.against {
            out += &wrapped("  against  ", against);
        }
        out += &wrapped("branch   ", &finding.advice_branch);
        out += &wrapped("here     ", &finding.advice_headquarters);
    }
    out += "\n";
    if told.left_out > 0 {
        out += &format!("{:12}  ({} lines before these)\n", "", told.left_out);
    }
    let mut day = "";
    for row in &told.timeline {
        let (date, time) = row.time.split_once('T').unwrap_or(("", &row.time));
        if date != day {
            out += &format!("{date}\n");
            day = date;
        }
        let time = time.trim_end_matches('Z');
        out += &wrapped(&format!("{time:12}  "), &row.text);
    }
    if let Some(gaps) = &told.gaps {
        out += &wrapped("", gaps);
    }
    out + &earlier(told)
}

fn head(told: &Explanation) -> String {
    let peer = &told.peer;
    let networks = peer.networks.join(" ");
    let now = match peer.since_s {
        Some(s) => format!("{} for {}", peer.status, ago(s)),
        None => format!("{}, never seen", peer.status),
    };
    let dropped = match (&told.dropped, told.kept) {
        (Some(time), _) => format!("dropped {time}"),
        (None, true) => "no drop is known".to_owned(),
        (None, false) => "no drop is recorded, and none is kept in a file".to_owned(),
    };
    format!(
        "{} ({}) of {}, {networks}: {now}; {dropped}\n",
        peer.identity, peer.endpoint, peer.tenant
    )
}

fn earlier(told: &Explanation) -> String {
    if told.earlier.is_empty() {
        return String::new();
    }
    let mut out = "\nearlier drops\n".to_owned();
    for row in &told.earlier {
        let cause = row.cause.as_deref().unwrap_or("-");
        out += &format!("{}  {} ({cause})\n", row.time, row.verdict);
    }
    out
}

/// A text in lines of a terminal, behind a word.
fn wrapped(head: &str, text: &str) -> String {
    const WIDTH: usize = 110;
    let indent = " ".repeat(head.chars().count());
    let (mut out, mut line) = (head.to_owned(), head.chars().count());
    for (n, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if n > 0 && line + 1 + length > WIDTH {
            out += &format!("\n{indent}");
            line = indent.len();
        } else if n > 0 {
            out.push(' ');
            line += 1;
        }
        out += word;
        line += length;
    }
    out + "\n"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(
            time("2023-11-08T02:36:03Z").unwrap().as_second(),
            1_699_410_963
        );
        assert!(time("2023-11-08T02:36:03").is_ok());
        assert!(time("2023-11-08 02:36").is_ok());
        assert!(time("yesterday").is_err());
    }

    #[test]
    fn long_sentences_are_wrapped_under_their_beginning() {
        let text = wrapped("branch   ", &"word ".repeat(40));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].starts_with("         word"));
        assert!(lines.iter().all(|l| l.len() <= 110));
    }
}
