//! Users and groups of this machine by number and name, from `/etc/passwd` and `/etc/group`.

use states::Value;

/// The two tables.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Table {
    Users,
    Groups,
}

impl Table {
    fn text(self) -> String {
        let path = match self {
            Self::Users => "/etc/passwd",
            Self::Groups => "/etc/group",
        };
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// The name of a number; the number itself where it has none.
    pub(super) fn name(self, number: u32) -> Value {
        let found = rows(&self.text()).find(|(_, held)| *held == number).map(|(name, _)| name.to_owned());
        found.map_or(Value::Int(i64::from(number)), Value::Str)
    }

    /// The number of a name or number.
    pub(super) fn number(self, given: &Value) -> Option<u32> {
        if let Some(number) = given.as_int() {
            return u32::try_from(number).ok();
        }
        let name = given.as_str()?;
        rows(&self.text()).find(|(held, _)| *held == name).map(|(_, number)| number)
    }
}

fn rows(text: &str) -> impl Iterator<Item = (&str, u32)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?, fields.nth(1)?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_names_and_numbers() {
        let text = "root:x:0:0:root:/root:/bin/bash\n# odd line\nnobody:x:65534:65534::/:/bin/false\n";
        let found: Vec<(&str, u32)> = super::rows(text).collect();
        assert_eq!(found, [("root", 0), ("nobody", 65534)]);
    }
}
