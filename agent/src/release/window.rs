//! A daily window, `20:00-06:00`: when an agent may be replaced.

use std::{fmt, str::FromStr};

/// From a minute of the day to another; over midnight when the end is before the start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    from: u16,
    until: u16,
}

impl Window {
    /// Whether a minute of the day lies in it. The end does not.
    #[must_use]
    pub fn is_open(&self, minute: u16) -> bool {
        if self.from <= self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("the window {text:?} is not of the form 20:00-06:00");
        let minute = |part: &str| {
            let (hour, minute) = part.trim().split_once(':')?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let (from, until) = text.split_once('-').ok_or_else(wrong)?;
        Ok(Self { from: minute(from).ok_or_else(wrong)?, until: minute(until).ok_or_else(wrong)? })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, until } = self;
        write!(formatter, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(window: &str, hour: u16, minute: u16) -> bool {
        window.parse::<Window>().unwrap().is_open(hour * 60 + minute)
    }

    #[test]
    fn a_night_goes_over_midnight() {
        assert!(open("20:00-06:00", 23, 59) && open("20:00-06:00", 0, 0) && open("20:00-06:00", 20, 0));
        assert!(!open("20:00-06:00", 6, 0) && !open("20:00-06:00", 12, 0));
        assert!(open("12:00-13:30", 13, 29) && !open("12:00-13:30", 13, 30));
        assert_eq!("8:00-17:05".parse::<Window>().unwrap().to_string(), "08:00-17:05");
        for wrong in ["", "20-6", "24:00-06:00", "20:60-06:00", "night"] {
            assert!(wrong.parse::<Window>().is_err(), "{wrong}");
        }
    }
}
