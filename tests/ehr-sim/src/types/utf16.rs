//! UTF-16 as SQL Server keeps it: unchecked. Half a surrogate pair is kept as the private-use character that is as far
//! into U+10F800..=U+10FFFF as the half is into U+D800..=U+DFFF, so that a text stays a `str`. A text that really holds
//! one of those 2048 characters of the last plane would be taken for halves.

/// The units of a text, halves included.
pub fn units(text: &str) -> impl Iterator<Item = u16> + '_ {
    text.chars().flat_map(|c| {
        let mut pair = [0; 2];
        let length = match half(c) {
            Some(unit) => {
                pair[0] = unit;
                1
            }
            None => c.encode_utf16(&mut pair).len(),
        };
        pair.into_iter().take(length)
    })
}

/// How many units a character takes.
pub fn width(c: char) -> usize {
    if half(c).is_some() { 1 } else { c.len_utf16() }
}

/// The text of these units, halves included.
pub fn text(units: impl Iterator<Item = u16>) -> String {
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or_else(|lone| of_half(lone.unpaired_surrogate())))
        .collect()
}

/// The character that stands for half a pair.
fn of_half(unit: u16) -> char {
    char::from_u32(FIRST + u32::from(unit) - LOW).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn half(c: char) -> Option<u16> {
    let into = u32::from(c).checked_sub(FIRST)?;
    u16::try_from(LOW + into).ok()
}

const FIRST: u32 = 0x10_F800;
const LOW: u32 = 0xD800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_survive_and_meet() {
        let given = [0x68, 0xD83D, 0x69, 0xDE00, 0xD83D, 0xDE00];
        let kept = text(given.into_iter());
        assert!(kept.ends_with('\u{1F600}'));
        assert_eq!(units(&kept).collect::<Vec<_>>(), given);
        let (high, low) = (text([0xD83D].into_iter()), text([0xDE00].into_iter()));
        assert_eq!(units(&format!("{high}{low}")).collect::<Vec<_>>(), [0xD83D, 0xDE00]);
        assert_eq!(high.chars().map(width).sum::<usize>(), 1);
    }
}
