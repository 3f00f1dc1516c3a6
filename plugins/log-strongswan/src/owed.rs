//! Answers to the peer's DELETEs of IKE SAs, which charon tells of when the SA ends.

use hawser_log_text::Sas;
use hawser_sdk::log::Event;
use std::collections::BTreeMap;

/// DELETEs that are remembered; the end of the SA follows at once.
const LIMIT: usize = 1024;

/// By the number of the IKE SA, the Message ID of the DELETE.
#[derive(Default, Debug)]
pub(crate) struct Owed(BTreeMap<u64, u64>);

impl Owed {
    /// Takes up a DELETE of an IKE SA; at the end of that SA its Message ID.
    pub(crate) fn follow(&mut self, event: &Event<'_>, sas: &Sas) -> Option<u64> {
        match event.name {
            "delete_received" => {
                let sa = sas.ike_sa_with(event.unsigned("spi")?)?;
                self.0.insert(sa.number, event.unsigned("message_id")?);
                if self.0.len() > LIMIT {
                    self.0.pop_first();
                }
                None
            }
            "ike_sa_closed" => self.0.remove(&sas.ike_sa(event)?.number),
            _ => None,
        }
    }
}
