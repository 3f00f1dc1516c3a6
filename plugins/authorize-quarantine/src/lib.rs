//! Limits devices that flap and identities that are shared, and kills nothing.
//!
//! In the case every branch says that it is `test`: turning such branches away would be a worse
//! failure than the one that is fought. So whoever is conspicuous comes in, in quarantine: with
//! narrowed selectors and a shorter lifetime where the settings say so, and marked with the
//! attribute `quarantine` (`flapping`, `shared` or both) for status and metrics. Only what goes far
//! beyond the limits is denied, as `quarantined`: a new handshake, never a tunnel that lives.

use hawser_sdk::authorization::{Grant, PeerAuthorization, Request, Verdict};
use hawser_sdk::net::{Range, Selector};
use hawser_sdk::{About, Plugin, SettingsError, host};
use serde::Deserialize;

/// What is conspicuous, and what follows.
#[derive(Deserialize, Debug)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    flapping_downs: u32,
    flapping_ups: u32,
    devices: u32,
    shared_devices: u32,
    lifetime_s: Option<u64>,
    selectors: Option<Vec<String>>,
    exempt: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            flapping_downs: 6,
            flapping_ups: 60,
            devices: 1,
            shared_devices: 1000,
            lifetime_s: None,
            selectors: None,
            exempt: Vec::new(),
        }
    }
}

/// The policy.
#[derive(Debug)]
pub struct Quarantine {
    settings: Settings,
    selectors: Option<Vec<Range>>,
}

impl Plugin for Quarantine {
    type Settings = Settings;
    const ABOUT: About = hawser_sdk::about!(include_str!("../settings.schema.json"));

    fn new(mut settings: Settings) -> Result<Self, SettingsError> {
        let counts = [
            ("/flapping-downs", settings.flapping_downs),
            ("/flapping-ups", settings.flapping_ups),
            ("/devices", settings.devices),
            ("/shared-devices", settings.shared_devices),
        ];
        if let Some((path, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(SettingsError::new(*path, "at least 1"));
        }
        if settings.lifetime_s.is_some_and(|s| s < 300) {
            return Err(SettingsError::new("/lifetime-s", "at least 300"));
        }
        let texts = settings.selectors.take();
        let parse = |(n, text): (usize, String)| {
            let range = text.parse::<Range>();
            range.map_err(|e| SettingsError::new(format!("/selectors/{n}"), e))
        };
        let selectors = texts.map(|all| all.into_iter().enumerate().map(parse).collect());
        Ok(Self {
            selectors: selectors.transpose()?,
            settings,
        })
    }
}

impl PeerAuthorization for Quarantine {
    fn authorize(&mut self, request: &Request<'_>) -> Verdict {
        let set = &self.settings;
        if set.exempt.iter().any(|e| e == request.identity) {
            return Verdict::allow();
        }
        let flapping = request.downs >= set.flapping_downs;
        // This one would be one more.
        let devices = request.identity_devices.saturating_add(1);
        let shared = devices > set.devices;
        let who = &request.identity;
        if flapping && request.ups >= set.flapping_ups {
            let (ups, downs) = (request.ups, request.downs);
            let detail = format!("{who} came up {ups} and went down {downs} times within an hour");
            return Verdict::deny("quarantined", detail);
        }
        if devices > set.shared_devices {
            let detail = format!("{who} would be {devices} devices");
            return Verdict::deny("quarantined", detail);
        }
        let why = match (flapping, shared) {
            (false, false) => return Verdict::allow(),
            (true, false) => "flapping",
            (false, true) => "shared",
            (true, true) => "flapping shared",
        };
        self.limited(request, why)
    }
}

impl Quarantine {
    fn limited(&self, request: &Request<'_>, why: &str) -> Verdict {
        let mut grant = Grant::everything().with_attribute("quarantine", why);
        grant.lifetime_s = self.settings.lifetime_s;
        if let Some(allowed) = &self.selectors {
            let asked = request.remote_selectors.iter();
            let asked = asked.filter_map(|s| s.parse::<Selector>().ok());
            let parts = asked.flat_map(|s| allowed.iter().filter_map(move |r| s.within(r)));
            grant.remote_selectors = parts.map(|s| s.to_string()).collect();
            if grant.remote_selectors.is_empty() {
                let asked = request.remote_selectors.join(" ");
                let detail = format!("{} is {why}; nothing of {asked} is open", request.identity);
                return Verdict::deny("quarantined", detail);
            }
        }
        host::count("quarantined", 1);
        Verdict::Allow(grant)
    }
}

hawser_sdk::export_peer_authorization!(Quarantine);

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_sdk::testing::authorization::request;
    use hawser_sdk::{configure, testing};

    fn verdict(settings: &str, request: &Request<'_>) -> Verdict {
        configure::<Quarantine>(settings)
            .expect("good settings")
            .authorize(request)
    }

    fn test(devices: u32, ups: u32, downs: u32) -> Request<'static> {
        Request {
            identity_devices: devices,
            ups,
            downs,
            ..request("test")
        }
    }

    fn marked(why: &str) -> Verdict {
        Verdict::Allow(Grant::everything().with_attribute("quarantine", why))
    }

    fn detail(verdict: Verdict) -> String {
        match verdict {
            Verdict::Deny(denial) => {
                assert_eq!(denial.code, "quarantined");
                denial.detail
            }
            Verdict::Allow(grant) => panic!("allowed: {grant:?}"),
        }
    }

    #[test]
    fn it_is_what_it_says() {
        testing::check::<Quarantine>();
        let path = |text| configure::<Quarantine>(text).expect_err("refused").path;
        assert_eq!(path(r#"{"devices": 0}"#), "/devices");
        assert_eq!(path(r#"{"lifetime-s": 10}"#), "/lifetime-s");
        assert_eq!(
            path(r#"{"selectors": ["10.0.0.0/8", "ten"]}"#),
            "/selectors/1"
        );
    }

    #[test]
    fn who_is_not_conspicuous_has_all_it_asks_for() {
        assert_eq!(verdict("{}", &test(0, 5, 5)), Verdict::allow());
    }

    #[test]
    fn shared_and_flapping_identities_come_in_and_are_marked() {
        testing::host::take();
        assert_eq!(verdict("{}", &test(1, 0, 0)), marked("shared"));
        assert_eq!(verdict("{}", &test(0, 6, 6)), marked("flapping"));
        assert_eq!(verdict("{}", &test(300, 6, 6)), marked("flapping shared"));
        assert_eq!(testing::host::take().counters["quarantined"], 3);
    }

    #[test]
    fn only_what_goes_far_beyond_is_denied() {
        let often = verdict("{}", &test(0, 60, 59));
        assert_eq!(
            detail(often),
            "test came up 60 and went down 59 times within an hour"
        );
        let many = verdict("{}", &test(1000, 0, 0));
        assert_eq!(detail(many), "test would be 1001 devices");
        assert_eq!(
            verdict(r#"{"exempt": ["test"]}"#, &test(1000, 99, 99)),
            Verdict::allow()
        );
    }

    #[test]
    fn quarantine_narrows() {
        let settings = r#"{"lifetime-s": 600, "selectors": ["172.16.19.0/28"]}"#;
        let Verdict::Allow(grant) = verdict(settings, &test(1, 0, 0)) else {
            panic!("it comes in");
        };
        assert_eq!(grant.lifetime_s, Some(600));
        assert_eq!(grant.remote_selectors, ["172.16.19.0/28"]);
        let elsewhere = verdict(r#"{"selectors": ["10.0.0.0/8"]}"#, &test(1, 0, 0));
        assert_eq!(
            detail(elsewhere),
            "test is shared; nothing of 172.16.19.0/24 is open"
        );
    }
}
