//! Job ids: the 20 digits `YYYYMMDDhhmmssffffff` that name one job.
//!
//! Owns the form and nothing of its making: the caller brings the moment, broken down in the time zone its master
//! uses (`utc_jid`). A jid orders as the time it was given. Masters also hand out jids with a suffix
//! (`unique_jid: True` appends `_<pid>`), and `req` asks the master to choose one; both are kept as they came.

use std::fmt;
use std::str::FromStr;

/// Digits of a jid.
const DIGITS: usize = 20;

/// One job's id, as Salt writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Jid(String);

/// A moment, broken down. No calendar is consulted: fields are checked for range only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Year, 0 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 60 (a leap second is one).
    pub second: u8,
    /// Microsecond, 0 to 999,999.
    pub micro: u32,
}

/// Text that is no jid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JidError {
    /// Not 20 digits, with or without `_<pid>` behind.
    #[error("{0:?} is not a jid: a jid has 20 digits, YYYYMMDDhhmmssffffff")]
    Form(String),
    /// 20 digits that name no moment.
    #[error("{0:?} is not a jid: its digits are not a date and time")]
    Moment(String),
}

impl Jid {
    /// The jid of a moment.
    ///
    /// # Errors
    /// When a field of the moment is out of range.
    pub fn at(moment: Moment) -> Result<Self, JidError> {
        let Moment { year, month, day, hour, minute, second, micro } = moment;
        let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{micro:06}");
        if moment.is_plausible() { Ok(Self(text)) } else { Err(JidError::Moment(text)) }
    }

    /// The text, as it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The moment that the digits name.
    pub fn moment(&self) -> Moment {
        // invariant: the constructor saw 20 digits, so every slice is there and is a number.
        let number =
            |from: usize, to: usize| self.0[from..to].bytes().fold(0, |n, b| n * 10 + u32::from(b - b'0'));
        Moment {
            year: number(0, 4) as u16,
            month: number(4, 6) as u8,
            day: number(6, 8) as u8,
            hour: number(8, 10) as u8,
            minute: number(10, 12) as u8,
            second: number(12, 14) as u8,
            micro: number(14, 20),
        }
    }
}

impl Moment {
    fn is_plausible(&self) -> bool {
        self.year <= 9999
            && (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day)
            && self.hour <= 23
            && self.minute <= 59
            && self.second <= 60
            && self.micro <= 999_999
    }
}

impl FromStr for Jid {
    type Err = JidError;

    fn from_str(text: &str) -> Result<Self, JidError> {
        let wrong_form = || JidError::Form(text.chars().take(40).collect());
        let (digits, suffix) = text.split_at_checked(DIGITS).ok_or_else(wrong_form)?;
        let suffix_fits = match suffix.strip_prefix('_') {
            Some(pid) => !pid.is_empty() && pid.len() <= 20 && pid.bytes().all(|b| b.is_ascii_digit()),
            None => suffix.is_empty(),
        };
        if !suffix_fits || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong_form());
        }
        let jid = Self(text.to_owned());
        if jid.moment().is_plausible() { Ok(jid) } else { Err(JidError::Moment(text.to_owned())) }
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Moment =
        Moment { year: 2026, month: 11, day: 2, hour: 3, minute: 4, second: 5, micro: 678 };

    #[test]
    fn writes_twenty_digits_with_leading_zeros() {
        assert_eq!(Jid::at(MOMENT).unwrap().as_str(), "20261102030405000678");
    }

    #[test]
    fn reads_back_the_moment_it_was_made_of() {
        let jid: Jid = "20261102030405000678".parse().unwrap();
        assert_eq!(jid.moment(), MOMENT);
        assert_eq!(jid, Jid::at(MOMENT).unwrap());
    }

    #[test]
    fn keeps_the_suffix_of_a_unique_jid() {
        let jid: Jid = "20261102030405000678_4711".parse().unwrap();
        assert_eq!(jid.to_string(), "20261102030405000678_4711");
        assert_eq!(jid.moment(), MOMENT);
    }

    #[test]
    fn orders_as_time_does() {
        let later = Jid::at(Moment { micro: 679, ..MOMENT }).unwrap();
        assert!(Jid::at(MOMENT).unwrap() < later);
    }

    #[test]
    fn refuses_what_is_no_jid() {
        for text in [
            "",
            "req",
            "2026110203040500067",
            "202611020304050006789",
            "2026110203040500067x",
            "../../../../etc/pass",
        ] {
            assert!(matches!(text.parse::<Jid>(), Err(JidError::Form(_))), "{text}");
        }
        assert!(matches!("20261102030405000678_".parse::<Jid>(), Err(JidError::Form(_))));
        assert!(matches!("２０２６１１０２".parse::<Jid>(), Err(JidError::Form(_))));
        assert!(matches!("20261302030405000678".parse::<Jid>(), Err(JidError::Moment(_))));
        assert!(matches!("20261102250405000678".parse::<Jid>(), Err(JidError::Moment(_))));
    }
}
