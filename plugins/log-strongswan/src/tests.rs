//! The lines of the case, from its events; what it was told of by the branch, we are here.

use super::*;
use hawser_sdk::testing::log::{event, lines};
use hawser_sdk::{configure, testing};

/// An event of the case's branch: 01:23 on the 1st of November, thread 14.
fn case(name: &str) -> Event<'_> {
    let mut event = event(name);
    event.time_unix_ns = 1_698_801_780_000_000_000;
    event.shard = 13;
    event.local = Some("192.168.1.100/4500");
    event.remote = Some("183.203.181.185/4500");
    event.identity = Some("183.203.181.185");
    event
}

fn branch() -> StrongSwan {
    let settings = r#"{"local-identity": "test"}"#;
    let mut plugin = configure(settings).expect("good");
    let first = case("ike_sa_established")
        .with("spi_i", 1u64)
        .with("spi_r", 2u64);
    assert_eq!(
        lines(&mut plugin, &[first]),
        [
            "Wed, 2023-11-01 01:23 14[IKE] <1> IKE_SA [1] established between \
             192.168.1.100[test]...183.203.181.185[183.203.181.185]",
            "Wed, 2023-11-01 01:23 14[IKE] <1> IKE_SA [1] state change: CONNECTING => ESTABLISHED",
        ]
    );
    plugin
}

/// What stands behind the time and the thread.
fn texts(plugin: &mut StrongSwan, events: &[Event<'_>]) -> Vec<String> {
    let head = "Wed, 2023-11-01 01:23 14";
    let all = lines(plugin, events);
    let cut = all.iter().map(|l| l.strip_prefix(head).expect("the head"));
    cut.map(str::to_owned).collect()
}

#[test]
fn it_is_what_it_says() {
    testing::check::<StrongSwan>();
    let wrong = configure::<StrongSwan>(r#"{"utc-offset-minutes": -841}"#);
    assert_eq!(wrong.expect_err("refused").path, "/utc-offset-minutes");
}

#[test]
fn a_rekeying_and_the_delete_of_the_old_sa_as_the_case_has_them() {
    let mut plugin = branch();
    let rekeyed = case("ike_sa_established")
        .with("spi_i", 3u64)
        .with("spi_r", 4u64)
        .with("lineage.kind", "rekey")
        .with("lineage.parent", 1u64)
        .with("role", "responder")
        .with("message_id", 4u32)
        .with("bytes", 300u32);
    let delete = case("delete_received")
        .with("spi", 2u64)
        .with("message_id", 5u32)
        .with("bytes", 76u32);
    let closed = case("ike_sa_closed")
        .with("spi_i", 1u64)
        .with("spi_r", 2u64)
        .with("cause", "deleted_by_peer");
    assert_eq!(
        texts(&mut plugin, &[rekeyed, delete, closed]),
        [
            "[IKE] <1> IKE_SA [2] rekeyed between \
             192.168.1.100[test]...183.203.181.185[183.203.181.185]",
            "[IKE] <1> IKE_SA [1] state change: ESTABLISHED => REKEYED",
            "[ENC] <1> generating CREATE_CHILD_SA response 4 [ SA No KE ]",
            "[NET] <1> sending packet: from 192.168.1.100[4500] to 183.203.181.185[4500] \
             (300 bytes)",
            "[NET] <2> received packet: from 183.203.181.185[4500] to 192.168.1.100[4500] \
             (76 bytes)",
            "[ENC] <2> parsed INFORMATIONAL request 5 [ D ]",
            "[IKE] <2> received DELETE for IKE_SA [1]",
            "[IKE] <1> deleting IKE_SA [1] between \
             192.168.1.100[test]...183.203.181.185[183.203.181.185]",
            "[IKE] <1> IKE_SA [1] state change: REKEYED => DELETING",
            "[IKE] <1> IKE_SA deleted",
            "[ENC] <1> generating INFORMATIONAL response 5 [ ]",
            "[NET] <1> sending packet: from 192.168.1.100[4500] to 183.203.181.185[4500]",
            "[IKE] <1> IKE_SA [1] state change: DELETING => DESTROYING",
        ]
    );
}

#[test]
fn our_own_delete_as_the_case_has_it() {
    let mut plugin = branch();
    let child = case("child_sa_installed")
        .with("spi_in", 0xc1u32)
        .with("spi_out", 0xc2u32)
        .with("local", "172.16.19.0/24")
        .with("remote", "192.168.100.0/24");
    let sent = case("delete_sent")
        .with("spi", 1u64)
        .with("message_id", 0u32)
        .with("bytes", 76u32);
    let closed = case("ike_sa_closed")
        .with("spi_i", 1u64)
        .with("spi_r", 2u64)
        .with("cause", "expired");
    let removed = case("child_sa_removed")
        .with("spi_in", 0xc1u32)
        .with("spi_out", 0xc2u32)
        .with("cause", "ike_sa_closed");
    assert_eq!(
        texts(&mut plugin, &[child, sent, closed, removed]),
        [
            "[IKE] <1> CHILD_SA [1] established with SPIs 000000c1_i 000000c2_o and TS \
             172.16.19.0/24 === 192.168.100.0/24",
            "[IKE] <1> queuing IKE_DELETE task",
            "[IKE] <1> activating new tasks",
            "[IKE] <1> activating IKE_DELETE task",
            "[IKE] <1> deleting IKE_SA [1] between \
             192.168.1.100[test]...183.203.181.185[183.203.181.185]",
            "[IKE] <1> IKE_SA [1] state change: ESTABLISHED => DELETING",
            "[IKE] <1> sending DELETE for IKE_SA [1]",
            "[ENC] <1> generating INFORMATIONAL request 0 [ D ]",
            "[NET] <1> sending packet: from 192.168.1.100[4500] to 183.203.181.185[4500] \
             (76 bytes)",
            "[IKE] <1> IKE_SA deleted",
            "[IKE] <1> IKE_SA [1] state change: DELETING => DESTROYING",
            // Its IKE SA is gone by now, as in the case.
            "[CHD] CHILD_SA [1] state change: INSTALLED => DESTROYING",
        ]
    );
}

#[test]
fn probes() {
    let mut plugin = branch();
    let sent = case("probe_sent").with("message_id", 0u32);
    let again = case("retransmitted")
        .with("exchange", 37u8)
        .with("message_id", 0u32)
        .with("attempt", 1u8);
    let answered = case("probe_answered").with("message_id", 0u32);
    assert_eq!(
        texts(&mut plugin, &[sent, again, answered]),
        [
            "[IKE] <1> sending DPD request",
            "[ENC] <1> generating INFORMATIONAL request 0 [ ]",
            "[NET] <1> sending packet: from 192.168.1.100[4500] to 183.203.181.185[4500]",
            "[IKE] <1> retransmit 1 of request with message ID 0",
            "[NET] <1> sending packet: from 192.168.1.100[4500] to 183.203.181.185[4500]",
            "[NET] <1> received packet: from 183.203.181.185[4500] to 192.168.1.100[4500]",
            "[ENC] <1> parsed INFORMATIONAL response 0 [ ]",
        ]
    );
}

#[test]
fn what_charon_has_no_line_for() {
    let mut applied = case("config_applied").with("revision", 3u64);
    (applied.device, applied.identity) = (None, None);
    let texts = texts(&mut branch(), &[applied]);
    assert_eq!(texts, ["[IKE] config applied: revision=3"]);
}
