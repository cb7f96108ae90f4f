//! Takes row values out of SQL Server's own error texts.
//!
//! Some messages quote the offending value (duplicate keys, failed conversions, truncation). An error of ours may name a
//! table, a column and a constraint, never what stood in a row. Texts per number: Microsoft, "Database Engine events and
//! errors".

/// The message without what it quotes from a row.
pub(super) fn without_values(number: u32, message: &str) -> String {
    match number {
        2601 | 2627 | 1505 => cut_at(message, " The duplicate key value is"),
        2628 => cut_at(message, " Truncated value:"),
        241 | 242 | 245 | 248 | 295 | 296 | 8115 => mask_value_quotes(message),
        _ => message.to_owned(),
    }
}

fn cut_at(message: &str, marker: &str) -> String {
    message.split(marker).next().unwrap_or(message).to_owned()
}

/// `… the varchar value 'x' to data type int.` becomes `… the varchar value '…' to data type int.`
fn mask_value_quotes(message: &str) -> String {
    let Some(start) = message.find(" value '").map(|at| at + " value '".len()) else {
        return message.to_owned();
    };
    let end = message.rfind("' ").filter(|end| *end >= start).unwrap_or(message.len());
    format!("{}…{}", &message[..start], &message[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cut_from_the_texts_that_quote_them() {
        let duplicate = "Violation of PRIMARY KEY constraint 'PK_P'. Cannot insert duplicate key in object 'dbo.P'. \
                         The duplicate key value is (Miller, Ann).";
        assert!(!without_values(2627, duplicate).contains("Miller"));
        assert!(without_values(2627, duplicate).contains("dbo.P"));
        let conversion = "Conversion failed when converting the nvarchar value 'it's Ann' to data type int.";
        let masked = without_values(245, conversion);
        assert_eq!(masked, "Conversion failed when converting the nvarchar value '…' to data type int.");
        let truncated = "String or binary data would be truncated in table 'm.dbo.P', column 'N'. Truncated value: 'Ann'.";
        assert!(!without_values(2628, truncated).contains("Ann"));
    }

    #[test]
    fn other_texts_stay() {
        assert_eq!(without_values(208, "Invalid object name 'dbo.X'."), "Invalid object name 'dbo.X'.");
    }
}
