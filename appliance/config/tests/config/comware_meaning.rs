//! What Comware text means.

use crate::common::{HQ, comware, picture, policy, toml, warnings, with};
use hawser_config::import_comware;
use hawser_policy::*;
use std::time::Duration;

/// The policy of a text, which its import keeps.
pub(crate) fn meaning(text: &str) -> Policy {
    let policy = policy(comware(text));
    let native = import_comware(text).unwrap();
    assert_eq!(
        picture(&crate::common::policy(toml(&native))),
        picture(&policy),
        "{native}"
    );
    policy
}

/// hq.cfg with `from` replaced.
fn changed(from: &str, to: &str) -> Policy {
    meaning(&with(HQ, from, to))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const DPD: &str = "ikev2 dpd interval 20 on-demand";
const IN_PROFILE: &str = "keychain 1\n id";
const IN_ENTRY: &str = " ikev2-profile 1";

#[test]
fn dpd_is_off_without_a_line_and_the_profile_wins() {
    assert_eq!(changed(DPD, "").templates[0].dpd, None);
    assert_eq!(
        changed(DPD, &format!("{DPD}\nundo ikev2 dpd interval")).templates[0].dpd,
        None
    );
    let both = changed(
        IN_PROFILE,
        "keychain 1\n dpd interval 30 retry 7 periodic\n id",
    );
    let expected = DpdSettings {
        mode: DpdMode::Periodic,
        interval: seconds(30),
        retry: seconds(7),
        retries: 2,
    };
    assert_eq!(both.templates[0].dpd, Some(expected));
}

#[test]
fn global_settings_and_those_of_profiles_and_policies() {
    let global = "ikev2 cookie-challenge 0\nikev2 nat-keepalive 30\nikev2 limit max-negotiating-sa 9\n\
                  ipsec sa global-duration time-based 7200\nipsec sa global-duration traffic-based 2560\n\
                  ipsec anti-replay window 1024\nipsec logging packet enable\nipsec df-bit clear";
    let policy = changed(DPD, global);
    assert_eq!(policy.admission.cookies, CookieMode::Always);
    assert_eq!(policy.admission.max_half_open, 9);
    let template = &policy.templates[0];
    assert_eq!(template.nat_keepalive, Some(seconds(30)));
    let child = &template.children[0];
    assert_eq!(child.lifetimes.time, Some(seconds(7200)));
    assert_eq!(child.lifetimes.bytes, Some(2560 * 1024));
    assert_eq!(child.replay_window, 1024);

    let text = with(HQ, DPD, &format!("{global}\nundo ipsec anti-replay check"));
    let text = with(
        &text,
        IN_PROFILE,
        "keychain 1\n sa duration 600\n nat-keepalive 5\n id",
    );
    let own = format!("{IN_ENTRY}\n sa duration time-based 180\n sa duration traffic-based 5000");
    let policy = meaning(&with(&text, IN_ENTRY, &own));
    let template = &policy.templates[0];
    assert_eq!(template.ike_lifetimes.time, Some(seconds(600)));
    assert_eq!(template.nat_keepalive, Some(seconds(5)));
    let child = &template.children[0];
    assert_eq!(
        child.lifetimes,
        Lifetimes::with_default_margin(Some(seconds(180)), Some(5_120_000))
    );
    assert_eq!(child.replay_window, 0);
    let cookies = changed(DPD, "ikev2 cookie-challenge 1000")
        .admission
        .cookies;
    assert_eq!(cookies, CookieMode::Threshold(1000));
}

#[test]
fn lines_without_effect_are_named() {
    let added = format!("{IN_ENTRY}\n reverse-route dynamic\n sa idle-time 100");
    let notes = comware(&with(HQ, IN_ENTRY, &added)).unwrap().notes;
    let said = |line, text| {
        notes
            .iter()
            .any(|n| n.line == Some(line) && n.to_string().contains(text))
    };
    assert!(
        said(42, "always installed") && said(43, "as long as its peer"),
        "{notes:?}"
    );
}

#[test]
fn proposals_of_several_algorithms() {
    let text = with(
        HQ,
        "encryption aes-cbc-128\n i",
        "encryption aes-cbc-256 aes-gcm-128 aes-cbc-128\n prf sha384\n i",
    );
    let text = with(&text, "integrity sha1", "integrity sha512 sha256");
    let text = with(&text, "dh group2", "dh group20 group14");
    let text = with(
        &text,
        "encryption-algorithm aes-cbc-128",
        "encryption-algorithm gcm-256 aes-cbc-128",
    );
    let text = with(
        &text,
        "authentication-algorithm sha1",
        "authentication-algorithm sha256\n pfs dh-group19\n esn enable both",
    );
    let policy = meaning(&text);
    let shown = |p: &[IkeProposal]| p.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        shown(&policy.ike_policies[0].proposals),
        [
            "aes256-aes128-sha512-sha256-prfsha384-ecp384-modp2048",
            "aes128gcm16-prfsha384-ecp384-modp2048"
        ]
    );
    let esp: Vec<_> = policy.templates[0].children[0]
        .proposals
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        esp,
        [
            "aes256gcm16-ecp256-esn-noesn",
            "aes128-sha256-ecp256-esn-noesn"
        ]
    );
}

#[test]
fn the_predefined_policy_and_proposal() {
    let weak = "aes128-sha1-modp1536-modp1024";
    let loaded = comware(&with(HQ, "ikev2 policy 1\n proposal 1\n", "")).unwrap();
    assert_eq!(loaded.policy.ike_policies[0].name, "default");
    assert_eq!(loaded.policy.ike_policies[0].proposals[0].to_string(), weak);
    assert!(
        warnings(&loaded.notes)
            .iter()
            .any(|(_, n)| n.contains("predefined one is used"))
    );
    let named = changed(" proposal 1\n#", " proposal default\n#");
    assert_eq!(named.ike_policies[0].proposals[0].to_string(), weak);
    // A policy for another address leaves ours to the predefined one.
    let other = changed(
        " proposal 1\n#",
        " proposal 1\n match local address 192.0.2.9\n#",
    );
    let names: Vec<&str> = other.ike_policies.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["1", "default"]);
    assert_eq!(
        other.ike_proposals("192.0.2.1".parse().unwrap())[0].to_string(),
        weak
    );
}

#[test]
fn policies_by_priority_and_interface() {
    let more = " proposal 1\n priority 7\n match local address GigabitEthernet 1/0/1\n#\nikev2 policy 2\n \
                proposal 1\n priority 3\n match vrf any\n#\nip vpn-instance red\nikev2 policy 3\n proposal 1\n \
                match vrf name red\n#";
    let policy = changed(" proposal 1\n#", more);
    let names: Vec<&str> = policy
        .ike_policies
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(names, ["2", "1"], "3 is for an outside VPN instance");
    assert_eq!(
        policy.ike_policies[1].local,
        ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]
    );
}

#[test]
fn identities_of_every_kind() {
    for (written, peer, pattern) in [
        (
            "fqdn *.branch.example",
            "identity fqdn a.branch.example",
            "a.branch.example",
        ),
        (
            "fqdn *.branch.example",
            "address 198.51.100.0 24",
            "*.branch.example",
        ),
        (
            "email *@example.org",
            "address 198.51.100.0 255.255.255.0",
            "*@example.org",
        ),
        (
            "email joe@example.org",
            "identity email joe@example.org",
            "joe@example.org",
        ),
        ("key-id ab", "identity key-id ab", "@#6162"),
        (
            "address 10.0.0.0 8",
            "identity address 10.1.2.3",
            "10.1.2.3",
        ),
        (
            "address 10.0.0.0 255.0.0.0",
            "address 0.0.0.0 0",
            "10.0.0.0/8",
        ),
        (
            "address range 10.0.0.0 10.0.0.255",
            "address 0.0.0.0 0",
            "10.0.0.0/24",
        ),
        (
            "address ipv6 2001:db8:: 32",
            "identity address ipv6 2001:db8::7",
            "2001:db8::7",
        ),
    ] {
        let text = with(
            HQ,
            "match remote identity fqdn test",
            &format!("match remote identity {written}"),
        );
        let text = with(&text, "  identity fqdn test\n", &format!("  {peer}\n"));
        let policy = meaning(&text);
        let [entry] = policy.pad.entries() else {
            panic!("one entry for {written}")
        };
        assert_eq!(entry.remote.to_string(), pattern);
        assert_eq!(
            entry.remote_networks.is_empty(),
            !peer.starts_with("address"),
            "{peer}"
        );
    }
}

#[test]
fn names_that_look_like_something_else_survive_the_import() {
    for name in ["10.0.0.1", "any", "a@b", "%any", "umlaut-ü", "a/b"] {
        let text = HQ.replace("fqdn test", &format!("fqdn {name}"));
        let policy = meaning(&text);
        let expected = IdentityPattern::Exact(Identity::Fqdn(name.into()));
        assert_eq!(policy.pad.entries()[0].remote, expected);
    }
    for secret in ["0x12", "0stest", "a\"b\\c", "'''", "#x"] {
        let policy = changed("plaintext test", &format!("plaintext {secret}"));
        assert_eq!(policy.pad.entries()[0].secret.expose(), secret.as_bytes());
    }
}

#[test]
fn rules_that_cannot_be_used_matter_where_they_are_used() {
    for (rule, reason) in [
        ("rule deny ip", "leave it out"),
        ("rule permit ip source 10.0.0.0 0.255.0.255", "has gaps"),
        ("rule permit ip source 10.0.0.0", "the wildcard is missing"),
        ("rule permit tcp source-port range 9 5", "must not be above"),
        ("rule permit tcp tos 5", "unknown keyword `tos`"),
        ("description none", "it has no `rule permit`"),
    ] {
        let text = with(HQ, IN_ENTRY, &format!("{IN_ENTRY}\n security acl 3000"));
        let shown =
            crate::common::problems(comware(&format!("acl number 3000\n {rule}\n#\n{text}")));
        assert!(
            shown.contains(reason) && shown.lines().count() == 1,
            "{rule}: {shown}"
        );
        assert!(
            shown.starts_with("f:2: ") || rule.starts_with("desc"),
            "{shown}"
        );
    }
}

#[test]
fn ipv6_policies_have_names_of_their_own() {
    let text = HQ.replace(
        "192.0.2.1 255.255.255.0",
        "192.0.2.1 24\n ipv6 address 2001:db8::1/64",
    );
    let text = text
        .replace("apply policy", "apply ipv6-policy")
        .replace("ipsec policy", "ipsec ipv6-policy");
    let text = text.replace(" local-address 192.0.2.1\n", "");
    let policy = meaning(&text);
    assert_eq!(&*policy.templates[0].name, "ipv6:GE0/1/2/1/1");
    assert_eq!(
        policy.listen.addresses,
        ["2001:db8::1".parse::<std::net::IpAddr>().unwrap()]
    );
    let dhcp = HQ.replace(" local-address 192.0.2.1\n", "").replace(
        "ip address 192.0.2.1 255.255.255.0",
        "ip address dhcp-alloc",
    );
    let policy = meaning(&dhcp);
    assert_eq!(
        policy.listen.addresses,
        ["0.0.0.0".parse::<std::net::IpAddr>().unwrap()]
    );
    assert!(policy.pad.entries()[0].local.is_empty());
}
