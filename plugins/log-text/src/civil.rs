//! Nanoseconds since 1970 as a date and a time of day.

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A date and a time of day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Civil {
    /// Year.
    pub year: u64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999999999.
    pub nanosecond: u32,
    /// 0: Monday.
    pub weekday: u8,
}

impl Civil {
    /// This time, at a place so many minutes east of Greenwich.
    pub fn new(unix_ns: u64, offset_minutes: i32) -> Self {
        let shifted = i128::from(unix_ns) + i128::from(offset_minutes) * 60_000_000_000;
        let ns = u64::try_from(shifted).unwrap_or(0);
        let seconds = ns / 1_000_000_000;
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        let part = |n: u64| u8::try_from(n).unwrap_or(0);
        Self {
            year,
            month,
            day,
            hour: part(rest / 3600),
            minute: part(rest / 60 % 60),
            second: part(rest % 60),
            nanosecond: u32::try_from(ns % 1_000_000_000).unwrap_or(0),
            // 1970-01-01 was a Thursday.
            weekday: part((days + 3) % 7),
        }
    }

    /// `Nov`.
    pub fn month_name(&self) -> &'static str {
        MONTHS[usize::from(self.month) - 1]
    }

    /// `Wed`.
    pub fn weekday_name(&self) -> &'static str {
        WEEKDAYS[usize::from(self.weekday)]
    }

    /// Milliseconds of the second.
    pub fn millisecond(&self) -> u32 {
        self.nanosecond / 1_000_000
    }
}

/// Year, month and day, so many days after 1970-01-01: years are counted from March, so that the
/// leap day is the last of its year.
fn date(days: u64) -> (u64, u8, u8) {
    let since = days + 719_468; // 0000-03-01
    let (era, in_era) = (since / 146_097, since % 146_097);
    let year_of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let part = |n: u64| u8::try_from(n).unwrap_or(1);
    (year, part(month), part(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: u64, offset: i32) -> String {
        let c = Civil::new(seconds * 1_000_000_000, offset);
        format!(
            "{} {}-{:02}-{:02} {:02}:{:02}:{:02}",
            c.weekday_name(),
            c.year,
            c.month,
            c.day,
            c.hour,
            c.minute,
            c.second
        )
    }

    #[test]
    fn dates_of_which_the_calendar_is_known() {
        assert_eq!(text(0, 0), "Thu 1970-01-01 00:00:00");
        assert_eq!(text(951_782_399, 0), "Mon 2000-02-28 23:59:59");
        assert_eq!(text(951_782_400, 0), "Tue 2000-02-29 00:00:00");
        assert_eq!(text(1_699_410_963, 0), "Wed 2023-11-08 02:36:03");
        assert_eq!(text(1_699_410_963, -180), "Tue 2023-11-07 23:36:03");
        assert_eq!(text(1_704_067_199, 480), "Mon 2024-01-01 07:59:59");
        assert_eq!(text(4_107_542_400, 0), "Mon 2100-03-01 00:00:00");
    }
}
