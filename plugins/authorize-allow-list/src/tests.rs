//! Who comes in, and who does not.

use super::*;
use hawser_sdk::testing::authorization::request;
use hawser_sdk::{configure, testing};

fn verdict(settings: &str, request: &Request<'_>) -> Verdict {
    let mut list: AllowList = configure(settings).expect("good settings");
    list.authorize(request)
}

fn code(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Allow(_) => "allowed",
        Verdict::Deny(denial) => &denial.code,
    }
}

#[test]
fn it_is_what_it_says() {
    testing::check::<AllowList>();
}

#[test]
fn errors_lead_to_the_entry() {
    let path = |text| configure::<AllowList>(text).expect_err("refused").path;
    assert_eq!(path("{}"), "");
    assert_eq!(path(r#"{"rules": []}"#), "/rules");
    assert_eq!(
        path(r#"{"rules": [{"identities": []}]}"#),
        "/rules/0/identities"
    );
    let text =
        r#"{"rules": [{"identities": ["a"]}, {"identities": ["b"], "sources": ["::", "x"]}]}"#;
    assert_eq!(path(text), "/rules/1/sources/1");
    let text = r#"{"rules": [{"identities": ["a"], "hours": [{"from": "25:00", "to": "1:00"}]}]}"#;
    assert_eq!(path(text), "/rules/0/hours/0/from");
}

#[test]
fn only_who_is_listed_comes_in() {
    let settings =
        r#"{"rules": [{"identities": ["*.branch.example", "test"], "tenants": ["default"]}]}"#;
    assert_eq!(verdict(settings, &request("test")), Verdict::allow());
    assert_eq!(
        verdict(settings, &request("n7.branch.example")),
        Verdict::allow()
    );
    assert_eq!(
        code(&verdict(settings, &request("branch.example"))),
        "not-permitted"
    );
    let elsewhere = Request {
        tenant: "north",
        ..request("test")
    };
    assert_eq!(code(&verdict(settings, &elsewhere)), "not-permitted");
}

#[test]
fn the_first_rule_that_fits_the_source_decides() {
    let settings = r#"{"rules": [
        {"identities": ["test"], "sources": ["10.0.0.0/8"]},
        {"identities": ["test"], "sources": ["120.208.0.0/16"], "selectors": ["172.16.19.0/25"]}
    ]}"#;
    let Verdict::Allow(grant) = verdict(settings, &request("test")) else {
        panic!("the second rule fits");
    };
    assert_eq!(grant.remote_selectors, ["172.16.19.0/25"]);
    let inside = Request {
        address: "10.1.1.1",
        ..request("test")
    };
    assert_eq!(verdict(settings, &inside), Verdict::allow());
    let stranger = Request {
        address: "198.51.100.1",
        ..request("test")
    };
    let Verdict::Deny(denial) = verdict(settings, &stranger) else {
        panic!("no rule fits");
    };
    assert_eq!(denial.detail, "test may not come from 198.51.100.1");
}

#[test]
fn hours_are_kept_and_may_end_the_tunnel() {
    // The request comes on a Wednesday at 12:00.
    let open = r#"{"rules": [{"identities": ["*"], "end-with-hours": true,
        "hours": [{"from": "09:00", "to": "13:00"}, {"from": "11:00", "to": "12:30"}]}]}"#;
    let Verdict::Allow(grant) = verdict(open, &request("test")) else {
        panic!("it is open");
    };
    assert_eq!(
        grant.lifetime_s,
        Some(3600),
        "the window that closes last counts"
    );
    let closed = r#"{"rules": [{"identities": ["*"], "hours": [{"days": ["sat"], "from": "00:00", "to": "24:00"}]}]}"#;
    assert_eq!(code(&verdict(closed, &request("test"))), "outside-hours");
}

#[test]
fn the_number_of_devices_is_limited() {
    let settings = r#"{"rules": [{"identities": ["*"], "max-tunnels": 2}]}"#;
    let with = |devices| Request {
        identity_devices: devices,
        ..request("test")
    };
    assert_eq!(code(&verdict(settings, &with(1))), "allowed");
    assert_eq!(code(&verdict(settings, &with(2))), "too-many");
}

#[test]
fn selectors_are_only_ever_narrowed() {
    let settings =
        r#"{"rules": [{"identities": ["*"], "selectors": ["172.16.0.0/12", "10.0.0.0/8"]}]}"#;
    fn asking<'a>(selectors: &[&'a str]) -> Request<'a> {
        Request {
            remote_selectors: selectors.to_vec(),
            ..request("test")
        }
    }
    let Verdict::Allow(grant) = verdict(settings, &asking(&["0.0.0.0/0[6/443]", "192.0.2.0/24"]))
    else {
        panic!("a part of it is allowed");
    };
    assert_eq!(
        grant.remote_selectors,
        ["172.16.0.0/12[6/443]", "10.0.0.0/8[6/443]"]
    );
    assert_eq!(
        code(&verdict(settings, &asking(&["192.0.2.0/24"]))),
        "not-permitted"
    );
}
