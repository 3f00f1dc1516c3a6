//! Lines as strongSwan's charon writes them, in the form of the case:
//! `Wed, 2023-11-01 01:23 14[IKE] <121> IKE_SA [122] rekeyed between ...`.
//!
//! The number of the thread is the shard's, from 1. SAs are numbered from 1 in each instance, as
//! charon numbers them in each run. Message IDs and sizes stand in a line where the event has them
//! (`message_id`, `bytes`); a line that would be only a Message ID is left out otherwise. Events
//! that charon has no line for come with their name and fields.
//!
//! Of the case's lines four are missing, for Hawser does not do what they tell of, or does not know it: when charon will
//! authenticate anew by itself (`rescheduling reauthentication`, `unable to reauthenticate`), which a responder leaves to
//! the initiator; and the answer to our own DELETE, which has no event: the end of the SA does not tell whether it came.

mod lines;
mod owed;

use hawser_log_text::{Civil, Sas};
use hawser_sdk::log::{Event, LogFormat};
use hawser_sdk::{About, Plugin, SettingsError};
use owed::Owed;
use serde::Deserialize;

/// What the lines say besides the events.
#[derive(Deserialize, Default, Debug)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    utc_offset_minutes: i32,
    local_identity: Option<String>,
}

/// The format.
#[derive(Debug)]
pub struct StrongSwan {
    settings: Settings,
    sas: Sas,
    owed: Owed,
}

impl Plugin for StrongSwan {
    type Settings = Settings;
    const ABOUT: About = hawser_sdk::about!(include_str!("../settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, SettingsError> {
        if settings.utc_offset_minutes.abs() > 840 {
            let message = "further than 14 hours from Greenwich";
            return Err(SettingsError::new("/utc-offset-minutes", message));
        }
        Ok(Self {
            settings,
            sas: Sas::default(),
            owed: Owed::default(),
        })
    }
}

impl LogFormat for StrongSwan {
    fn format(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        // A successor is reported under the number of the SA that it replaces.
        let parent = event.unsigned("lineage.parent");
        self.sas.begin(event);
        let old = parent.and_then(|spi| self.sas.ike_sa_with(spi));
        let about = old.or_else(|| self.sas.ike_sa(event)).map(|sa| sa.number);
        let time = Civil::new(event.time_unix_ns, self.settings.utc_offset_minutes);
        let head = format!(
            "{}, {}-{:02}-{:02} {:02}:{:02} {:02}",
            time.weekday_name(),
            time.year,
            time.month,
            time.day,
            time.hour,
            time.minute,
            u32::from(event.shard) + 1,
        );
        let number = about.map_or(String::new(), |n| format!("<{n}> "));
        let own = self.settings.local_identity.as_deref();
        let answered = self.owed.follow(event, &self.sas);
        for (group, text) in lines::of(event, &self.sas, own, answered) {
            let line = format!("{head}[{group}] {number}{text}\n");
            out.extend_from_slice(line.as_bytes());
        }
        self.sas.end(event);
        Ok(())
    }
}

hawser_sdk::export_log_format!(StrongSwan);

#[cfg(test)]
mod tests;
