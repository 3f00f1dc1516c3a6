//! The metrics are well-formed, and every panel of every dashboard gets an answer from a real Prometheus.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Scenario, connect, expect_pings, scenario};
use crate::command::{eventually, run_with_input};
use crate::http::get;
use crate::netns::Namespace;
use crate::rig::Rig;
use crate::site::{METRICS, Site, TO_HQ};

const PROMETHEUS: &str = "127.0.0.1:9090";
/// Enough scrapes, one a second, for every rate.
const SCRAPED: &str = "count_over_time(up[1m]) >= 5";
/// Prometheus takes its time before it begins.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn scenarios() -> Vec<Scenario> {
    vec![scenario("metrics::prometheus-and-dashboards", prometheus).hawser_only()]
}

fn prometheus(rig: &Rig) -> Result<()> {
    let site = Site::default();
    let branch = rig.branch(1)?;
    let (headquarters, strongswan) = connect(rig, &site, &branch)?;
    // Panels of plugins have an answer where there is one.
    headquarters
        .hawser()?
        .text(&["plugin", "load", "dpd-case", "--for", "dpd-policy"])?;
    let text = get(&rig.hq, METRICS, "/metrics")?;
    run_with_input(rig.hq.command("promtool").args(["check", "metrics"]), &text)?;
    let _prometheus = Prometheus::start(rig)?;
    strongswan.rekey_child()?;
    strongswan.rekey_ike(TO_HQ)?;
    eventually("Prometheus has scraped a few times", PATIENCE, || {
        Ok(series(&query(&rig.hq, SCRAPED)?) > 0)
    })?;
    expect_pings(rig, &site, &branch)?;
    let dashboards = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/grafana");
    let mut panels = 0;
    for path in dashboards_below(&dashboards)? {
        let dashboard: Value = serde_json::from_slice(&fs::read(&path)?)
            .with_context(|| path.display().to_string())?;
        panels += answered_panels(&rig.hq, &dashboard["panels"])
            .with_context(|| path.display().to_string())?;
    }
    ensure!(
        panels > 0,
        "no panel with a query below {}",
        dashboards.display()
    );
    Ok(())
}

/// Every panel's queries have an answer with at least one series; returns the number of queries.
fn answered_panels(ns: &Namespace, panels: &Value) -> Result<usize> {
    let mut queries = 0;
    for panel in panels.as_array().into_iter().flatten() {
        queries += answered_panels(ns, &panel["panels"])?;
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"]
                .as_str()
                .with_context(|| format!("a target without expr in {}", panel["title"]))?;
            let answer = query(ns, expression)
                .with_context(|| format!("panel {}: {expression}", panel["title"]))?;
            ensure!(
                answer["status"] == "success" && series(&answer) > 0,
                "panel {}: {expression}: {answer}",
                panel["title"]
            );
            queries += 1;
        }
    }
    Ok(queries)
}

/// How many series an answer has.
fn series(answer: &Value) -> usize {
    answer["data"]["result"].as_array().map_or(0, Vec::len)
}

/// Asks as Grafana would, its variables filled in.
fn query(ns: &Namespace, expression: &str) -> Result<Value> {
    let filled = expression
        .replace("$__rate_interval", "10s")
        .replace("$__interval", "10s")
        .replace("$__range", "1m");
    let filled = regex_variables(&filled);
    let encoded: String = filled.bytes().map(|byte| format!("%{byte:02X}")).collect();
    serde_json::from_str(&get(
        ns,
        PROMETHEUS,
        &format!("/api/v1/query?query={encoded}"),
    )?)
    .context("Prometheus' answer")
}

/// Grafana's own variables (`$tenant`, `${tenant}`) stand in regular expressions: all of them.
fn regex_variables(expression: &str) -> String {
    let mut parts = expression.split('$');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part
            .trim_start_matches('{')
            .trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        filled += ".*";
        filled += rest.strip_prefix('}').unwrap_or(rest);
    }
    filled
}

fn dashboards_below(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(dashboards_below(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            found.push(path);
        }
    }
    Ok(found)
}

/// A running Prometheus that scrapes Hawser every second.
struct Prometheus(Child);

impl Prometheus {
    fn start(rig: &Rig) -> Result<Self> {
        let dir = rig.dir("prometheus")?;
        let config = dir.join("prometheus.yml");
        fs::write(
            &config,
            format!(
                "global: {{ scrape_interval: 1s }}\n\
                 scrape_configs: [{{ job_name: hawser, static_configs: [{{ targets: ['{METRICS}'] }}] }}]\n"
            ),
        )?;
        let mut command = rig.hq.command("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!(
            "--storage.tsdb.path={}",
            dir.join("data").display()
        ));
        command.arg(format!("--web.listen-address={PROMETHEUS}"));
        let prometheus = Self(rig.hq.spawn(&mut command, &dir.join("prometheus.log"))?);
        eventually("Prometheus is ready", PATIENCE, || {
            get(&rig.hq, PROMETHEUS, "/-/ready").map(|_| true)
        })?;
        Ok(prometheus)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
