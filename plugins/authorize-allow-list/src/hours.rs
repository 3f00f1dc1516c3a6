//! Windows of time in the week, in UTC.

use serde::Deserialize;

const DAY: u64 = 24 * 3600;
const WEEK: u64 = 7 * DAY;

#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "lowercase")]
enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

const EVERY_DAY: [Weekday; 7] = [
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Wed,
    Weekday::Thu,
    Weekday::Fri,
    Weekday::Sat,
    Weekday::Sun,
];

/// A window that opens on some days of the week.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    days: Option<Vec<Weekday>>,
    from: TimeOfDay,
    to: TimeOfDay,
}

#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(try_from = "String")]
struct TimeOfDay {
    seconds: u64,
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(hours, minutes)| {
            let digits = |t: &str| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit());
            let two = |t: &str| t.parse::<u64>().ok().filter(|_| digits(t));
            let (hours, minutes) = (two(hours)?, two(minutes)?);
            let fits = minutes < 60 && hours < 24 || (hours, minutes) == (24, 0);
            fits.then_some(hours * 3600 + minutes * 60)
        });
        match parsed {
            Some(seconds) => Ok(Self { seconds }),
            None => Err(format!("`{text}` is not a time of day as 06:30")),
        }
    }
}

impl Window {
    /// If it is open at this time: for how many seconds more.
    pub(crate) fn open_for(&self, unix_s: u64) -> Option<u64> {
        let (from, to) = (self.from.seconds, self.to.seconds);
        let length = if to > from {
            to - from
        } else {
            to + DAY - from
        };
        // 1970-01-01 was a Thursday.
        let in_week = (unix_s + 3 * DAY) % WEEK;
        let days = self.days.as_deref().unwrap_or(&EVERY_DAY);
        let left = days.iter().filter_map(|day| {
            let opened = *day as u64 * DAY + from;
            let open = (in_week + WEEK - opened) % WEEK;
            length.checked_sub(open).filter(|left| *left > 0)
        });
        left.max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-06, a Monday, at 00:00.
    const MONDAY: u64 = 1_699_228_800;

    fn window(text: &str) -> Window {
        serde_json::from_str(text).expect("a window")
    }

    fn at(day: u64, hour: u64) -> u64 {
        MONDAY + day * DAY + hour * 3600
    }

    #[test]
    fn a_window_opens_and_closes_on_its_days() {
        let w = window(r#"{"days": ["mon", "sun"], "from": "06:00", "to": "20:00"}"#);
        assert_eq!(w.open_for(at(0, 6) - 1), None);
        assert_eq!(w.open_for(at(0, 6)), Some(14 * 3600));
        assert_eq!(w.open_for(at(0, 20) - 1), Some(1));
        assert_eq!(w.open_for(at(0, 20)), None);
        assert_eq!(w.open_for(at(1, 12)), None);
        assert_eq!(w.open_for(at(6, 12)), Some(8 * 3600));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_opens_on() {
        let w = window(r#"{"days": ["sun"], "from": "22:00", "to": "02:00"}"#);
        assert_eq!(w.open_for(at(6, 23)), Some(3 * 3600));
        assert_eq!(
            w.open_for(at(7, 1)),
            Some(3600),
            "the week goes on with Monday"
        );
        assert_eq!(w.open_for(at(6, 1)), None);
    }

    #[test]
    fn whole_days() {
        let w = window(r#"{"from": "00:00", "to": "24:00"}"#);
        assert_eq!(w.open_for(at(3, 12)), Some(12 * 3600));
        let w = window(r#"{"from": "08:00", "to": "08:00"}"#);
        assert_eq!(w.open_for(at(3, 7)), Some(3600), "a day round");
    }

    #[test]
    fn what_is_no_time_of_day_is_refused() {
        for bad in ["6:00", "24:01", "12:60", "noon", "+1:00"] {
            let text = format!(r#"{{"from": "{bad}", "to": "20:00"}}"#);
            assert!(serde_json::from_str::<Window>(&text).is_err(), "{bad}");
        }
    }
}
