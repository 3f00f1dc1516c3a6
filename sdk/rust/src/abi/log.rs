//! `log.format`.

use super::plugin::Instance;
use super::{List, Span};
use crate::LogFormat;
use crate::log::{self, Severity, Value};

/// `event`.
#[repr(C)]
struct Event {
    time_unix_ns: u64,
    sequence: u64,
    device: u64,
    shard: u16,
    severity: u8,
    name: Span,
    tenant: Span,
    template: Span,
    identity: Span,
    local: Span,
    remote: Span,
    first_field: u32,
    fields: u32,
    ext: Span,
}

/// `field`: its value is a case, and what the case holds.
#[repr(C)]
struct Field {
    name: Span,
    case: u8,
    value: Held,
}

#[repr(C)]
union Held {
    text: Span,
    integer: i64,
    unsigned: u64,
    number: f64,
    boolean: u8,
}

impl Field {
    fn typed<'a>(&self, texts: &'a str) -> (&'a str, Value<'a>) {
        // SAFETY: every pattern of the octets is a value of each of these, and they are filled.
        let value = unsafe {
            match self.case {
                0 => Value::Text(self.value.text.text_of(texts)),
                1 => Value::Integer(self.value.integer),
                2 => Value::Unsigned(self.value.unsigned),
                3 => Value::Number(self.value.number),
                _ => Value::Boolean(self.value.boolean != 0),
            }
        };
        (self.name.text_of(texts), value)
    }
}

impl Event {
    /// Fills in everything but the fields, whose room is used again.
    fn typed<'a>(&self, texts: &'a str, fields: Vec<(&'a str, Value<'a>)>) -> log::Event<'a> {
        let text = |span: Span| span.text_of(texts);
        let there = |span: Span| (span.length != 0).then(|| text(span));
        log::Event {
            time_unix_ns: self.time_unix_ns,
            sequence: self.sequence,
            shard: self.shard,
            severity: Severity::of(self.severity),
            name: text(self.name),
            tenant: there(self.tenant),
            template: there(self.template),
            identity: there(self.identity),
            device: (self.device != 0).then_some(self.device),
            local: there(self.local),
            remote: there(self.remote),
            fields,
            ext: text(self.ext),
        }
    }
}

/// The lines, or why there are none, and its form for the host.
pub struct Answer {
    lines: Vec<u8>,
    message: String,
    lowered: Lowered,
}

/// `result<list<u8>, string>`.
#[repr(C)]
struct Lowered {
    refused: bool,
    octets: List<u8>,
}

impl Answer {
    pub const fn new() -> Self {
        Self {
            lines: Vec::new(),
            message: String::new(),
            lowered: Lowered {
                refused: false,
                octets: List::NONE,
            },
        }
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::new()
    }
}

/// # Safety
/// The host calls with the texts, fields and events that it lowered.
pub unsafe fn format<P: LogFormat>(
    instance: &mut Instance<P, Answer>,
    texts: (*const u8, usize),
    fields: (*const u8, usize),
    events: (*const u8, usize),
) -> *const u8 {
    fn list<T>((at, length): (*const u8, usize)) -> List<T> {
        let at = at.cast();
        List { at, length }
    }
    // SAFETY: see above; all end with this call.
    let (texts, fields, events) = unsafe {
        let texts = list::<u8>(texts).text();
        (
            texts,
            list::<Field>(fields).get(),
            list::<Event>(events).get(),
        )
    };
    let answer = instance.ask(|plugin, answer| {
        answer.lines.clear();
        let done = all(plugin, texts, fields, events, &mut answer.lines);
        answer.message = done.err().unwrap_or_default();
        let refused = !answer.message.is_empty();
        let octets = if refused {
            List::of(answer.message.as_bytes())
        } else {
            List::of(&answer.lines)
        };
        answer.lowered = Lowered { refused, octets };
    });
    (&raw const answer.lowered).cast()
}

fn all<P: LogFormat>(
    plugin: &mut P,
    texts: &str,
    fields: &[Field],
    events: &[Event],
    lines: &mut Vec<u8>,
) -> Result<(), String> {
    let mut room = Vec::new();
    for event in events {
        let (first, count) = (event.first_field as usize, event.fields as usize);
        let own = fields.get(first..first + count).unwrap_or_default();
        room.extend(own.iter().map(|field| field.typed(texts)));
        let typed = event.typed(texts, room);
        let done = plugin.format(&typed, lines);
        done.map_err(|e| {
            if e.is_empty() {
                "refused".to_owned()
            } else {
                e
            }
        })?;
        room = typed.fields;
        room.clear();
    }
    Ok(())
}
