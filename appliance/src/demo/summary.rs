//! What a demo came to: figures in lines, and whether everything was as it should be.

use super::figures::Figures;
use crate::cli::Health;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// One thing that should be.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) what: String,
    pub(super) fine: bool,
}

/// What a demo came to.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) figures: Figures,
    /// What this demo has to say beyond them, for people: a name and a text.
    pub(super) lines: Vec<(&'static str, String)>,
    /// The same for programs, an object.
    pub(super) details: Value,
    pub(super) checks: Vec<Check>,
}

impl Summary {
    /// Prints it and says whether everything was as it should be.
    pub(super) fn print(&self, as_json: bool) -> io::Result<Health> {
        let text = if as_json {
            format!("{:#}\n", self.document())
        } else {
            self.text()
        };
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(Health::when(self.is_fine()))
    }

    fn is_fine(&self) -> bool {
        self.checks.iter().all(|c| c.fine)
    }

    fn document(&self) -> Value {
        let checks: Vec<_> = self
            .checks
            .iter()
            .map(|c| json!({ "check": c.what, "ok": c.fine }))
            .collect();
        let mut document = self.figures.document();
        for (name, detail) in self.details.as_object().into_iter().flatten() {
            document[name] = detail.clone();
        }
        document["version"] = json!(1);
        document["ok"] = json!(self.is_fine());
        document["checks"] = json!(checks);
        document
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for (name, text) in self.figures.lines().iter().chain(&self.lines) {
            let _ = writeln!(out, "{name:<12} {text}");
        }
        for Check { what, fine } in &self.checks {
            let mark = if *fine { "ok  " } else { "FAIL" };
            let _ = writeln!(out, "{mark}  {what}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_check_that_fails_fails_the_demo() {
        let check = |fine| Check {
            what: "the sky is blue".to_owned(),
            fine,
        };
        let mut summary = Summary {
            figures: Figures::default(),
            lines: vec![("drops", "none".to_owned())],
            details: json!({ "drops": {} }),
            checks: vec![check(true)],
        };
        let text = summary.text();
        assert!(text.starts_with("branches     0 of 0 up"), "{text}");
        let end = "drops        none\nok    the sky is blue\n";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(summary.document()["ok"], true);
        summary.checks.push(check(false));
        assert!(summary.text().ends_with("FAIL  the sky is blue\n"));
        let document = summary.document();
        assert_eq!(
            (&document["ok"], &document["up"]),
            (&json!(false), &json!(0))
        );
        assert_eq!(document["drops"], json!({}));
        assert_eq!(document["checks"][1]["ok"], false);
    }
}
