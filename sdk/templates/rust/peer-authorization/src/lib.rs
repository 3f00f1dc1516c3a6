//! Lets in the identities that end as the settings say.

use hawser_sdk::authorization::{PeerAuthorization, Request, Verdict};
use hawser_sdk::{About, Plugin, SettingsError};
use serde::Deserialize;

/// What the operator has to set: settings.schema.json says the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    suffix: String,
}

/// The policy.
pub struct Policy {
    settings: Settings,
}

impl Plugin for Policy {
    type Settings = Settings;
    const ABOUT: About = hawser_sdk::about!(include_str!("../settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, SettingsError> {
        if settings.suffix.is_empty() {
            return Err(SettingsError::new("/suffix", "would let everybody in"));
        }
        Ok(Self { settings })
    }
}

impl PeerAuthorization for Policy {
    fn authorize(&mut self, request: &Request<'_>) -> Verdict {
        if request.identity.ends_with(&self.settings.suffix) {
            return Verdict::allow();
        }
        let detail = format!("{} is none of {}", request.identity, self.settings.suffix);
        Verdict::deny("not-permitted", detail)
    }
}

hawser_sdk::export_peer_authorization!(Policy);

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_sdk::testing::authorization::request;
    use hawser_sdk::{configure, testing};

    #[test]
    fn the_host_would_load_it() {
        testing::check::<Policy>();
    }

    #[test]
    fn only_the_suffix_comes_in() {
        let mut policy = configure::<Policy>(r#"{"suffix": ".branch.example"}"#).unwrap();
        assert_eq!(
            policy.authorize(&request("n1.branch.example")),
            Verdict::allow()
        );
        let verdict = policy.authorize(&request("n1.elsewhere.example"));
        assert!(matches!(verdict, Verdict::Deny(d) if d.code == "not-permitted"));
    }
}
