//! Reading a TOML table by the table of its keys, with every problem said.

use super::keys::{Key, Kind, Need, Section};
use crate::document::Free;
use crate::problem::{At, Place, Problem, Report};
use crate::values::{duration_text, parse_duration};
use serde_json::Value as Json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// What the reading of one text shares.
pub(super) struct Source<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    report: RefCell<&'a mut Report>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str, report: &'a mut Report) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(i, _)| i + 1))
            .collect();
        Self {
            text,
            line_starts,
            report: RefCell::new(report),
        }
    }

    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let line = self
            .line_starts
            .partition_point(|start| *start <= span.start);
        let start = line
            .checked_sub(1)
            .and_then(|i| self.line_starts.get(i))
            .copied();
        let before = self.text.get(start.unwrap_or(0)..span.start).unwrap_or("");
        Place {
            line,
            column: before.chars().count() + 1,
        }
    }

    pub(super) fn add(&self, problem: Problem) {
        self.report.borrow_mut().add(problem);
    }
}

/// Why a string cannot be what a key wants; the default says no more than that it is not that.
#[derive(Default)]
pub(super) struct Wrong {
    pub(super) message: Option<String>,
    pub(super) suggestion: Option<String>,
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self {
            message: Some(message),
            suggestion: None,
        }
    }
}

/// A table that is being read: asking for a key checks its kind and bounds.
pub(super) struct Table<'a, 'i> {
    source: &'a Source<'a>,
    entries: &'a DeTable<'i>,
    section: &'static Section,
    path: String,
    place: Place,
}

impl<'a, 'i> Table<'a, 'i> {
    /// Refuses unknown keys and missing ones.
    pub(super) fn new(
        source: &'a Source<'a>,
        entries: &'a DeTable<'i>,
        section: &'static Section,
        path: String,
        place: Place,
    ) -> Self {
        let table = Self {
            source,
            entries,
            section,
            path,
            place,
        };
        for key in entries.keys() {
            let name = key.get_ref().as_ref();
            if !section.keys.iter().any(|k| k.name == name) {
                let place = source.place(&key.span());
                let problem = Problem::new(place, &table.path, format!("unknown key `{name}`"));
                source.add(problem.suggest(name, section.keys.iter().map(|k| k.name)));
            }
        }
        for key in section.keys.iter().filter(|k| k.need == Need::Required) {
            if !entries.contains_key(key.name) {
                table.refuse(table.place, &format!("`{}` is missing", key.name));
            }
        }
        table
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// Whether the key is there, well or ill.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Reports a problem of the table as a whole.
    pub(super) fn refuse(&self, place: Place, message: &str) {
        self.source.add(Problem::new(place, &self.path, message));
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn get(&self, name: &str) -> Option<(&'static Key, Place, &'a DeValue<'i>)> {
        let key = self.section.keys.iter().find(|k| k.name == name)?;
        let value = self.entries.get(name)?;
        Some((key, self.source.place(&value.span()), value.get_ref()))
    }

    fn wrong(&self, place: Place, name: &str, message: String) {
        self.source
            .add(Problem::new(place, self.path_of(name), message));
    }

    fn wrong_type(&self, place: Place, name: &str, want: &str, value: &DeValue<'_>) {
        self.wrong(
            place,
            name,
            format!("expected {want}, found {}", value.type_str()),
        );
    }

    /// A string.
    pub(super) fn text(&self, name: &str) -> Option<At<String>> {
        self.parsed(name, |text| Ok(text.to_owned()))
    }

    /// A string with something in it.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<At<T>> {
        let (key, place, value) = self.get(name)?;
        let what = match key.kind {
            Kind::Text(what) => what,
            _ => "a string",
        };
        self.one(name, place, value, what, &read)
    }

    /// Strings with something in each; without the key none.
    pub(super) fn list<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<At<T>> {
        let Some((key, place, value)) = self.get(name) else {
            return Vec::new();
        };
        let what = match key.kind {
            Kind::Texts(what) => what,
            _ => "a string",
        };
        let Some(array) = value.as_array() else {
            self.wrong_type(place, name, "an array of strings", value);
            return Vec::new();
        };
        if array.is_empty() && key.need == Need::Required {
            self.wrong(place, name, format!("expected at least {what}"));
        }
        let item = |v: &Spanned<DeValue<'i>>| {
            self.one(name, self.source.place(&v.span()), v.get_ref(), what, &read)
        };
        array.iter().filter_map(item).collect()
    }

    fn one<T>(
        &self,
        name: &str,
        place: Place,
        value: &DeValue<'_>,
        what: &str,
        read: &impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<At<T>> {
        let Some(text) = value.as_str() else {
            self.wrong_type(place, name, &format!("a string with {what}"), value);
            return None;
        };
        if text.is_empty() || text.contains(char::is_control) {
            self.wrong(place, name, format!("expected {what}"));
            return None;
        }
        match read(text) {
            Ok(read) => Some(At::new(place, read)),
            Err(Wrong {
                message,
                suggestion,
            }) => {
                let message = message.unwrap_or_else(|| format!("`{text}` is not {what}"));
                let problem = Problem::new(place, self.path_of(name), message);
                self.source.add(Problem {
                    suggestion,
                    ..problem
                });
                None
            }
        }
    }

    /// One of the words of the key, by its index.
    pub(super) fn choice(&self, name: &str) -> Option<usize> {
        let (key, place, value) = self.get(name)?;
        let Kind::Choice(words) = key.kind else {
            return None;
        };
        let Some(text) = value.as_str() else {
            self.wrong_type(place, name, "a string", value);
            return None;
        };
        let index = words.iter().position(|w| *w == text);
        if index.is_none() {
            let message = format!("`{text}` is none of `{}`", words.join("`, `"));
            let problem = Problem::new(place, self.path_of(name), message);
            self.source
                .add(problem.suggest(text, words.iter().copied()));
        }
        index
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let (_, place, value) = self.get(name)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.wrong_type(place, name, "true or false", value);
        }
        flag
    }

    /// A number within the bounds of the key.
    pub(super) fn count<T: TryFrom<u64>>(&self, name: &str) -> Option<At<T>> {
        let (key, place, value) = self.get(name)?;
        let Kind::Count { min, max } = key.kind else {
            return None;
        };
        let Some(integer) = value.as_integer() else {
            self.wrong_type(place, name, "an integer", value);
            return None;
        };
        let number = unsigned(integer).filter(|n| (min..=max).contains(n));
        let number = number.and_then(|n| T::try_from(n).ok());
        if number.is_none() {
            self.wrong(
                place,
                name,
                format!("{integer} is not between {min} and {max}"),
            );
        }
        number.map(|n| At::new(place, n))
    }

    /// A duration within the bounds of the key; `None` inside: `"off"`.
    pub(super) fn limit(&self, name: &str) -> Option<At<Option<Duration>>> {
        let (key, place, value) = self.get(name)?;
        let Kind::Duration { min, max, off } = key.kind else {
            return None;
        };
        let duration = match value {
            DeValue::String(text) if off && text == "off" => return Some(At::new(place, None)),
            DeValue::String(text) => parse_duration(text),
            DeValue::Integer(seconds) => unsigned(seconds).map(Duration::from_secs),
            _ => {
                self.wrong_type(place, name, "a duration such as \"20s\"", value);
                return None;
            }
        };
        let Some(duration) = duration else {
            self.wrong(
                place,
                name,
                "not a duration such as \"20s\", \"5m\" or 20".into(),
            );
            return None;
        };
        let (min, max) = (Duration::from_millis(min), Duration::from_millis(max));
        if !(min..=max).contains(&duration) {
            let [is, min, max] = [duration, min, max].map(duration_text);
            self.wrong(place, name, format!("{is} is not between {min} and {max}"));
            return None;
        }
        Some(At::new(place, Some(duration)))
    }

    /// A duration that cannot be off.
    pub(super) fn duration(&self, name: &str) -> Option<At<Duration>> {
        let At { place, value } = self.limit(name)?;
        value.map(|duration| At::new(place, duration))
    }

    pub(super) fn table(&self, name: &str) -> Option<Table<'a, 'i>> {
        let (key, place, value) = self.get(name)?;
        let Kind::Table(section) = key.kind else {
            return None;
        };
        let Some(entries) = value.as_table() else {
            self.wrong_type(
                place,
                name,
                &format!("a table `[{}]`", self.path_of(name)),
                value,
            );
            return None;
        };
        Some(Table::new(
            self.source,
            entries,
            section,
            self.path_of(name),
            place,
        ))
    }

    /// A table of whatever keys.
    pub(super) fn free(&self, name: &str) -> Option<Free> {
        let (_, place, value) = self.get(name)?;
        let mut places = BTreeMap::from([(String::new(), place)]);
        match json(value, "", self.source, &mut places) {
            Json::Object(value) => Some(Free { value, places }),
            _ => {
                let want = format!("a table `[{}]`", self.path_of(name));
                self.wrong_type(place, name, &want, value);
                None
            }
        }
    }

    /// An array of tables; without the key none.
    pub(super) fn tables(&self, name: &str) -> Vec<Table<'a, 'i>> {
        let Some((key, place, value)) = self.get(name) else {
            return Vec::new();
        };
        let (Kind::Tables(section), path) = (&key.kind, self.path_of(name)) else {
            return Vec::new();
        };
        let Some(array) = value.as_array() else {
            self.wrong_type(place, name, &format!("tables `[[{path}]]`"), value);
            return Vec::new();
        };
        if array.is_empty() && key.need == Need::Required {
            self.wrong(place, name, format!("expected at least one `[[{path}]]`"));
        }
        let mut tables = Vec::new();
        for item in array.iter() {
            let place = self.source.place(&item.span());
            match item.get_ref().as_table() {
                Some(entries) => {
                    tables.push(Table::new(
                        self.source,
                        entries,
                        section,
                        path.clone(),
                        place,
                    ));
                }
                None => self.wrong_type(place, name, "a table", item.get_ref()),
            }
        }
        tables
    }
}

fn unsigned(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A value as JSON, with the places of what is in it by JSON pointer (RFC 6901).
fn json(
    value: &DeValue<'_>,
    at: &str,
    source: &Source<'_>,
    places: &mut BTreeMap<String, Place>,
) -> Json {
    let mut inner = |step: &str, value: &Spanned<DeValue<'_>>, span: &Range<usize>| {
        let at = format!("{at}/{}", step.replace('~', "~0").replace('/', "~1"));
        places.insert(at.clone(), source.place(span));
        json(value.get_ref(), &at, source, places)
    };
    match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Integer(number) => integer(number),
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map_or(Json::Null, Json::from),
        DeValue::Boolean(truth) => Json::from(*truth),
        DeValue::Datetime(time) => Json::from(time.to_string()),
        DeValue::Array(list) => list
            .iter()
            .enumerate()
            .map(|(number, item)| inner(&number.to_string(), item, &item.span()))
            .collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| {
                let name = key.get_ref().as_ref();
                (name.to_owned(), inner(name, value, &key.span()))
            })
            .collect(),
    }
}

fn integer(number: &DeInteger<'_>) -> Json {
    let signed = || i64::from_str_radix(number.as_str(), number.radix()).ok();
    unsigned(number)
        .map(Json::from)
        .or_else(|| signed().map(Json::from))
        .unwrap_or(Json::Null)
}
