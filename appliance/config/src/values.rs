//! How single values are written: durations, identities, secrets, outputs of the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hawser_policy::{Identity, IdentityPattern, LogOutput, SyslogServer};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// Units of durations, in milliseconds, the largest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads `20s`, `5m`, `24h`, `1d`, `250ms`, or a number of seconds.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit = if unit.is_empty() { "s" } else { unit };
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*millis).map(Duration::from_millis)
}

/// Writes a duration in the largest unit that loses nothing.
pub(crate) fn duration_text(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, unit): &&(&str, u64)| millis != 0 && millis.is_multiple_of(*unit);
    match UNITS.iter().find(fits) {
        Some((name, unit)) => format!("{}{name}", millis / unit),
        None => "0s".to_owned(),
    }
}

/// Writes an identity so that it reads back as itself, if that is possible.
pub(crate) fn identity_text(identity: &Identity) -> Option<String> {
    let plain = match identity {
        Identity::Fqdn(name) | Identity::Email(name) => name.clone(),
        other => other.to_string(),
    };
    let forced = format!("@{plain}");
    [plain, forced]
        .into_iter()
        .find(|text| Identity::parse(text).as_ref() == Some(identity))
}

/// Writes a pattern so that it reads back as itself, if that is possible.
pub(crate) fn pattern_text(pattern: &IdentityPattern) -> Option<String> {
    let text = match pattern {
        IdentityPattern::Exact(identity) => {
            let plain = identity_text(identity)?;
            // `any` and the like are patterns, not names.
            let reads = IdentityPattern::parse(&plain).as_ref() == Some(pattern);
            if reads { plain } else { format!("@{plain}") }
        }
        other => other.to_string(),
    };
    (IdentityPattern::parse(&text).as_ref() == Some(pattern)).then_some(text)
}

/// Reads a pre-shared key as strongSwan does: `0x` and hexadecimal, `0s` and Base64, else itself.
pub(crate) fn parse_secret(text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let bytes = if let Some(digits) = text.strip_prefix("0x") {
        hex::decode(digits).map_err(|_| "what follows `0x` is not hexadecimal")?
    } else if let Some(digits) = text.strip_prefix("0s") {
        STANDARD
            .decode(digits)
            .map_err(|_| "what follows `0s` is not Base64")?
    } else {
        text.as_bytes().to_vec()
    };
    match bytes.len() {
        0 => Err("the pre-shared key is empty"),
        1..=1024 => Ok(Zeroizing::new(bytes)),
        _ => Err("the pre-shared key is longer than 1024 octets"),
    }
}

/// Writes a pre-shared key so that it reads back as itself.
pub(crate) fn secret_text(secret: &[u8]) -> Zeroizing<String> {
    let plain = std::str::from_utf8(secret).ok().filter(|text| {
        !text.starts_with("0x") && !text.starts_with("0s") && !text.contains(char::is_control)
    });
    Zeroizing::new(match plain {
        Some(text) => text.to_owned(),
        None => format!("0x{}", hex::encode(secret)),
    })
}

/// Where lines of the log go, as [`LogOutput`] prints it; of a file neither size nor number is known.
pub(crate) fn parse_output(text: &str) -> Option<LogOutput> {
    let absolute = |path: &str| {
        let path = PathBuf::from(path);
        (path.has_root() && path.file_name().is_some()).then_some(path)
    };
    let server = |text: &str| -> Option<(String, u16)> {
        const SYSLOG: u16 = 514;
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some((address.to_string(), SYSLOG));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Some((address.ip().to_string(), address.port()));
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (text, SYSLOG),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let named = !host.is_empty() && host.bytes().all(plain);
        named.then(|| (host.to_owned(), port))
    };
    Some(match text.split_once(':') {
        None if text == "stdout" => LogOutput::Stdout,
        None if text == "stderr" => LogOutput::Stderr,
        Some(("file", path)) => LogOutput::File {
            path: absolute(path)?,
            size: 0,
            keep: 0,
        },
        Some(("unix", path)) => LogOutput::Syslog(SyslogServer::Unix(absolute(path)?)),
        Some((kind @ ("udp" | "tcp"), rest)) => {
            let (host, port) = server(rest).filter(|(_, port)| *port != 0)?;
            LogOutput::Syslog(match kind {
                "udp" => SyslogServer::Udp(host, port),
                _ => SyslogServer::Tcp(host, port),
            })
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for text in ["20s", "5m", "24h", "250ms", "2d", "90s", "0s"] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(
                parse_duration(&duration_text(duration)),
                Some(duration),
                "{text}"
            );
        }
        assert_eq!(
            parse_duration("24h").map(duration_text).as_deref(),
            Some("1d")
        );
        assert_eq!(parse_duration("7"), Some(Duration::from_secs(7)));
        for bad in [
            "",
            "s",
            "-1s",
            "1.5s",
            "1 s",
            "5x",
            "99999999999999999999s",
            "٣s",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn outputs_read_back() {
        for text in [
            "stdout",
            "stderr",
            "file:/var/log/hawser.log",
            "udp:192.0.2.9:5514",
            "udp:[2001:db8::9]:514",
            "tcp:logs.example.org:601",
            "unix:/dev/log",
        ] {
            assert_eq!(parse_output(text).unwrap().to_string(), text);
        }
        for (short, long) in [
            ("udp:192.0.2.9", "udp:192.0.2.9:514"),
            ("tcp:2001:db8::9", "tcp:[2001:db8::9]:514"),
            ("tcp:logs", "tcp:logs:514"),
        ] {
            assert_eq!(parse_output(short).unwrap().to_string(), long);
        }
        for bad in [
            "",
            "sdterr",
            "file:",
            "file:log",
            "file:/",
            "unix:log",
            "udp:",
            "udp::514",
            "udp:a b:514",
            "udp:host:0",
            "udp:host:99999",
            "tls:host:6514",
            "syslog",
        ] {
            assert_eq!(parse_output(bad), None, "{bad}");
        }
    }

    #[test]
    fn identities_read_back() {
        for text in [
            "10.0.0.1",
            "2001:db8::1",
            "test",
            "a@b",
            "@#0a",
            "@10.0.0.1",
            "@a@b",
            "@any",
        ] {
            let identity = Identity::parse(text).unwrap();
            let pattern = IdentityPattern::Exact(identity.clone());
            assert_eq!(
                Identity::parse(&identity_text(&identity).unwrap()),
                Some(identity)
            );
            assert_eq!(
                IdentityPattern::parse(&pattern_text(&pattern).unwrap()),
                Some(pattern)
            );
        }
    }

    #[test]
    fn secrets_read_as_strongswan_writes_them() {
        assert_eq!(parse_secret("test").unwrap().as_slice(), b"test");
        assert_eq!(parse_secret("0x0a0B").unwrap().as_slice(), [10, 11]);
        assert_eq!(parse_secret("0sdGVzdA==").unwrap().as_slice(), b"test");
        assert!(parse_secret("0xabc").is_err() && parse_secret("0s*").is_err());
        assert!(parse_secret("").is_err() && parse_secret(&"x".repeat(1025)).is_err());
        for secret in [b"test".as_slice(), b"0xyz", b"0s", b"a\nb", b"\xff"] {
            assert_eq!(
                parse_secret(&secret_text(secret)).unwrap().as_slice(),
                secret
            );
        }
    }
}
