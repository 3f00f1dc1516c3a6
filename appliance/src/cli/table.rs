//! Aligned tables for people.

use std::fmt;

/// How a column is aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a heading, as wide as what is in them.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of one cell a column.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        let width = |(i, (name, _)): (usize, &(&str, Align))| {
            let cells = self.rows.iter().map(|r| r[i].chars().count());
            cells.chain([name.len()]).max().unwrap_or(0)
        };
        self.columns.iter().enumerate().map(width).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let heading: Vec<String> = self.columns.iter().map(|(n, _)| (*n).to_owned()).collect();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(&self.columns) {
                match align {
                    Align::Left => line.push_str(&format!("{cell:<width$}  ")),
                    Align::Right => line.push_str(&format!("{cell:>width$}  ")),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A length of time, short: `59s`, `3m20s`, `5h12m`, `3d4h`.
pub(super) fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Bytes, short: `999 B`, `1.2 kB`, `3.4 GB`.
pub(super) fn bytes(count: u64) -> String {
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB", "PB"] {
        if value < 999.95 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    format!("{value:.1} {unit}")
}

/// Octets a second as bits a second, short: `0`, `999 bit/s`, `1.2 Mbit/s`.
pub(super) fn rate(octets: f64) -> String {
    let mut value = octets * 8.0;
    let mut unit = "bit/s";
    for next in ["kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"] {
        if value < 999.95 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    match unit {
        _ if value < 0.5 => "0".to_owned(),
        "bit/s" => format!("{value:.0} {unit}"),
        _ => format!("{value:.1} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&[
            ("PEER", Align::Left),
            ("IN", Align::Right),
            ("NETS", Align::Left),
        ]);
        table.row(vec!["test".into(), "7 B".into(), "172.16.19.0/24".into()]);
        table.row(vec![
            "büro.branch.example".into(),
            "1.2 kB".into(),
            String::new(),
        ]);
        let want = "PEER                     IN  NETS\n\
                    test                    7 B  172.16.19.0/24\n\
                    büro.branch.example  1.2 kB\n";
        assert_eq!(table.to_string(), want);
    }

    #[test]
    fn lengths_and_sizes_are_short() {
        assert_eq!(
            [ago(59), ago(200), ago(18_720), ago(273_600)],
            ["59s", "3m20s", "5h12m", "3d4h"]
        );
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_234), "1.2 kB");
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!(bytes(3_400_000_000), "3.4 GB");
        assert_eq!(
            [rate(0.0), rate(3.0), rate(150_000.0)],
            ["0", "24 bit/s", "1.2 Mbit/s"]
        );
    }
}
