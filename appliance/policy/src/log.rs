//! Where the log goes.

use std::fmt;
use std::path::PathBuf;

/// How grave a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything, also what happens all the time to a device that is well.
    Debug,
    /// What happens to devices.
    Info,
    /// What somebody should look at.
    Warning,
}

/// The log of events. How its lines look is for a plugin of `log-format`, or built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Less grave events are left out; `None`: as `RUST_LOG` says, without it `info`.
    pub level: Option<LogLevel>,
    /// Events a second about devices (and in a burst), 1 to 1000000; more are counted.
    pub rate: u32,
    /// Octets of a line, 256 to 65536; the rest is cut.
    pub line: usize,
    /// Where every line goes; empty: nowhere.
    pub outputs: Vec<LogOutput>,
}

impl Default for LogSettings {
    /// To the standard error, 10,000 events a second, lines of 8 KiB.
    fn default() -> Self {
        Self {
            level: None,
            rate: 10_000,
            line: 8 << 10,
            outputs: vec![LogOutput::Stderr],
        }
    }
}

/// A place for lines. None makes the gateway wait: what it does not take is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogOutput {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// Octets after which it becomes `PATH.1`, from 4096 on.
        size: u64,
        /// Older files that are kept as `PATH.1`, `PATH.2` and so on: 0 to 1000.
        keep: u16,
    },
    /// A syslog daemon: RFC 5424, where a plugin did not write it so already.
    Syslog(SyslogServer),
}

/// How a syslog daemon is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SyslogServer {
    /// A datagram a line (RFC 5426). Host or address, and port (514).
    Udp(String, u16),
    /// With octet counts (RFC 6587 3.4.1). Host or address, and port (514).
    Tcp(String, u16),
    /// A datagram socket of this machine, such as `/dev/log`.
    Unix(PathBuf),
}

impl fmt::Display for LogOutput {
    /// `stdout`, `stderr`, `file:PATH`, `udp:HOST:PORT`, `tcp:HOST:PORT` or `unix:PATH`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |host: &str| match host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_owned(),
        };
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File { path, .. } => write!(f, "file:{}", path.display()),
            Self::Syslog(SyslogServer::Udp(name, port)) => write!(f, "udp:{}:{port}", host(name)),
            Self::Syslog(SyslogServer::Tcp(name, port)) => write!(f, "tcp:{}:{port}", host(name)),
            Self::Syslog(SyslogServer::Unix(path)) => write!(f, "unix:{}", path.display()),
        }
    }
}
