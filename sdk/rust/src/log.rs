//! The hook `log-format`: events in, lines out.

use crate::plugin::Plugin;

pub use crate::bindings::exports::hawser::plugin::log::{Event, Value};

/// A format of log lines.
pub trait LogFormat: Plugin {
    /// Appends the lines of this event, each ended by a line feed; none leaves the event out.
    ///
    /// # Errors
    /// Where the event cannot be formatted: its whole batch then goes to the built-in format, so
    /// that none is lost.
    fn format(&mut self, event: &Event, lines: &mut Vec<u8>) -> Result<(), String>;
}

impl Event {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let mut fields = self.fields.iter();
        fields.find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// The text of this field, where it is one.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.field(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The number of this field, where it is one that is not negative.
    pub fn unsigned(&self, name: &str) -> Option<u64> {
        match self.field(name)? {
            Value::Unsigned(number) => Some(*number),
            Value::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Whether this field is there and true.
    pub fn is(&self, name: &str) -> bool {
        self.field(name) == Some(&Value::Boolean(true))
    }
}

macro_rules! value_from {
    ($($from:ty, $variant:ident, $value:ident => $convert:expr;)+) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                Self::$variant($convert)
            }
        })+
    };
}

value_from! {
    &str, Text, v => v.to_owned();
    String, Text, v => v;
    i64, Integer, v => v;
    u8, Unsigned, v => v.into();
    u32, Unsigned, v => v.into();
    u64, Unsigned, v => v;
    f64, Number, v => v;
    bool, Boolean, v => v;
}
