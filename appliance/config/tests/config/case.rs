//! The configuration of the case, in both languages and as it was published.

use crate::common::{CASE, HQ, comware, picture, policy, problems, toml, warnings};
use hawser_config::{Format, NoteKind, default_toml, import_comware, load};
use hawser_policy::*;
use std::time::Duration;

#[test]
fn hq_cfg_is_exactly_this() {
    let policy = policy(comware(HQ));
    let ip: std::net::IpAddr = "192.0.2.1".parse().unwrap();
    assert_eq!(
        policy.listen,
        Listen {
            addresses: vec![ip],
            port: 500,
            nat_port: 4500,
            native_esp: true
        }
    );
    assert_eq!(policy.shards, None);
    assert_eq!(policy.admission, Admission::default());
    assert_eq!(policy.observability, Observability::default());
    assert_eq!(
        policy.tenants,
        [Tenant {
            id: TenantId(0),
            name: "default".into(),
            interface: "hawser0".into(),
            mtu: 1400,
            addresses: vec![],
            namespace: None,
            protected: vec!["192.0.2.0/24".parse().unwrap()],
        }]
    );
    let proposals = vec![IkeProposal::parse("aes128-sha1-modp1024").unwrap()];
    assert_eq!(
        policy.ike_policies,
        [IkePolicy {
            name: "1".into(),
            local: vec![],
            proposals
        }]
    );
    assert_eq!(policy.templates.len(), 1);
    the_template(&policy.templates[0]);
    let [entry] = policy.pad.entries() else {
        panic!("one entry")
    };
    assert_eq!(
        entry.remote,
        IdentityPattern::Exact(Identity::Fqdn("test".into()))
    );
    assert_eq!(entry.local, [ip]);
    assert!(entry.remote_networks.is_empty());
    assert_eq!(entry.template, TemplateId(0));
    assert_eq!(entry.secret.expose(), b"test");
}

fn the_template(template: &PeerTemplate) {
    assert_eq!(
        (template.id, &*template.name),
        (TemplateId(0), "GE0/1/2/1/1")
    );
    assert_eq!(template.tenant, TenantId(0));
    assert_eq!(template.local_identity, Identity::parse("192.0.2.1"));
    assert!(template.ike_proposals.is_empty());
    let day = Some(Duration::from_secs(86_400));
    assert_eq!(
        template.ike_lifetimes,
        Lifetimes::with_default_margin(day, None)
    );
    let any = vec![TrafficSelector::any_v4(), TrafficSelector::any_v6()];
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(
        template.children,
        [ChildTemplate {
            name: "any".into(),
            proposals: vec![EspProposal::parse("aes128-sha1").unwrap()],
            local: any.clone(),
            remote: any,
            lifetimes: Lifetimes::with_default_margin(hour, Some(1_843_200 * 1024)),
            replay_window: 4096,
        }]
    );
    let dpd = DpdSettings {
        mode: DpdMode::OnDemand,
        interval: Duration::from_secs(20),
        retry: Duration::from_secs(5),
        retries: 2,
    };
    assert_eq!(template.dpd, Some(dpd));
    assert_eq!(template.nat_keepalive, Some(Duration::from_secs(10)));
    assert_eq!(template.retransmission, Retransmission::default());
    let upkeep = Upkeep {
        revive: Revive::On,
        revive_weak_secret: true,
        ..Upkeep::default()
    };
    assert_eq!(template.upkeep, upkeep);
    assert!(!template.allow_any_route && template.initiate.is_none());
    assert_eq!(template.fragment_size, 1280);
}

#[test]
fn hq_toml_is_the_same() {
    let native = policy(toml(default_toml()));
    assert_eq!(picture(&native), picture(&policy(comware(HQ))));
    assert_eq!(Format::detect("hq.toml", default_toml()), Format::Toml);
    assert_eq!(Format::detect("hq", default_toml()), Format::Toml);
    assert_eq!(Format::detect("hq", HQ), Format::Comware);
    assert_eq!(Format::detect("hq", CASE), Format::Comware);
}

#[test]
fn what_is_ignored_and_what_is_weak_is_said_with_its_line() {
    let notes = comware(HQ).unwrap().notes;
    let ignored: Vec<_> = notes
        .iter()
        .filter(|n| n.kind == NoteKind::Ignored)
        .filter_map(|n| n.line)
        .collect();
    assert_eq!(ignored, [25, 27, 28, 29, 30, 32]);
    let weak = warnings(&notes);
    let lines: Vec<_> = weak.iter().filter_map(|(line, _)| *line).collect();
    assert_eq!(lines, [7, 16, 34], "{weak:?}");
    assert!(weak[0].1.contains("4 octets") && !weak[0].1.contains("test"));
    assert!(weak[1].1.contains("sha1, prfsha1, modp1024") && weak[2].1.contains("sha1"));
    assert_eq!(
        notes
            .iter()
            .find(|n| n.line == Some(25))
            .unwrap()
            .in_file("hq.cfg")
            .to_string(),
        "hq.cfg:25: ignored: `port link-mode`: another feature"
    );
}

#[test]
fn the_published_text_says_what_to_replace() {
    let shown = problems(comware(CASE));
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 4, "{shown}");
    assert!(lines[0].starts_with("f:7: ") && lines[0].contains("only the device itself"));
    assert!(lines[0].contains("plaintext") && lines[0].contains("secret_file"));
    assert!(!shown.contains("tyrkuRMj"), "a key is never shown");
    for (line, number) in lines[1..].iter().zip(["13", "27", "41"]) {
        assert!(line.starts_with(&format!("f:{number}: ")), "{line}");
        assert!(line.contains("replace the placeholder `X.X.X.X`"), "{line}");
    }
}

fn repaired() -> String {
    CASE.replace(
        "ciphertext $c$3$ea+tyrkuRMjsikahglajgd/XVc43xMlrmGk=",
        "plaintext test",
    )
    .replace("X.X.X.X", "192.0.2.1")
    .replace("255.255.255.240", "255.255.255.0")
}

#[test]
fn indentation_and_line_ends_and_prompts_change_nothing() {
    let expected = picture(&policy(comware(HQ)));
    let repaired = repaired();
    let typed: String = repaired
        .lines()
        .filter(|l| *l != "#")
        .map(|l| format!("[Sysname-some-view-1] {l}\n"))
        .collect();
    let typed = format!("<Sysname> system-view\nSystem View: return to User View\n{typed}return\n");
    for text in [
        repaired.clone(),
        repaired.replace('\n', "\r\n"),
        format!("\u{feff}{}\nreturn\n", repaired.replace('\n', "\n\t ")),
        typed.replace("System View: return to User View\n", ""),
        HQ.replace("\n ", "\n"),
    ] {
        assert_eq!(picture(&policy(comware(&text))), expected, "{text}");
    }
}

#[test]
fn import_keeps_the_policy() {
    let native = import_comware(HQ).unwrap();
    assert_eq!(
        picture(&policy(toml(&native))),
        picture(&policy(comware(HQ))),
        "{native}"
    );
    assert!(native.contains("# Line 16: warning: "), "{native}");
    assert_eq!(import_comware(CASE).unwrap_err().len(), 4);
}

#[test]
fn secrets_elsewhere_are_asked_for() {
    let ask = |reference: &str| match reference {
        "env:PSK" => Some("0x0a0b\n".to_owned()),
        "file:/psk" => Some("sp ace\r\n".to_owned()),
        _ => None,
    };
    let key = |line: &str| {
        let text = default_toml().replace("secret = \"test\"", line);
        load(&text, Format::Toml, &ask)
            .map(|l| l.policy.pad.entries()[0].secret.expose().to_vec())
            .map_err(|p| crate::common::show(&p))
    };
    assert_eq!(key("secret_env = \"PSK\"").unwrap(), [10, 11]);
    assert_eq!(key("secret_file = \"/psk\"").unwrap(), b"sp ace");
    assert!(
        key("secret_file = \"/no\"")
            .unwrap_err()
            .contains("`/no` cannot be read")
    );
    assert!(
        key("secret_env = \"NO\"")
            .unwrap_err()
            .contains("no environment variable `NO`")
    );
    assert!(
        key("secret = \"a\"\nsecret_env = \"PSK\"")
            .unwrap_err()
            .contains("only one of")
    );
    assert!(key("").unwrap_err().contains("one of `secret`"));
}
