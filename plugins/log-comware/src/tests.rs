//! The lines of the case, from its events.

use super::*;
use hawser_sdk::testing::log::{event, lines};
use hawser_sdk::{configure, testing};

fn comware() -> Comware {
    configure("{}").expect("defaults")
}

fn established() -> Event<'static> {
    event("ike_sa_established")
        .with("role", "responder")
        .with("spi_i", 0x0a78_6923_a422_1b30_u64)
        .with("spi_r", 0xff1b_a72b_42ed_8c98_u64)
}

fn installed() -> Event<'static> {
    let mut event = event("child_sa_installed")
        .with("spi_in", 3_865_425_843_u32)
        .with("spi_out", 3_491_711_361_u32)
        .with("local", "192.168.100.0/24")
        .with("remote", "172.16.19.0/24");
    event.remote = Some("183.202.198.192/22016");
    event
}

fn removed(cause: &str) -> Event<'_> {
    let mut event = event("child_sa_removed")
        .with("spi_in", 3_865_425_843_u32)
        .with("spi_out", 3_491_711_361_u32)
        .with("cause", cause);
    event.remote = Some("183.202.198.192/22016");
    event
}

#[test]
fn it_is_what_it_says() {
    testing::check::<Comware>();
    let path = |text| configure::<Comware>(text).expect_err("refused").path;
    assert_eq!(path(r#"{"sysname": "two words"}"#), "/sysname");
    assert_eq!(
        path(r#"{"utc-offset-minutes": 900}"#),
        "/utc-offset-minutes"
    );
}

#[test]
fn a_probe_sent_again_as_the_case_has_it() {
    let mut comware = comware();
    let probe = event("probe_sent").with("message_id", 0u32);
    lines(&mut comware, &[established(), probe]);
    let again = event("retransmitted")
        .with("exchange", 37u8)
        .with("message_id", 0u32)
        .with("attempt", 1u8);
    let header = |mnemonic| {
        format!(
            "*Nov 8 02:36:03:634 2023 H3C IKEV2/7/{mnemonic}: -Context=1; vrf = 0, \
             src = 183.203.181.185, dst = 120.208.142.17/8192"
        )
    };
    assert_eq!(
        lines(&mut comware, &[again]),
        [
            header("DPD-MESSAGE").as_str(),
            "Retransmit DPD packet.",
            &header("DPD-MESSAGE"),
            "Sending packet to 120.208.142.17 remote port 8192, local port 4500.",
            &header("PACKET"),
            "I-SPI: 0a786923a4221b30",
            "R-SPI: ff1ba72b42ed8c98",
            "Message ID: 0",
            "Exchange type: INFORMATIONAL",
            "Flags: REQUEST",
        ]
    );
}

#[test]
fn the_end_of_the_sa_as_the_case_has_it() {
    let mut comware = comware();
    lines(&mut comware, &[established(), installed()]);
    let header = |mnemonic| {
        format!(
            "*Nov 8 02:36:03:634 2023 H3C IKEV2/7/{mnemonic}: -Context=1; vrf = 0, \
             src = 183.203.181.185, dst = 183.202.198.192/22016"
        )
    };
    assert_eq!(
        lines(&mut comware, &[removed("ike_sa_closed")]),
        [
            "%Nov 8 02:36:03:634 2023 H3C IPSEC/6/IPSEC_SA_TERMINATE: -Context=1; \
             IPsec SA was deleted.",
            "Reason: An IKE SA deletion message was received.",
            "SA information:",
            "Role: responder",
            "Local address: 183.203.181.185",
            "Remote address: 183.202.198.192",
            "Sour addr: 192.168.100.0/255.255.255.0 Port: 0 Protocol: IP",
            "Dest addr: 172.16.19.0/255.255.255.0 Port: 0 Protocol: IP",
            "Inside VPN instance:",
            "Outside VPN instance:",
            "Inbound AH SPI: 0",
            "Outbound AH SPI: 0",
            "Inbound ESP SPI: 3865425843",
            "Outbound ESP SPI: 3491711361",
            "ACL number:",
            &header("FSM"),
            "Child SA(ESP SPI 0xb3b765e6) deleted.",
            &header("EVENT"),
            "[IKE->IPsec] Send delete DPD request.",
        ]
    );
}

#[test]
fn an_sa_from_before_this_instance_has_empty_fields() {
    let all = lines(&mut comware(), &[removed("expired")]);
    assert!(all.contains(&"Reason: SA hard lifetime expired.".to_owned()));
    assert!(all.contains(&"Role:".to_owned()));
    assert!(all.contains(&"Sour addr:".to_owned()));
    assert!(!all.iter().any(|l| l.contains("delete DPD")), "{all:?}");
}

#[test]
fn a_delete_that_is_sent_again_is_no_probe() {
    let again = event("retransmitted")
        .with("exchange", 37u8)
        .with("message_id", 3u32);
    let all = lines(&mut comware(), &[again]);
    assert_eq!(all[1], "Retransmitted: exchange=37 message_id=3.");
}

#[test]
fn settings_and_tenants_show() {
    let settings = r#"{"sysname": "F1090", "context": 2, "vrf": {"north": 7},
                       "utc-offset-minutes": 480}"#;
    let mut comware: Comware = configure(settings).expect("good");
    let mut up = event("peer_up");
    up.tenant = Some("north");
    assert_eq!(
        lines(&mut comware, &[up]),
        [
            "*Nov 8 10:36:03:634 2023 F1090 IKEV2/7/EVENT: -Context=2; vrf = 7, \
             src = 183.203.181.185, dst = 120.208.142.17/8192",
            "Peer up.",
        ]
    );
    let mut applied = event("config_applied").with("revision", 3u64);
    (applied.local, applied.remote, applied.tenant) = (None, None, None);
    let all = lines(&mut comware, &[applied]);
    assert!(all[0].ends_with("-Context=2; vrf = 0"), "{}", all[0]);
}
