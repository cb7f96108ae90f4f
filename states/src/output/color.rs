//! Salt's colours.

/// The escape sequences in use, all empty without colour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Colors {
    pub(super) red: &'static str,
    pub(super) light_red: &'static str,
    pub(super) green: &'static str,
    pub(super) light_yellow: &'static str,
    pub(super) cyan: &'static str,
    pub(super) end: &'static str,
}

impl Colors {
    pub(super) fn new(color: bool) -> Colors {
        if color { COLORS } else { NONE }
    }
}

const COLORS: Colors = Colors {
    red: "\u{1b}[0;31m",
    light_red: "\u{1b}[0;1;31m",
    green: "\u{1b}[0;32m",
    light_yellow: "\u{1b}[0;1;33m",
    cyan: "\u{1b}[0;36m",
    end: "\u{1b}[0;0m",
};

const NONE: Colors = Colors { red: "", light_red: "", green: "", light_yellow: "", cyan: "", end: "" };
