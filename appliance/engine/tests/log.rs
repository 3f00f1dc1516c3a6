//! The log, read where it was written.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../plugin/tests/fixtures/mod.rs"]
mod fixtures;

use common::{Site, branch, headquarters, log_file as file, shipped};
use fixtures::Fixture;
use hawser_engine::EngineHandle;
use hawser_plugin::{Cache, Hook, Options, Plugins, Scope, Source};
use hawser_policy::{LogLevel, LogOutput, LogSettings, Policy, SyslogServer};
use hawser_shard::io::{Command, PeerFilter, Reply};
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// Headquarters that log everything.
fn logging(outputs: Vec<LogOutput>) -> Policy {
    let mut policy = headquarters(1);
    policy.observability.log = LogSettings {
        level: Some(LogLevel::Debug),
        outputs,
        ..LogSettings::default()
    };
    policy
}

fn options(dir: &tempfile::TempDir) -> Options {
    Options {
        cache: Some(Cache::open(dir.path().join("plugins")).unwrap()),
        ..Options::default()
    }
}

fn load(plugins: &Plugins, source: &Source) {
    plugins
        .load(Hook::LogFormat, &Scope::global(), source)
        .unwrap();
}

/// So many events, one after the other: revisions of the configuration.
async fn apply(engine: &EngineHandle, policy: &Policy, times: usize) {
    for _ in 0..times {
        engine.apply(policy.clone()).await.unwrap();
    }
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

async fn up(engine: &EngineHandle) {
    let begin = Instant::now();
    loop {
        let replies = engine.command(Command::Show(PeerFilter::All)).await;
        if let Some((_, Reply::Show(views))) = replies.into_iter().next()
            && let Some(view) = views.into_iter().next()
        {
            engine.command(Command::Ping(view.line.device)).await;
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "no tunnel");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_format_goes_to_a_file_that_rotates() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let rotating = LogOutput::File {
        path: path.clone(),
        size: 4096,
        keep: 2,
    };
    let policy = logging(vec![rotating]);
    let hq = Site::with_log(policy.clone(), options(&dir));
    apply(&hq.engine, &policy, 300).await;
    hq.engine.shutdown().await;
    let older = |number| PathBuf::from(format!("{}.{number}", path.display()));
    assert!(!older(3).exists(), "more are kept than should be");
    let mut all = String::new();
    for name in [&older(2), &older(1), &path] {
        let text = read(name);
        assert!((1..=4096).contains(&text.len()), "{name:?}: {}", text.len());
        all += &text;
    }
    let lines: Vec<&str> = all.lines().collect();
    let revision = 301 - lines.len() + 1;
    for (line, revision) in lines.iter().zip(revision..) {
        let told = format!("  INFO configuration {revision} applied");
        assert!(line.ends_with(&told), "{revision}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_a_tunnel_as_the_case_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let hq = Site::with_log(logging(vec![file(&path)]), options(&dir));
    load(&hq.engine.plugins().unwrap(), &shipped("log-comware"));
    let _branch = Site::start(branch(1, hq.nat_port()));
    up(&hq.engine).await;
    hq.engine.shutdown().await;
    let text = read(&path);
    let ours = hq.engine.bound()[0].address.ip();
    for line in [
        "IPSEC/6/IPSEC_SA_ESTABLISH: -Context=1; IPsec SA was established.",
        "Send DPD packet.",
        "Exchange type: INFORMATIONAL",
        "IPSEC/6/IPSEC_SA_TERMINATE: -Context=1; IPsec SA was deleted.",
        "Reason: The reset command was executed.",
        "Role: responder",
        &format!("Local address: {ours}"),
        "Sour addr: 10.0.0.0/255.255.255.0 Port: 0 Protocol: IP",
        "Dest addr: 10.1.0.0/255.255.255.0 Port: 0 Protocol: IP",
    ] {
        assert!(
            text.lines().any(|l| l.ends_with(line)),
            "no {line} in:\n{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn swaps_and_faults_lose_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let policy = logging(vec![file(&path)]);
    let hq = Site::with_log(policy.clone(), options(&dir));
    let plugins = hq.engine.plugins().unwrap();
    // Whenever the first event is not that of the self-test.
    let mut traps = Fixture::log("traps");
    let begin = "(local $i i32)";
    let trap = "(if (i64.ne (i64.load (local.get 4)) (i64.const 1700000000000000000)) (then (unreachable)))";
    traps.body = traps.body.replacen(begin, &format!("{begin} {trap}"), 1);
    let traps = traps.source();
    for source in [
        shipped("log-json"),
        shipped("log-syslog"),
        traps,
        shipped("log-json"),
    ] {
        apply(&hq.engine, &policy, 40).await;
        load(&plugins, &source);
    }
    apply(&hq.engine, &policy, 40).await;
    plugins
        .unload(Hook::LogFormat, &Scope::global(), None)
        .unwrap();
    apply(&hq.engine, &policy, 40).await;
    hq.engine.shutdown().await;
    let text = read(&path);
    for revision in 2..=241 {
        let told = [
            format!("configuration {revision} applied"),
            format!("\"hawser.event.revision\":{revision}}}"),
            format!("revision=\"{revision}\""),
        ];
        let count = text
            .lines()
            .filter(|line| told.iter().any(|t| line.contains(t)))
            .count();
        assert_eq!(count, 1, "revision {revision}:\n{text}");
    }
    assert!(text.contains("disabled: traps 1.0.0"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_servers_get_messages_of_both_kinds() {
    let dir = tempfile::tempdir().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let path = dir.path().join("socket");
    let unix = UnixDatagram::bind(&path).unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    unix.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = udp.local_addr().unwrap().port();
    let policy = logging(vec![
        LogOutput::Syslog(SyslogServer::Udp("127.0.0.1".into(), port)),
        LogOutput::Syslog(SyslogServer::Unix(path)),
    ]);
    let hq = Site::with_log(policy.clone(), options(&dir));
    let both = || {
        let mut buffer = [0; 4096];
        let length = udp.recv(&mut buffer).unwrap();
        let one = String::from_utf8(buffer[..length].to_vec()).unwrap();
        let length = unix.recv(&mut buffer).unwrap();
        assert_eq!(one.as_bytes(), &buffer[..length]);
        one
    };
    apply(&hq.engine, &policy, 1).await;
    let message = both();
    assert!(
        message.starts_with("<30>1 ") && message.contains(" hawser "),
        "{message}"
    );
    assert!(
        message.ends_with(" - - configuration 2 applied"),
        "{message}"
    );
    load(&hq.engine.plugins().unwrap(), &shipped("log-syslog"));
    apply(&hq.engine, &policy, 1).await;
    assert!(both().contains(" plugin_changed [hawser@32473 "));
    let message = both();
    assert!(
        message.contains("[event@32473 revision=\"3\"]"),
        "{message}"
    );
    hq.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_reads_nothing_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let stuck = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stuck.local_addr().unwrap().port();
    let path = dir.path().join("log");
    let tcp = LogOutput::Syslog(SyslogServer::Tcp("127.0.0.1".into(), port));
    let name = tcp.to_string();
    let mut policy = logging(vec![tcp, file(&path)]);
    policy.observability.log.line = 65_536;
    let hq = Site::with_log(policy.clone(), options(&dir));
    // Every batch becomes one line of 60,000 octets.
    let mut long = Fixture::log("long");
    long.body = "(memory.fill (i32.const 524288) (i32.const 0x78) (i32.const 60000))
        (i32.store8 (i32.const 584288) (i32.const 10))
        (i32.store (i32.const 604) (i32.const 524288))
        (i32.store (i32.const 608) (i32.const 60001))
        (global.set $bump (i32.const 65536)) (i32.const 600)"
        .into();
    load(&hq.engine.plugins().unwrap(), &long.source());
    for _ in 0..300 {
        let before = fs::metadata(&path).map_or(0, |m| m.len());
        apply(&hq.engine, &policy, 1).await;
        eventually("the file gets its line", || {
            fs::metadata(&path).is_ok_and(|m| m.len() > before)
        })
        .await;
    }
    let text = hq.engine.render_metrics().await;
    let counted = |metric: &str, output: &str| -> u64 {
        let begin = format!("{metric}{{output=\"{output}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&begin));
        line.unwrap_or_else(|| panic!("no {begin} in {text}"))
            .parse()
            .unwrap()
    };
    let to_file = format!("file:{}", path.display());
    assert_eq!(counted("hawser_log_dropped_lines_total", &to_file), 0);
    assert!(counted("hawser_log_dropped_lines_total", &name) > 0);
    let begin = Instant::now();
    hq.engine.shutdown().await;
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "it waited for the server"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_gets_what_waited_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let first = UnixDatagram::bind(&path).unwrap();
    let policy = logging(vec![LogOutput::Syslog(SyslogServer::Unix(path.clone()))]);
    let hq = Site::with_log(policy.clone(), options(&dir));
    apply(&hq.engine, &policy, 1).await;
    let mut buffer = [0; 4096];
    first.recv(&mut buffer).unwrap();
    drop(first);
    fs::remove_file(&path).unwrap();
    apply(&hq.engine, &policy, 3).await;
    let second = UnixDatagram::bind(&path).unwrap();
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all = Vec::new();
    while !all
        .iter()
        .any(|line: &String| line.contains("takes lines again"))
    {
        let length = second.recv(&mut buffer).unwrap();
        all.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    for revision in 3..=5 {
        let told = format!("configuration {revision} applied");
        assert!(
            all.iter().any(|line| line.ends_with(&told)),
            "{told}: {all:#?}"
        );
    }
    assert!(
        all.iter().any(|line| line.contains("does not take lines")),
        "{all:#?}"
    );
    hq.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_change_with_the_configuration_and_levels_and_rates_hold() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let mut policy = logging(vec![file(&one)]);
    let hq = Site::with_log(policy.clone(), options(&dir));
    apply(&hq.engine, &policy, 1).await;
    eventually("the first file", || {
        read(&one).ends_with("configuration 2 applied\n")
    })
    .await;
    policy.observability.log.outputs = vec![file(&two)];
    apply(&hq.engine, &policy, 1).await;
    eventually("the second file", || {
        read(&two).ends_with("configuration 3 applied\n")
    })
    .await;
    policy.observability.log.level = Some(LogLevel::Warning);
    apply(&hq.engine, &policy, 5).await;
    // What is grave enough tells that those before it have passed.
    let plugins = hq.engine.plugins().unwrap();
    let refused = plugins.load(Hook::DpdPolicy, &Scope::global(), &Source::default());
    assert!(refused.is_err());
    eventually("the warning", || read(&two).contains("load failed")).await;
    policy.observability.log.level = Some(LogLevel::Info);
    policy.observability.log.rate = 3;
    let begin = Instant::now();
    while !read(&two).contains("events are not in the log: too many at once") {
        apply(&hq.engine, &policy, 1).await;
        assert!(begin.elapsed() < PATIENCE, "{}", read(&two));
    }
    let text = hq.engine.render_metrics().await;
    hq.engine.shutdown().await;
    assert_eq!(read(&one).lines().count(), 1, "{}", read(&one));
    let text_two = read(&two);
    assert!(!text_two.contains("configuration 4 applied"), "{text_two}");
    assert!(
        !text.contains("left_out_events_total{reason=\"rate\"} 0"),
        "{text}"
    );
}
