//! What charon says to an event, by its log groups.

use hawser_log_text::{IkeSa, Sas, host_port, sentence};
use hawser_sdk::log::Event;

/// A log group (`IKE`, `NET`, `ENC`, `CHD`) and its text.
type Line = (&'static str, String);

/// The lines of this event; `answered`: the Message ID of the peer's DELETE that ends an IKE SA.
pub(crate) fn of(
    event: &Event<'_>,
    sas: &Sas,
    own_identity: Option<&str>,
    answered: Option<u64>,
) -> Vec<Line> {
    let ends = Ends::of(event, own_identity);
    match event.name {
        "ike_sa_established" => established(event, sas, &ends),
        "ike_sa_closed" => closed(event, sas, &ends, answered),
        "child_sa_installed" => child_installed(event, sas),
        "child_sa_removed" => child_removed(event, sas),
        "probe_sent" => {
            let mut lines = vec![("IKE", "sending DPD request".to_owned())];
            lines.extend(message(event, "generating INFORMATIONAL request", "[ ]"));
            lines.push(ends.sending(event));
            lines
        }
        "probe_answered" => {
            let mut lines = vec![ends.received(event)];
            lines.extend(message(event, "parsed INFORMATIONAL response", "[ ]"));
            lines
        }
        "probe_failed" => vec![("IKE", "giving up after the last retransmit".to_owned())],
        "retransmitted" => {
            let attempt = event.unsigned("attempt").unwrap_or(0);
            let id = event.unsigned("message_id").unwrap_or(0);
            let text = format!("retransmit {attempt} of request with message ID {id}");
            vec![("IKE", text), ends.sending(event)]
        }
        "delete_sent" => delete_sent(event, sas, &ends),
        "delete_received" => delete_received(event, sas, &ends),
        _ => vec![("IKE", sentence(event))],
    }
}

/// Both ends of an event.
struct Ends {
    local: (String, String),
    remote: (String, String),
    own: String,
    identity: String,
}

impl Ends {
    fn of(event: &Event<'_>, own_identity: Option<&str>) -> Self {
        let end = |endpoint: Option<&str>| -> (String, String) {
            let (host, port) = host_port(endpoint.unwrap_or("%any/0"));
            (host.to_owned(), port.to_owned())
        };
        let (local, remote) = (end(event.local), end(event.remote));
        Self {
            own: own_identity.unwrap_or(&local.0).to_owned(),
            identity: event.identity.unwrap_or("%any").to_owned(),
            local,
            remote,
        }
    }

    /// `183.203.181.185[183.203.181.185]...120.208.142.17[test]`.
    fn between(&self) -> String {
        let (local, remote) = (&self.local.0, &self.remote.0);
        format!("{local}[{}]...{remote}[{}]", self.own, self.identity)
    }

    fn sending(&self, event: &Event<'_>) -> Line {
        (
            "NET",
            packet("sending packet", &self.local, &self.remote, event),
        )
    }

    fn received(&self, event: &Event<'_>) -> Line {
        (
            "NET",
            packet("received packet", &self.remote, &self.local, event),
        )
    }
}

fn packet(what: &str, from: &(String, String), to: &(String, String), event: &Event<'_>) -> String {
    let size = event.unsigned("bytes").map(|b| format!(" ({b} bytes)"));
    format!(
        "{what}: from {}[{}] to {}[{}]{}",
        from.0,
        from.1,
        to.0,
        to.1,
        size.unwrap_or_default()
    )
}

/// A line of the encoder, if the Message ID is known.
fn message(event: &Event<'_>, what: &str, payloads: &str) -> Option<Line> {
    let id = event.unsigned("message_id")?;
    Some(("ENC", format!("{what} {id} {payloads}")))
}

fn state(number: u64, from: &str, to: &str) -> Line {
    (
        "IKE",
        format!("IKE_SA [{number}] state change: {from} => {to}"),
    )
}

fn alive(sa: &IkeSa) -> &'static str {
    if sa.rekeyed { "REKEYED" } else { "ESTABLISHED" }
}

fn established(event: &Event<'_>, sas: &Sas, ends: &Ends) -> Vec<Line> {
    let Some(sa) = sas.ike_sa(event) else {
        return vec![("IKE", sentence(event))];
    };
    let (n, between) = (sa.number, ends.between());
    let parent = event.unsigned("lineage.parent");
    match parent.and_then(|spi| sas.ike_sa_with(spi)) {
        Some(old) => {
            let mut lines = vec![
                ("IKE", format!("IKE_SA [{n}] rekeyed between {between}")),
                state(old.number, "ESTABLISHED", "REKEYED"),
            ];
            // The responder of the exchange answers it in the same moment.
            if event.text("role") == Some("responder") {
                let answer = "generating CREATE_CHILD_SA response";
                lines.extend(message(event, answer, "[ SA No KE ]"));
                lines.push(ends.sending(event));
            }
            lines
        }
        None => vec![
            ("IKE", format!("IKE_SA [{n}] established between {between}")),
            state(n, "CONNECTING", "ESTABLISHED"),
        ],
    }
}

fn closed(event: &Event<'_>, sas: &Sas, ends: &Ends, answered: Option<u64>) -> Vec<Line> {
    let Some(sa) = sas.ike_sa(event) else {
        return vec![("IKE", sentence(event))];
    };
    let (n, between) = (sa.number, ends.between());
    let mut lines = match event.text("cause") {
        Some("dpd_timeout" | "retransmit_timeout") => {
            return vec![state(n, alive(sa), "DESTROYING")];
        }
        Some("deleted_by_peer" | "rekeyed") => vec![
            ("IKE", format!("deleting IKE_SA [{n}] between {between}")),
            state(n, alive(sa), "DELETING"),
        ],
        _ => Vec::new(),
    };
    lines.push(("IKE", "IKE_SA deleted".to_owned()));
    if let Some(id) = answered {
        lines.push(("ENC", format!("generating INFORMATIONAL response {id} [ ]")));
        lines.push(ends.sending(event));
    }
    lines.push(state(n, "DELETING", "DESTROYING"));
    lines
}

fn delete_sent(event: &Event<'_>, sas: &Sas, ends: &Ends) -> Vec<Line> {
    let spi = event.unsigned("spi").unwrap_or(0);
    let mut lines = Vec::new();
    match sas.ike_sa_with(spi) {
        Some(sa) => {
            let (n, between) = (sa.number, ends.between());
            let tasks = [
                "queuing IKE_DELETE task",
                "activating new tasks",
                "activating IKE_DELETE task",
            ];
            lines.extend(tasks.map(|t| ("IKE", t.to_owned())));
            lines.push(("IKE", format!("deleting IKE_SA [{n}] between {between}")));
            lines.push(state(n, alive(sa), "DELETING"));
            lines.push(("IKE", format!("sending DELETE for IKE_SA [{n}]")));
        }
        None => {
            let text = format!("sending DELETE for ESP CHILD_SA with SPI {spi:08x}");
            lines.push(("IKE", text));
        }
    }
    lines.extend(message(event, "generating INFORMATIONAL request", "[ D ]"));
    lines.push(ends.sending(event));
    lines
}

fn delete_received(event: &Event<'_>, sas: &Sas, ends: &Ends) -> Vec<Line> {
    let spi = event.unsigned("spi").unwrap_or(0);
    let mut lines = vec![ends.received(event)];
    lines.extend(message(event, "parsed INFORMATIONAL request", "[ D ]"));
    let text = match sas.ike_sa_with(spi) {
        Some(sa) => format!("received DELETE for IKE_SA [{}]", sa.number),
        None => format!("received DELETE for ESP CHILD_SA with SPI {spi:08x}"),
    };
    lines.push(("IKE", text));
    lines
}

fn child_installed(event: &Event<'_>, sas: &Sas) -> Vec<Line> {
    let number = sas.child_sa(event).map_or(0, |sa| sa.number);
    let spi = |name| event.unsigned(name).unwrap_or(0);
    let (inbound, outbound) = (spi("spi_in"), spi("spi_out"));
    let text = |name| event.text(name).unwrap_or_default();
    let (local, remote) = (text("local"), text("remote"));
    let text = format!(
        "CHILD_SA [{number}] established with SPIs {inbound:08x}_i {outbound:08x}_o and TS \
         {local} === {remote}"
    );
    vec![("IKE", text)]
}

fn child_removed(event: &Event<'_>, sas: &Sas) -> Vec<Line> {
    let number = sas.child_sa(event).map_or(0, |sa| sa.number);
    let was = if event.text("cause") == Some("rekeyed") {
        "REKEYED"
    } else {
        "INSTALLED"
    };
    let text = format!("CHILD_SA [{number}] state change: {was} => DESTROYING");
    vec![("CHD", text)]
}
