//! What the pings of a run say: directions that are dead for ever, and calm seconds that were answered.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::diary::Disturbance;
use crate::ping::Echo;

/// So long after a fault's end the tunnel must work.
const RECOVERY: Duration = Duration::from_secs(10);
/// A direction with no answer in this time before the end is dead.
const LAST: Duration = Duration::from_secs(20);

/// One direction of one branch.
#[derive(Debug)]
pub struct Direction {
    /// From where to where.
    pub route: String,
    /// Its calm seconds.
    pub calm: usize,
    /// Those that were not answered.
    pub lost: Vec<SystemTime>,
    /// Nothing was answered at the end.
    pub stuck: bool,
}

/// Every direction of a run.
#[derive(Debug)]
pub struct Score(pub Vec<Direction>);

impl Direction {
    /// When a branch was last heard that is `silent` at the end: it says nothing and its NAT has forgotten it, so nobody can
    /// reach it. Until then it is judged as any other.
    pub fn last_heard(echoes: &[Echo], silent: bool, end: SystemTime) -> SystemTime {
        let answered = echoes.iter().filter(|echo| echo.answered);
        let last = answered.map(|echo| echo.sent).max();
        last.filter(|_| silent).map_or(end, |at| at.min(end))
    }

    /// Judges what became of the echo requests of one direction from the moment `up`, when every tunnel was up, to `end`.
    pub fn judge(
        route: &str,
        echoes: &[Echo],
        disturbances: &[Disturbance],
        up: SystemTime,
        end: SystemTime,
    ) -> Self {
        let disturbed = |at: SystemTime| {
            disturbances
                .iter()
                .any(|one| one.from <= at + Duration::from_secs(1) && at < one.to + RECOVERY)
        };
        let calm: Vec<&Echo> = echoes
            .iter()
            .filter(|echo| (up..end).contains(&echo.sent) && !disturbed(echo.sent))
            .collect();
        let mut last = echoes
            .iter()
            .filter(|echo| (end - LAST..end).contains(&echo.sent));
        Self {
            route: route.to_owned(),
            calm: calm.len(),
            lost: calm
                .iter()
                .filter(|echo| !echo.answered)
                .map(|echo| echo.sent)
                .collect(),
            stuck: !last.any(|echo| echo.answered),
        }
    }
}

impl Score {
    /// Directions that are dead.
    pub fn stuck(&self) -> usize {
        self.0.iter().filter(|direction| direction.stuck).count()
    }

    /// Per cent of the calm seconds that were answered.
    pub fn answered(&self) -> f64 {
        let calm: usize = self.0.iter().map(|direction| direction.calm).sum();
        let lost: usize = self.0.iter().map(|direction| direction.lost.len()).sum();
        100.0 * (calm - lost) as f64 / calm.max(1) as f64
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for direction in self
            .0
            .iter()
            .filter(|one| one.stuck || !one.lost.is_empty())
        {
            let Direction {
                route,
                calm,
                lost,
                stuck,
            } = direction;
            let stuck = if *stuck { ", DEAD" } else { "" };
            writeln!(
                f,
                "{route}: {} of {calm} calm seconds lost{stuck}: {}",
                lost.len(),
                spans(lost)
            )?;
        }
        Ok(())
    }
}

/// `10:00:01+7` is seven seconds in a row.
fn spans(moments: &[SystemTime]) -> String {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for moment in moments {
        let Ok(since) = moment.duration_since(SystemTime::UNIX_EPOCH) else {
            continue;
        };
        let second = (since.as_millis() as u64 + 500) / 1000;
        match spans.last_mut() {
            Some((from, length)) if *from + *length + 1 >= second => *length = second - *from + 1,
            _ => spans.push((second, 1)),
        }
    }
    let text = |(from, length): &(u64, u64)| {
        let day = from % 86_400;
        format!(
            "{:02}:{:02}:{:02}+{length}",
            day / 3600,
            day / 60 % 60,
            day % 60
        )
    };
    spans.iter().map(text).collect::<Vec<_>>().join(" ")
}
