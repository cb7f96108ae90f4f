//! Whether a text is one that its columns hold: every character of it, and in bytes.
//!
//! A `varchar` column counts bytes of its collation's code page and turns what the page lacks into a question mark without a
//! word. A value that would be changed so is refused by parameter, character and column; the character itself is not part of
//! the text. A definition that was stored before collations were asked for is judged by Windows-1252, which nearly every
//! instance in America and Western Europe has.

use crate::mssql::Param;
use crate::mssql::collation::CodePage;
use crate::mssql::quote::{ObjectName, SqlName};

use super::definition::{Operand, WriteSpec};
use super::error::WriteError;
use super::kind::{Kind, Text};
use super::parameter::Values;

/// Holds every text among the values against the columns it is compared with or written to.
///
/// # Errors
/// [`WriteError::Parameter`] for the first that a column cannot hold.
pub(super) fn held(spec: &WriteSpec, values: &Values) -> Result<(), WriteError> {
    for (table, column, operand) in spec.operands() {
        let Operand::Parameter(name) = operand else { continue };
        let Some(Some(param)) = values.get(name) else { continue };
        fits(spec, (table, column), param)
            .map_err(|why| WriteError::Parameter { name: name.clone(), why })?;
    }
    Ok(())
}

/// Whether a column holds that text; what is no text, or goes into a Unicode column, fits.
///
/// # Errors
/// Why not, in words that continue a parameter's name.
pub(super) fn fits(
    spec: &WriteSpec,
    (table, column): (&ObjectName, &SqlName),
    param: &Param,
) -> Result<(), String> {
    let Some(Kind::Text(Text { unicode: false, length, .. })) = spec.shape.kind(table, column) else {
        return Ok(());
    };
    let Param::Text(text) = param else { return Ok(()) };
    let collation = spec.shape.collation(table, column);
    let page = collation.map_or(CodePage::of(1252), |collation| collation.page());
    let whose = match collation {
        Some(collation) => {
            let number = collation.code_page.unwrap_or_default();
            format!("column {column} of {table} (collation {}, code page {number})", collation.name)
        }
        None => format!("column {column} of {table} (code page 1252)"),
    };
    let first_beyond_ascii =
        || text.chars().position(|c| !c.is_ascii()).map_or(Ok(text.len()), |at| Err(at + 1));
    match page.map_or_else(first_beyond_ascii, |page| page.bytes(text)) {
        Err(at) => Err(format!("has at character {at} one that {whose} cannot hold")),
        Ok(bytes) if length.is_some_and(|most| bytes > most as usize) => {
            Err(format!("takes {bytes} bytes in {whose}, which holds {}", length.unwrap_or_default()))
        }
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use states::Map;

    use super::*;
    use crate::mssql::collation::Collation;
    use crate::mssql::shape::ColumnCollation;
    use crate::write::parameter;
    use crate::write::well_formed::tests::{RESCHEDULE, arguments, read, shaped};

    /// A write that sets and compares `Code`, a varchar(10).
    fn spec(collation: Option<(&str, i64)>) -> WriteSpec {
        let mut args = arguments(RESCHEDULE);
        args.extend(arguments(
            "{parameters: {id: int, code: varchar(10)}, preconditions: [], read_back: {table: Appointment, columns: \
             [AppointmentID], keys: [AppointmentID], where: {AppointmentID: id}}, clear: [AppointmentID], entity: {appointment: id}, \
             statements: [{update: Appointment, set: {Code: code}, where: {AppointmentID: id}}]}",
        ));
        let mut spec = shaped(read(&args).unwrap());
        spec.shape.tables[0].collations = collation
            .map(|(name, page)| ColumnCollation {
                column: "Code".to_owned(),
                collation: Collation { name: name.to_owned(), code_page: Some(page) },
            })
            .into_iter()
            .collect();
        spec
    }

    fn said(collation: Option<(&str, i64)>, code: &str) -> String {
        let spec = spec(collation);
        let given: Map = [("id", states::Value::from(1)), ("code", code.into())].into_iter().collect();
        let values = parameter::values(&spec.parameters, &given).unwrap();
        held(&spec, &values).map(|()| "held".to_owned()).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn a_text_is_judged_by_the_code_page_of_its_column() {
        let cyrillic = Some(("Cyrillic_General_CI_AS", 1251));
        assert_eq!(said(cyrillic, "Зоя"), "held");
        assert_eq!(
            said(cyrillic, "Zoë"),
            "the parameter code has at character 3 one that column Code of dbo.Appointment (collation \
             Cyrillic_General_CI_AS, code page 1251) cannot hold"
        );
        assert_eq!(said(Some(("SQL_Latin1_General_CP850_CI_AS", 850)), "Zoë"), "held");
        assert!(said(Some(("SQL_Latin1_General_CP850_CI_AS", 850)), "5 €").contains("at character 3"));
        assert_eq!(said(None, "Zoë €"), "held");
        assert!(said(None, "Зоя").contains("at character 1"));
    }

    #[test]
    fn a_varchar_counts_bytes_and_a_page_nobody_knows_holds_ascii() {
        let utf8 = Some(("Latin1_General_100_CI_AS_SC_UTF8", 65001));
        assert_eq!(said(utf8, "Зояко"), "held");
        assert!(said(utf8, "Зояков").contains("takes 12 bytes"));
        assert!(said(utf8, "Зояков").ends_with("which holds 10"));
        let unknown = Some(("Klingon_CI_AS", 0));
        assert_eq!(said(unknown, "plain"), "held");
        assert!(said(unknown, "Zoë").contains("at character 3"));
    }
}
