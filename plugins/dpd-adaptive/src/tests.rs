//! Devices and their habits, in virtual time.

use super::*;
use hawser_sdk::testing::dpd::{Drive, evidence};
use hawser_sdk::{configure, testing};

fn policy() -> Adaptive {
    configure("{}").expect("defaults")
}

fn device(number: u64) -> Drive<Adaptive> {
    let mut device = evidence();
    device.device = number;
    Drive::with(policy(), device)
}

#[test]
fn it_is_what_it_says() {
    testing::check::<Adaptive>();
    let path = |text| configure::<Adaptive>(text).expect_err("refused").path;
    assert_eq!(path(r#"{"idle-ms": 1}"#), "/idle-ms");
    let text = r#"{"least-wait-ms": 5000, "longest-wait-ms": 4000}"#;
    assert_eq!(path(text), "/longest-wait-ms");
}

#[test]
fn it_asks_when_esp_goes_out_and_none_comes_in() {
    let drive = device(0).advance(9_000).esp_out().advance(1_001).esp_out();
    assert_eq!(drive.probes(), [10_001]);
    let drive = device(0).advance(9_000).esp_in().advance(9_000).esp_out();
    assert!(drive.probes().is_empty(), "something came meanwhile");
}

#[test]
fn a_silent_device_is_given_up_after_growing_waits() {
    let drive = device(0).advance(11_000).esp_out().advance(120_000);
    let probes = [11_000, 13_000, 17_000, 25_000, 35_000, 45_000, 55_000];
    assert_eq!(drive.probes(), probes);
    let (at, reason) = drive.given_up().expect("it is dead");
    assert_eq!(at, 65_000);
    assert_eq!(reason, "nothing came for 65 s, 7 probes among it");
}

#[test]
fn a_device_that_any_sa_proves_alive_is_never_given_up() {
    let mut drive = device(0).advance(11_000).esp_out();
    for _ in 0..120 {
        drive = drive.advance(5_000).esp_in();
    }
    assert_eq!(drive.given_up(), None);
    let probes = drive.probes();
    let last = &probes[probes.len() - 2..];
    assert_eq!(last[1] - last[0], ALIVE_RETRY_MS, "it still has to answer");
}

#[test]
fn waits_follow_the_round_trip() {
    let mut drive = device(0);
    for _ in 0..6 {
        drive = drive.advance(120_000).advance(1_900).answer();
    }
    let probes = drive.advance(130_000).probes();
    let before = 6;
    let wait = probes[before + 1] - probes[before];
    assert!((1_900..4_000).contains(&wait), "{wait}");
}

#[test]
fn a_device_that_only_receives_is_asked_ever_less() {
    let mut drive = device(0);
    for _ in 0..600 {
        drive = drive.advance(1_000).esp_out();
        if drive.device().is_probing() {
            drive = drive.advance(30).answer();
        }
    }
    let probes = drive.probes();
    let (first, last) = (probes[1] - probes[0], &probes[probes.len() - 2..]);
    assert!(first < 30_000, "{probes:?}");
    assert!(last[1] - last[0] >= 160_000, "{probes:?}");
    let drive = drive.esp_in().advance(1_000).esp_out();
    let (before, drive) = (drive.probes().len(), drive.advance(11_000).esp_out());
    assert_eq!(
        drive.probes().len(),
        before + 1,
        "it sends again, so silence counts again"
    );
}

#[test]
fn idle_devices_are_probed_before_their_nat_forgets_them() {
    let drive = device(0).advance(121_000);
    assert_eq!(drive.probes(), [120_000], "nothing is known of the NAT");
    // It comes from another port after a silence of 60 s.
    let drive = device(0).advance(60_000).moved("120.208.142.17/9000");
    let drive = drive.advance(45_100).answer().advance(45_100);
    let probes = drive.probes();
    assert_eq!(probes[0], 105_000, "45 s after the move");
    assert_eq!(probes[1], 150_100, "45 s after the answer");
}

#[test]
fn what_was_learned_survives_a_swap() {
    let drive = device(0).advance(60_000).moved("120.208.142.17/9000");
    let drive = drive.swap(policy()).advance(46_000);
    assert_eq!(drive.probes(), [105_000]);
}

#[test]
fn idle_devices_are_not_asked_together() {
    let mut seconds: Vec<u64> = (0..240)
        .map(|number| device(number).advance(120_000).probes()[0] / 1000)
        .collect();
    assert!(
        seconds.iter().all(|s| (96..=120).contains(s)),
        "{seconds:?}"
    );
    seconds.sort_unstable();
    let most = seconds.chunk_by(|a, b| a == b).map(<[_]>::len).max();
    assert!(most <= Some(20), "240 devices over 24 s: {seconds:?}");
}

#[test]
fn a_template_without_dpd_is_left_alone() {
    let mut device = evidence();
    device.template_settings.mode = Mode::Off;
    let drive = Drive::with(policy(), device).advance(999_000).esp_out();
    assert!(drive.probes().is_empty());
}
