//! The demo's picture: redrawn in place on a terminal, a line every few seconds elsewhere.

use super::Options;
use super::board::{Board, Branch, State, name};
use super::headquarters::{Headquarters, Totals};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;
use tokio::time::Instant;

/// Width of a cell of the grid, the space behind it included.
const CELL: usize = 26;
/// Width of a terminal that does not say how wide it is.
const WIDTH: u16 = 80;

/// How the picture is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Redrawn in place.
    Terminal,
    /// A line now and then.
    Lines,
    /// Not at all.
    Quiet,
}

/// Where the picture is shown.
pub(super) struct Screen {
    mode: Mode,
    begin: Instant,
    length: Option<Duration>,
}

impl Screen {
    pub(super) fn new(options: &Options) -> Self {
        let mode = match (options.json, io::stdout().is_terminal()) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Terminal,
            (false, false) => Mode::Lines,
        };
        let length = (!options.keep).then_some(options.length);
        Self {
            mode,
            begin: Instant::now(),
            length,
        }
    }

    /// Time between two pictures.
    pub(super) fn interval(&self) -> Duration {
        match (self.mode, self.length) {
            (Mode::Terminal, _) => Duration::from_millis(250),
            (_, Some(length)) => length / 8,
            (_, None) => Duration::from_secs(3),
        }
    }

    /// Draws it.
    pub(super) async fn draw(&self, board: &Board, headquarters: &Headquarters) -> io::Result<()> {
        let elapsed = self.begin.elapsed();
        let branches = board.snapshot();
        let gateway = headquarters.totals().await;
        let mut out = io::stdout().lock();
        match self.mode {
            Mode::Quiet => Ok(()),
            Mode::Lines => {
                let line = summary(&branches, &gateway);
                writeln!(out, "{:>5.1} s  {line}", elapsed.as_secs_f64())
            }
            Mode::Terminal => {
                let of = self
                    .length
                    .map_or_else(String::new, |l| format!(" of {}", l.as_secs()));
                let title = format!(
                    "hawser demo   {:.0}{of} s   gateway {}\n\
                     branch, state, port outside of its NAT, pings answered, +rebinds followed; \
                     * says it is `test`\n\n",
                    elapsed.as_secs_f64(),
                    headquarters.address,
                );
                let summary = summary(&branches, &gateway).replace("   moves", "\nmoves");
                let picture = title + &grid(&branches, columns()) + "\n" + &summary + "\n";
                // Home, each line erased to its end, then everything below.
                out.write_all(
                    format!("\x1b[H{}\x1b[J", picture.replace('\n', "\x1b[K\n")).as_bytes(),
                )?;
                out.flush()
            }
        }
    }
}

/// How many cells stand side by side.
fn columns() -> usize {
    let width = rustix::termios::tcgetwinsize(io::stdout()).map_or(WIDTH, |size| size.ws_col);
    (usize::from(width) / CELL).max(1)
}

/// One cell a branch: name, state, port outside of its NAT, pings answered, rebinds, rekeys.
fn grid(branches: &[(u8, Branch)], columns: usize) -> String {
    let rows = branches.len().div_ceil(columns);
    let mut out = String::new();
    for row in 0..rows {
        let cells = branches.iter().skip(row).step_by(rows.max(1));
        for (number, branch) in cells {
            let _ = write!(out, "{}", cell(*number, branch));
        }
        out.push('\n');
    }
    out
}

fn cell(number: u8, branch: &Branch) -> String {
    let (color, word) = match branch.state {
        State::Connecting => (33, "calls"),
        State::Up => (32, "up"),
        State::Dark => (33, "dark"),
        State::Dead => (31, "dead"),
    };
    let port = branch
        .port
        .map_or_else(|| "-".to_owned(), |p| p.to_string());
    let moves = match branch.followed.len() {
        0 => String::new(),
        n => format!("+{n}"),
    };
    let (name, answered) = (name(number), branch.pings.answered);
    format!("{name} \x1b[{color}m{word:<5}\x1b[0m {port:>5} {answered:>4} {moves:<3} ")
}

/// Everything in one line.
fn summary(branches: &[(u8, Branch)], gateway: &Totals) -> String {
    let up = branches
        .iter()
        .filter(|(_, b)| b.state == State::Up)
        .count();
    let (mut sent, mut answered, mut lost) = (0, 0, 0);
    for (_, branch) in branches {
        sent += branch.pings.sent;
        answered += branch.pings.answered;
        lost += branch.pings.lost;
    }
    let drops: u64 = gateway.drops.values().sum();
    format!(
        "{up}/{} up   handshakes {}   pings {answered}/{sent}, lost {lost}   moves {}   rekeys {} IKE, {} child   drops {drops}",
        branches.len(),
        gateway.handshakes,
        gateway.moves,
        gateway.ike_rekeys,
        gateway.child_rekeys,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_branches_fit_a_screen() {
        let board = Board::new(50);
        let grid = grid(&board.snapshot(), 3);
        assert_eq!(grid.lines().count(), 17);
        assert!(grid.contains("b50") && grid.contains("b01*"));
    }
}
