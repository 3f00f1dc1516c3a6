//! The hook `log-format`: events in, lines out.

use crate::plugin::Plugin;

/// An event of the gateway; `sdk/README.md` has more on each field.
#[derive(Clone, PartialEq, Debug)]
pub struct Event<'a> {
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_unix_ns: u64,
    /// Counted from 1 over the whole gateway.
    pub sequence: u64,
    /// Which shard saw it.
    pub shard: u16,
    /// How grave it is.
    pub severity: Severity,
    /// Its name, e.g. `probe_sent`.
    pub name: &'a str,
    /// Tenant of its device.
    pub tenant: Option<&'a str>,
    /// Template of its device.
    pub template: Option<&'a str>,
    /// Authenticated identity of its device.
    pub identity: Option<&'a str>,
    /// Number of its device in this run.
    pub device: Option<u64>,
    /// Our outer endpoint as `192.0.2.1/4500`.
    pub local: Option<&'a str>,
    /// The device's outer endpoint.
    pub remote: Option<&'a str>,
    /// Its own fields, by the names of the events' JSON.
    pub fields: Vec<(&'a str, Value<'a>)>,
    /// Lines of `name=value` that later gateways fill.
    pub ext: &'a str,
}

/// A value of a field.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Value<'a> {
    /// Text.
    Text(&'a str),
    /// A number that may be negative.
    Integer(i64),
    /// A number that is not.
    Unsigned(u64),
    /// A number with a fraction.
    Number(f64),
    /// Yes or no.
    Boolean(bool),
}

/// How grave an event is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// For those who look for something.
    Debug,
    /// For the record.
    Info,
    /// Worth a look.
    Notice,
    /// Something may be wrong.
    Warning,
    /// Something is wrong.
    Error,
}

impl Severity {
    pub(crate) fn of(number: u8) -> Self {
        match number {
            0 => Self::Debug,
            1 => Self::Info,
            2 => Self::Notice,
            3 => Self::Warning,
            _ => Self::Error,
        }
    }

    /// `debug`, `info`, `notice`, `warning` or `error`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A format of log lines.
pub trait LogFormat: Plugin {
    /// Appends the lines of this event, each ended by a line feed; none leaves the event out.
    ///
    /// # Errors
    /// Where the event cannot be formatted: its whole batch then goes to the built-in format, so
    /// that none is lost.
    fn format(&mut self, event: &Event<'_>, lines: &mut Vec<u8>) -> Result<(), String>;
}

impl<'a> Event<'a> {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<Value<'a>> {
        let mut fields = self.fields.iter();
        fields.find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    /// The text of this field, where it is one.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        match self.field(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The number of this field, where it is one that is not negative.
    pub fn unsigned(&self, name: &str) -> Option<u64> {
        match self.field(name)? {
            Value::Unsigned(number) => Some(number),
            Value::Integer(number) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    /// Whether this field is there and true.
    pub fn is(&self, name: &str) -> bool {
        self.field(name) == Some(Value::Boolean(true))
    }
}

macro_rules! value_from {
    ($($from:ty, $variant:ident, $value:ident => $convert:expr;)+) => {
        $(impl<'a> From<$from> for Value<'a> {
            fn from($value: $from) -> Self {
                Self::$variant($convert)
            }
        })+
    };
}

value_from! {
    &'a str, Text, v => v;
    i64, Integer, v => v;
    u8, Unsigned, v => v.into();
    u32, Unsigned, v => v.into();
    u64, Unsigned, v => v;
    f64, Number, v => v;
    bool, Boolean, v => v;
}
