//! What is said about wrong Comware text: the line, what is wrong, what was probably meant.

use crate::common::{HQ, comware, problems, with};

/// The problems of hq.cfg with `from` replaced, one a line.
fn broken(from: &str, to: &str) -> String {
    problems(comware(&with(HQ, from, to)))
}

#[test]
fn every_fault_has_its_line_and_reason() {
    for (from, to, line, reason) in [
        (" on-demand", "", 2, "is missing"),
        (" on-demand", " on-demnad", 2, "did you mean `on-demand`?"),
        (
            "interval 20",
            "interval 20 retry 20",
            2,
            "must exceed the retry interval",
        ),
        (
            "ikev2 keychain 1",
            "ikev2 keychian 1",
            4,
            "did you mean `keychain`?",
        ),
        (
            "ikev2 keychain 1",
            "ikve2 keychain 1",
            4,
            "did you mean `ikev2`?",
        ),
        (
            " identity fqdn test\n  pre",
            " identity fqdm test\n  pre",
            6,
            "did you mean `fqdn`?",
        ),
        (
            "  identity fqdn test\n",
            "",
            5,
            "neither `identity` nor `address`",
        ),
        (
            "  pre-shared-key plaintext test\n",
            "",
            5,
            "`pre-shared-key` is missing",
        ),
        ("plaintext test", "plaintext te st", 7, "one word"),
        (
            "plaintext test",
            "cipher xyz",
            7,
            "only the device itself can read",
        ),
        (
            "key plaintext test",
            "key local plaintext test",
            7,
            "`pre-shared-key remote` is missing",
        ),
        (
            "local pre-share",
            "local rsa-signature",
            10,
            "`rsa-signature` (only `pre-share` is)",
        ),
        (
            "local pre-share",
            "local pre-shar",
            10,
            "did you mean `pre-share`?",
        ),
        (
            " authentication-method remote pre-share\n",
            "",
            9,
            "remote pre-share` is missing",
        ),
        (
            "share\n keychain 1\n",
            "share\n keychain 2\n",
            12,
            "there is no ikev2 keychain `2`; did you mean `1`?",
        ),
        (
            "local address 192.0.2.1",
            "local address x.x.x.x",
            13,
            "replace the placeholder",
        ),
        (
            "local address 192.0.2.1",
            "local dn",
            13,
            "a distinguished name as identity",
        ),
        (
            "local address 192.0.2.1",
            "local email x",
            13,
            "not an e-mail address",
        ),
        (
            " match remote identity fqdn test\n",
            "",
            9,
            "`match remote identity` is missing",
        ),
        (
            "match remote identity fqdn test",
            "match remote identity fqdn t2",
            9,
            "no peer of the",
        ),
        (
            "match remote identity fqdn test",
            "match remote certificate x",
            14,
            "matching certificates",
        ),
        (
            "match remote identity fqdn test",
            "mtach remote any",
            14,
            "did you mean `match`?",
        ),
        (
            "aes-cbc-128\n integrity",
            "3des-cbc\n integrity",
            17,
            "`3des-cbc` is not supported",
        ),
        (
            "aes-cbc-128\n integrity",
            "aes-ctr-128\n integrity",
            17,
            "`aes-ctr-128` is not supported",
        ),
        (
            "aes-cbc-128\n integrity",
            "aes-cbc-182\n integrity",
            17,
            "did you mean `aes-cbc-128`?",
        ),
        (
            " integrity sha1",
            " integrity md5",
            18,
            "`md5` is not supported",
        ),
        (" integrity sha1\n", "", 16, "`integrity` is missing"),
        ("group2", "group1", 19, "`group1` is not supported"),
        ("group2", "group24", 19, "`group24` is not supported"),
        (" dh group2\n", "", 16, "`dh` is missing"),
        (
            " proposal 1\n#",
            " proposal 9\n#",
            22,
            "there is no ikev2 proposal `9`",
        ),
        (" proposal 1\n#", "#", 21, "it names no `proposal`"),
        (
            "apply policy GE0/1",
            "apply policy GE0/2",
            31,
            "did you mean `GE0/1`?",
        ),
        (" ipsec apply policy GE0/1\n", "", 0, "nothing is in force"),
        (
            "port link-mode route",
            "ip binding vpn-instance a",
            25,
            "outside VPN instance",
        ),
        (
            "port link-mode route",
            "tunnel protection ipsec profile 1",
            25,
            "not supported yet",
        ),
        (
            " esp encryption-algorithm aes-cbc-128\n",
            "",
            34,
            "`esp encryption-algorithm` is",
        ),
        (
            " esp authentication-algorithm sha1\n",
            "",
            34,
            "`esp authentication-algorithm` is",
        ),
        (
            "esp authentication-algorithm sha1",
            "encapsulation-mode transport",
            36,
            "transport mode",
        ),
        (
            "esp authentication-algorithm sha1",
            "protocol ah",
            36,
            "AH is not supported yet",
        ),
        (
            "esp authentication-algorithm sha1",
            "pfs group2",
            36,
            "did you mean `dh-group2`?",
        ),
        (
            "transform-set 1\n local",
            "transform-set 3\n local",
            39,
            "no ipsec transform-set `3`",
        ),
        (
            "local-address 192.0.2.1",
            "local-address X.X.X.X",
            40,
            "replace the placeholder",
        ),
        (
            " ikev2-profile 1",
            " ikev2-profile 7",
            41,
            "there is no ikev2 profile `7`",
        ),
        (" ikev2-profile 1\n", "", 38, "it names no `ikev2-profile`"),
        (
            " ikev2-profile 1",
            " ike-profile 1",
            41,
            "IKEv1 is not spoken here",
        ),
        (
            " ikev2-profile 1",
            " ikev2-profile 1\n security acl 3000",
            42,
            "there is no acl `3000`",
        ),
        (
            "isakmp template 1",
            "isakmp template 4",
            43,
            "there is no policy template `4`",
        ),
        (
            "isakmp template 1",
            "manual",
            43,
            "a manual policy is not supported yet",
        ),
        (
            "isakmp template 1",
            "isakmp template 1 x",
            43,
            "`x` is not expected",
        ),
    ] {
        let shown = broken(from, to);
        let start = if line == 0 {
            "f: ".to_owned()
        } else {
            format!("f:{line}: ")
        };
        let said = shown
            .lines()
            .any(|l| l.starts_with(&start) && l.contains(reason));
        assert!(said, "`{to}` must say in line {line} `{reason}`:\n{shown}");
    }
}

#[test]
fn a_fault_hides_no_other_and_draws_no_followers() {
    let text = with(HQ, "plaintext test", "cipher x");
    let text = with(&text, "dh group2", "dh group1");
    let text = with(
        &text,
        "match remote identity fqdn test",
        "match remote identity fqdn",
    );
    let text = with(&text, "ipsec transform-set 1", "ipsec transform-set 1 2");
    let shown = problems(comware(&text));
    let lines: Vec<&str> = shown
        .lines()
        .map(|l| l.split(": ").next().unwrap())
        .collect();
    assert_eq!(lines, ["f:7", "f:14", "f:19", "f:34"], "{shown}");
}

#[test]
fn ikev1_is_refused_and_its_view_not_judged() {
    let shown = problems(comware(&format!(
        "{HQ}ike proposal 1\n dh group2\n encryption x\n"
    )));
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(
        shown.starts_with("f:45: ike proposal: IKEv1 is not spoken here"),
        "{shown}"
    );
}

#[test]
fn lines_outside_of_their_view_are_not_lost() {
    let shown = problems(comware(&format!("{HQ}pre-shared-key plaintext geheim\n")));
    assert!(
        shown.starts_with("f:45: `pre-shared-key` stands outside of the view"),
        "{shown}"
    );
    assert!(!shown.contains("geheim"));
    let shown = problems(comware(&format!("{HQ}ipsec apply policy GE0/1\n")));
    assert!(
        shown.contains("belongs into the view of an interface"),
        "{shown}"
    );
}

#[test]
fn a_problem_has_a_column() {
    let problems = comware(&with(HQ, "dh group2", "dh group3")).unwrap_err();
    assert_eq!((problems[0].line, problems[0].column), (Some(19), Some(5)));
    assert_eq!(problems[0].field, "ikev2 proposal 1");
    assert_eq!(problems[0].suggestion.as_deref(), Some("group2"));
}

#[test]
fn the_edges_of_every_range() {
    let global = |line: &str| comware(&with(HQ, "ikev2 dpd interval 20 on-demand", line)).is_ok();
    let profile = |line: &str| {
        comware(&with(
            HQ,
            "keychain 1\n id",
            &format!("keychain 1\n {line}\n id"),
        ))
        .is_ok()
    };
    let entry = |line: &str| {
        comware(&with(
            HQ,
            " ikev2-profile 1",
            &format!(" ikev2-profile 1\n {line}"),
        ))
        .is_ok()
    };
    type Check<'a> = &'a dyn Fn(&str) -> bool;
    let ranges: [(Check<'_>, &str, u64, u64); 16] = [
        (&global, "ikev2 dpd interval {} on-demand", 10, 3600),
        (&global, "ikev2 dpd interval 100 retry {} periodic", 2, 60),
        (&global, "ikev2 cookie-challenge {}", 0, 1000),
        (&global, "ikev2 nat-keepalive {}", 5, 3600),
        (&global, "ikev2 limit max-negotiating-sa {}", 1, 99_999),
        (
            &global,
            "ipsec sa global-duration time-based {}",
            180,
            604_800,
        ),
        (
            &global,
            "ipsec sa global-duration traffic-based {}",
            2560,
            4_294_967_295,
        ),
        (&global, "ipsec anti-replay window {}", 64, 65_536),
        (&profile, "dpd interval {} periodic", 10, 3600),
        (&profile, "dpd interval 100 retry {} on-demand", 2, 60),
        (&profile, "sa duration {}", 120, 86_400),
        (&profile, "nat-keepalive {}", 5, 3600),
        (&profile, "priority {}", 1, 65_535),
        (&entry, "sa duration time-based {}", 180, 604_800),
        (&entry, "sa duration traffic-based {}", 2560, 4_294_967_295),
        (&entry, "local-address 192.0.2.{}", 0, 255),
    ];
    for (check, line, min, max) in ranges {
        let at = |number: &str| check(&line.replace("{}", number));
        assert!(
            at(&min.to_string()) && at(&max.to_string()),
            "{line}: {min} and {max} are allowed"
        );
        assert!(
            !at(&(max + 1).to_string()),
            "{line}: {} is too much",
            max + 1
        );
        let below = min
            .checked_sub(1)
            .map_or("-1".to_owned(), |n| n.to_string());
        assert!(!at(&below), "{line}: {below} is too little");
        assert!(!at("x") && !at(""), "{line}: a number is wanted");
    }
    assert!(
        !global("ikev2 dpd interval 10 retry 10 periodic"),
        "the interval must exceed retry"
    );
    assert!(global("ikev2 dpd interval 11 retry 10 periodic"));
    assert!(!global("ipsec anti-replay window 100"), "a power of two");
}
