//! Recorded events as log-format plugins get them.

use crate::admin::api::PeerRow;
use hawser_engine::{event_fields, event_severity};
use hawser_flight::Entry;
use hawser_plugin::log::Event;

/// Every entry as an event, in order.
pub(crate) fn told(peer: &PeerRow, entries: &[Entry]) -> Vec<Event> {
    let endpoint = (!peer.endpoint.is_empty()).then(|| peer.endpoint.clone());
    let event = |(sequence, entry): (u64, &Entry)| {
        let (name, fields) = event_fields(&entry.event);
        Event {
            time_unix_ns: entry.at_ms.saturating_mul(1_000_000),
            sequence,
            shard: peer.shard.unwrap_or(0).into(),
            severity: event_severity(&entry.event),
            name,
            tenant: Some(peer.tenant.clone()),
            template: Some(peer.template.clone()),
            identity: Some(peer.identity.clone()),
            device: peer.device,
            local: None,
            remote: endpoint.clone(),
            fields,
        }
    };
    (1..).zip(entries).map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hawser_flight::CloseCause;
    use hawser_plugin::log::{Severity, Value};

    #[test]
    fn an_event_has_its_name_and_its_fields() {
        let entry = Entry {
            at_ms: 5,
            event: hawser_flight::Event::PeerDown {
                cause: CloseCause::DpdTimeout,
            },
        };
        let events = told(&PeerRow::default(), &[entry]);
        assert_eq!(
            (events[0].name.as_str(), events[0].sequence),
            ("peer_down", 1)
        );
        let cause = Value::Text("dpd_timeout".into());
        assert_eq!(events[0].fields, [("cause".to_owned(), cause)]);
        assert_eq!(events[0].severity, Severity::Warning);
    }
}
