//! Lines as Comware writes them, those of the case to the letter: `IKEV2/7/DPD-MESSAGE`, `PACKET`,
//! `FSM` and `EVENT`, and `IPSEC/6/IPSEC_SA_TERMINATE` with its reason and the SA information.
//!
//! What existing scripts look for in a headquarters' log file they find again. Events that Comware
//! has no line for become an `EVENT` with the event's name and fields.
//!
//! An event about the end of an SA does not repeat its selectors and role: the plugin remembers
//! them from its beginning. For an SA from before this instance those fields are empty.

mod block;

use hawser_log_text::{Civil, Sas, host_port, sentence};
use hawser_sdk::log::{Event, LogFormat};
use hawser_sdk::{About, Plugin, SettingsError};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// IANA's number of the exchange that a probe is.
const INFORMATIONAL: u64 = 37;

/// How the lines name this device.
#[derive(Deserialize, Debug)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    sysname: String,
    context: u16,
    vrf: BTreeMap<String, u32>,
    utc_offset_minutes: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sysname: "H3C".to_owned(),
            context: 1,
            vrf: BTreeMap::new(),
            utc_offset_minutes: 0,
        }
    }
}

/// The format.
#[derive(Debug)]
pub struct Comware {
    settings: Settings,
    sas: Sas,
    /// Message ID of the probe under way, for each device.
    probes: BTreeMap<u64, u64>,
}

impl Plugin for Comware {
    type Settings = Settings;
    const ABOUT: About = hawser_sdk::about!(include_str!("../settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, SettingsError> {
        let name = settings.sysname.as_bytes();
        if name.is_empty() || name.len() > 64 || !name.iter().all(u8::is_ascii_graphic) {
            let message = "1 to 64 printable ASCII characters without spaces";
            return Err(SettingsError::new("/sysname", message));
        }
        if settings.utc_offset_minutes.abs() > 840 {
            let message = "further than 14 hours from Greenwich";
            return Err(SettingsError::new("/utc-offset-minutes", message));
        }
        Ok(Self {
            settings,
            sas: Sas::default(),
            probes: BTreeMap::new(),
        })
    }
}

impl LogFormat for Comware {
    fn format(&mut self, event: &Event<'_>, lines: &mut Vec<u8>) -> Result<(), String> {
        self.sas.begin(event);
        let text = self.text(event);
        lines.extend_from_slice(text.as_bytes());
        self.sas.end(event);
        Ok(())
    }
}

impl Comware {
    fn text(&mut self, event: &Event<'_>) -> String {
        let message_id = event.unsigned("message_id").unwrap_or(0);
        let device = event.device.unwrap_or(0);
        match event.name {
            "probe_sent" => {
                self.probes.insert(device, message_id);
                self.probe(event, message_id, "Send DPD packet.")
            }
            "retransmitted" if self.is_probe(event, device, message_id) => {
                self.probe(event, message_id, "Retransmit DPD packet.")
            }
            "probe_answered" | "probe_failed" => {
                self.probes.remove(&device);
                self.line(event, "DPD-MESSAGE", &capital(&sentence(event)))
            }
            "child_sa_installed" => self.sa(event, "IPSEC_SA_ESTABLISH", "established", None),
            "child_sa_removed" => self.removed(event),
            name => {
                if name == "peer_down" {
                    self.probes.remove(&device);
                }
                self.line(event, "EVENT", &capital(&sentence(event)))
            }
        }
    }

    fn is_probe(&self, event: &Event<'_>, device: u64, message_id: u64) -> bool {
        event.unsigned("exchange") == Some(INFORMATIONAL)
            && self.probes.get(&device) == Some(&message_id)
    }

    /// `*Nov 8 02:36:03:634 2023 H3C IKEV2/7/`: `*` is debugging, `%` is the log.
    fn stamp(&self, event: &Event<'_>, mark: char, module: &str) -> String {
        let time = Civil::new(event.time_unix_ns, self.settings.utc_offset_minutes);
        format!(
            "{mark}{} {} {:02}:{:02}:{:02}:{:03} {} {} {module}: -Context={}; ",
            time.month_name(),
            time.day,
            time.hour,
            time.minute,
            time.second,
            time.millisecond(),
            time.year,
            self.settings.sysname,
            self.settings.context,
        )
    }

    /// A header with the pair of addresses, and what is said under it.
    fn line(&self, event: &Event<'_>, mnemonic: &str, text: &str) -> String {
        let mut line = self.stamp(event, '*', &format!("IKEV2/7/{mnemonic}"));
        let tenant = event.tenant.unwrap_or_default();
        let vrf = self.settings.vrf.get(tenant).copied().unwrap_or(0);
        let _ = write!(line, "vrf = {vrf}");
        if let (Some(local), Some(remote)) = (&event.local, &event.remote) {
            let _ = write!(line, ", src = {}, dst = {remote}", host_port(local).0);
        }
        line.push('\n');
        line.push_str(text);
        line.push('\n');
        line
    }

    fn probe(&self, event: &Event<'_>, message_id: u64, what: &str) -> String {
        let (_, local_port) = host_port(event.local.unwrap_or_default());
        let (address, port) = host_port(event.remote.unwrap_or_default());
        let sending =
            format!("Sending packet to {address} remote port {port}, local port {local_port}.");
        let spis = self.sas.ike_sa(event);
        let (spi_i, spi_r) = spis.map_or((0, 0), |sa| (sa.spi_i, sa.spi_r));
        let packet = format!(
            "I-SPI: {spi_i:016x}\nR-SPI: {spi_r:016x}\nMessage ID: {message_id}\n\
             Exchange type: INFORMATIONAL\nFlags: REQUEST"
        );
        self.line(event, "DPD-MESSAGE", what)
            + &self.line(event, "DPD-MESSAGE", &sending)
            + &self.line(event, "PACKET", &packet)
    }

    fn removed(&self, event: &Event<'_>) -> String {
        let cause = event.text("cause").unwrap_or_default();
        let mut text = self.sa(event, "IPSEC_SA_TERMINATE", "deleted", Some(reason(cause)));
        // Comware's state machine prints the SPI in the order of octets of its processor.
        let spi = event.unsigned("spi_in").unwrap_or(0);
        let spi = u32::try_from(spi).unwrap_or(0).swap_bytes();
        text += &self.line(
            event,
            "FSM",
            &format!("Child SA(ESP SPI {spi:#010x}) deleted."),
        );
        if matches!(cause, "dpd_timeout" | "ike_sa_closed") {
            text += &self.line(event, "EVENT", "[IKE->IPsec] Send delete DPD request.");
        }
        text
    }

    fn sa(&self, event: &Event<'_>, mnemonic: &str, what: &str, reason: Option<&str>) -> String {
        let mut text = self.stamp(event, '%', &format!("IPSEC/6/{mnemonic}"));
        let _ = writeln!(text, "IPsec SA was {what}.");
        if let Some(reason) = reason {
            let _ = writeln!(text, "Reason: {reason}");
        }
        block::write(&mut text, event, self.sas.child_sa(event));
        text
    }
}

/// The reason as Comware says it, where it says it.
fn reason(cause: &str) -> &'static str {
    match cause {
        "dpd_timeout" | "retransmit_timeout" | "ike_sa_closed" => {
            "An IKE SA deletion message was received."
        }
        "deleted_by_peer" => "An IKE IPsec SA deletion message was received.",
        "expired" => "SA hard lifetime expired.",
        "admin" | "shutdown" => "The reset command was executed.",
        "configuration_changed" => "Configuration change.",
        "superseded" => "A new IKE SA of the same peer took over.",
        "rekeyed" | "rekey_collision" => "The SA was replaced by rekeying.",
        _ => "Internal event.",
    }
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(rest).chain(['.']).collect()
}

hawser_sdk::export_log_format!(Comware);

#[cfg(test)]
mod tests;
