//! Events in words.

use hawser_flight::{Consequence, Event, Lineage, Record, Role};
use jiff::Timestamp;

/// A time as RFC 3339 has it, in UTC, to the millisecond.
pub fn time(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    let stamp = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
    format!("{stamp:.3}")
}

/// An event in a sentence, its peer first: `test (120.208.142.17/8192): ...`.
pub fn of(record: &Record) -> String {
    let what = what(&record.event);
    match &record.peer {
        Some(peer) if &*peer.tenant == "default" => {
            format!("{} ({}): {what}", peer.identity, peer.path.remote_label())
        }
        Some(peer) => {
            format!(
                "{} ({}) of {}: {what}",
                peer.identity,
                peer.path.remote_label(),
                peer.tenant
            )
        }
        None => what,
    }
}

/// An event in a sentence, without its peer.
pub fn what(event: &Event) -> String {
    match event {
        Event::Clocks { .. } => clocks(event),
        Event::PeerUp => "up".to_owned(),
        Event::PeerDown { cause } => format!("down: {cause}"),
        Event::EndpointMoved { from, to } => format!("moved from {from} to {to}, followed"),
        Event::OperatorAction { verb } => format!("operator: {verb}"),
        Event::ConfigApplied { revision } => format!("configuration {revision} applied"),
        Event::Collision { case } => format!("collision of exchanges: {case}"),
        Event::DeleteSent { spi, .. } => format!("DELETE sent for {}", hex(*spi)),
        Event::DeleteReceived { spi, .. } => format!("DELETE received for {}", hex(*spi)),
        Event::ProbeSent { message_id } => format!("probe {message_id} sent"),
        Event::ProbeFailed { message_id } => format!("probe {message_id} never answered"),
        Event::ProbeAnswered { message_id, rtt_us } => {
            format!(
                "probe {message_id} answered in {:.1} ms",
                f64::from(*rtt_us) / 1000.0
            )
        }
        Event::Retransmitted {
            exchange,
            message_id,
            attempt,
        } => {
            format!("request {message_id} of exchange {exchange} sent again ({attempt})")
        }
        Event::InnerDevice {
            tenant,
            interface,
            present: false,
        } => format!(
            "interface {interface} of tenant {tenant} was taken away: it is made again; the tunnels stay, and what \
             is for it is dropped meanwhile"
        ),
        Event::InnerDevice {
            tenant, interface, ..
        } => format!("interface {interface} of tenant {tenant} is there again, with its routes"),
        Event::Trains {
            local,
            taken: false,
        } => format!(
            "the way out of {local} refuses trains of datagrams (UDP GSO): each leaves alone, which is slow; tried \
             again in a while"
        ),
        Event::Trains { local, .. } => format!("trains of datagrams (UDP GSO) leave {local} again"),
        Event::LogOutput {
            output,
            works: false,
            reason,
            ..
        } => format!("the log's output {output} does not take lines: {reason}"),
        Event::LogOutput {
            output, dropped, ..
        } => format!("the log's output {output} takes lines again; {dropped} are missing there"),
        Event::EventsLeftOut { count } => {
            format!("{count} events are not in the log: too many at once")
        }
        event => upkeep(event),
    }
}

/// Events about devices that are gone, and come back.
fn upkeep(event: &Event) -> String {
    match event {
        Event::Parked { spi, cause } => {
            format!("IKE SA {spi:016x} parked ({cause}): it goes on when the peer does")
        }
        Event::Resurrected {
            spi,
            from,
            parked_ms,
        } => format!(
            "IKE SA {spi:016x} goes on after {:.1} s, at {from}",
            std::time::Duration::from_millis(*parked_ms).as_secs_f64()
        ),
        Event::TombstoneHit { spi, from } => {
            format!("still uses the deleted SA {}, at {from}", hex(*spi))
        }
        Event::RevivalBegun { after, to } => format!("gone ({after}): to be revived at {to}"),
        Event::RevivalAttempt { attempt, to } => format!("revival {attempt} at {to}"),
        Event::RevivalEnded { outcome } => format!("revival over: {}", words(outcome)),
        Event::AuditFailed => "the IKE SA does not answer; nothing ends by that".to_owned(),
        Event::Repaired { what } => format!("repaired: {}", words(what)),
        event => sa(event),
    }
}

/// The stable name of a value, in words.
fn words(value: &impl serde::Serialize) -> String {
    let name = serde_json::to_value(value).unwrap_or_default();
    name.as_str().unwrap_or_default().replace('_', " ")
}

/// How a device stood.
fn clocks(event: &Event) -> String {
    let Event::Clocks {
        ike_in_ms,
        esp_in_ms,
        esp_out_ms,
        packets_in,
        packets_out,
    } = event
    else {
        return String::new();
    };
    let ago = |ms: &Option<u32>| match ms {
        Some(ms) => format!("{:.1} s ago", f64::from(*ms) / 1000.0),
        None => "never".to_owned(),
    };
    format!(
        "last IKE in {}; last ESP in {}, out {}; {packets_in} packets in, {packets_out} out",
        ago(ike_in_ms),
        ago(esp_in_ms),
        ago(esp_out_ms)
    )
}

/// Events about SAs.
fn sa(event: &Event) -> String {
    match event {
        Event::IkeSaEstablished {
            role,
            spi_i,
            spi_r,
            suite,
            peer_behind_nat,
            lineage,
            ..
        } => {
            let nat = if *peer_behind_nat {
                ", behind a NAT"
            } else {
                ""
            };
            let by = by(*role);
            format!(
                "IKE SA {spi_i:016x}_{spi_r:016x} {}, {by}: {suite}{nat}",
                born(lineage)
            )
        }
        Event::IkeSaClosed {
            spi_i,
            spi_r,
            cause,
        } => {
            format!("IKE SA {spi_i:016x}_{spi_r:016x} closed: {cause}")
        }
        Event::ChildSaInstalled {
            spi_in,
            spi_out,
            suite,
            local,
            remote,
            lineage,
        } => format!(
            "Child SA {spi_in:08x}/{spi_out:08x} {}: {local} === {remote}, {suite}",
            born(lineage)
        ),
        Event::ChildSaRemoved {
            spi_in,
            spi_out,
            cause,
        } => {
            format!("Child SA {spi_in:08x}/{spi_out:08x} removed: {cause}")
        }
        event => refused(event),
    }
}

/// Events about what was refused.
fn refused(event: &Event) -> String {
    match event {
        Event::HandshakeFailed {
            role,
            path,
            claimed_identity,
            reason,
        } => {
            let claimed = claimed_identity.as_deref().map(|i| format!(" as `{i}`"));
            let (who, by) = (path.remote_label(), by(*role));
            format!(
                "handshake with {who}{}, {by}, failed: {reason}",
                claimed.unwrap_or_default()
            )
        }
        Event::MessageRefused { source, reason } => {
            format!("message of {source} refused: {reason}")
        }
        Event::ChildSaRefused { role, reason } => {
            format!("Child SA, {}, refused: {reason}", by(*role))
        }
        Event::SelectorConflict { prefix, holder } => {
            format!("claims {prefix}, which {holder} holds")
        }
        Event::RouteRefused { prefix } => format!("route to {prefix} refused"),
        Event::WeakAlgorithm { suite } => format!("weak algorithm in use: {suite}"),
        Event::InvalidSpiHint { spi } => format!("says that it does not know SPI {spi:08x}"),
        Event::AuthLifetime { seconds } => {
            format!("wants to be authenticated anew within {seconds} s")
        }
        Event::UnknownSpiReported { spi } => {
            format!("sends on SPI {spi:08x}, which is unknown here, and was told so")
        }
        event => plugin(event),
    }
}

/// Events about plugins.
fn plugin(event: &Event) -> String {
    match event {
        Event::PluginDecided {
            hook,
            plugin,
            version,
            generation,
            decision,
        } => format!("{hook}: {plugin} {version} (generation {generation}) decided: {decision}"),
        Event::PluginUndecided {
            hook,
            fallback,
            reason,
        } => format!("{hook}: undecided ({reason}); fallback: {fallback}"),
        Event::PluginChanged {
            change,
            hook,
            scope,
            plugin,
            detail,
        } => {
            let change = change.replace('_', " ");
            let mut text = format!("plugin of {hook} {scope} {change}: {plugin}");
            if !detail.is_empty() {
                text.push_str(&format!("; {detail}"));
            }
            text
        }
        Event::CaptureBegun {
            target,
            seconds,
            keys,
            uid,
            pid,
        } => {
            let what = if *keys { "packets and keys" } else { "packets" };
            let process = pid.map(|pid| format!(", process {pid}"));
            format!(
                "{what} of {target} are captured for {seconds} s at most: asked by user {uid}{}",
                process.unwrap_or_default()
            )
        }
        Event::ConfigAffects { consequence } => match consequence {
            Consequence::Rekey => "the configuration has changed: SAs are rekeyed",
            Consequence::Reauthenticate => {
                "the configuration has changed: a new IKE SA is made beside the old one"
            }
            Consequence::StayUntilEnd => {
                "the configuration has changed: what it has stays as it was made until it ends"
            }
            Consequence::Close => "the configuration does not allow it any more: SAs are deleted",
        }
        .to_owned(),
        // Whatever `flight` will have more: as it is.
        other => format!("{other:?}"),
    }
}

fn by(role: Role) -> &'static str {
    match role {
        Role::Initiator => "begun by us",
        Role::Responder => "begun by the peer",
    }
}

/// An SPI in the width of its protocol: those of ESP have 32 bits, those of IKE 64 (RFC 7296 3.1).
fn hex(spi: u64) -> String {
    u32::try_from(spi).map_or_else(|_| format!("{spi:016x}"), |spi| format!("{spi:08x}"))
}

fn born(lineage: &Lineage) -> String {
    match lineage {
        Lineage::Initial => "established".to_owned(),
        Lineage::Rekey(parent) => format!("rekeyed from {parent:016x}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use hawser_flight::{CloseCause, Path, PeerLabel};
    use std::sync::Arc;

    #[test]
    fn a_sentence_names_the_peer_as_the_case_does() {
        let path = Path {
            local: "183.203.181.185:4500".parse().unwrap(),
            remote: "120.208.142.17:8192".parse().unwrap(),
            encapsulated: true,
        };
        let peer = PeerLabel {
            instance: 7,
            tenant: "default".into(),
            template: "1".into(),
            identity: "test".into(),
            path,
        };
        let event = Event::PeerDown {
            cause: CloseCause::DpdTimeout,
        };
        let record = Record {
            unix_ms: 0,
            shard: 0,
            peer: Some(Arc::new(peer)),
            event,
        };
        assert_eq!(of(&record), "test (120.208.142.17/8192): down: dpd_timeout");
        assert_eq!(time(record.unix_ms), "1970-01-01T00:00:00.000Z");
    }
}
