//! Texts read as bytes, for tables where one of them is not valid in its column's encoding.
//!
//! SQL Server checks neither the surrogates of an `nvarchar` nor the bytes of a `varchar`. A client that meets such a
//! text can only break off the whole answer. The pass then begins again from what is recorded and selects texts as
//! `varbinary`; here they become texts again, cell by cell, and one that does not is left as bytes, which
//! [`rows::columns`] reports. Keys stay texts: a row whose key cannot be read cannot be named.

use tiberius::ColumnData;

use crate::mssql::collation::{CodePage, Collation};
use crate::mssql::{Cell, RowBlock, Session, SqlError};

use super::spec::{JobSpec, Mask, SourceColumn};
use rows::kind::CellKind;

/// The code pages of a job's text columns, by collation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodePages(Vec<(String, Option<CodePage>)>);

impl CodePages {
    /// Asks the server for the code page of every collation among the columns.
    ///
    /// # Errors
    /// The server refused, or the connection broke.
    pub(super) async fn read(session: &mut Session, columns: &[SourceColumn]) -> Result<Self, SqlError> {
        let mut known: Vec<(String, Option<CodePage>)> = Vec::new();
        for collation in columns.iter().filter_map(|column| column.info.collation.as_ref()) {
            if known.iter().any(|(name, _)| name == collation) {
                continue;
            }
            let page = Collation::read(session, collation).await?.page();
            known.push((collation.clone(), page));
        }
        Ok(Self(known))
    }

    fn decode(&self, column: &SourceColumn, bytes: &[u8]) -> Option<String> {
        if matches!(column.info.type_name.as_str(), "nchar" | "nvarchar" | "ntext" | "sysname") {
            return utf16(bytes);
        }
        let collation = column.info.collation.as_ref()?;
        let (_, page) = self.0.iter().find(|(name, _)| name == collation)?;
        page.as_ref()?.decode(bytes)
    }
}

/// What is selected for a column whose texts are read as bytes; nothing for one that is read as it is.
pub(super) fn select(spec: &JobSpec, column: &SourceColumn, from: &str) -> Option<String> {
    if spec.code_pages.is_none() || !is_bytes(spec, column) {
        return None;
    }
    let name = column.name.quoted();
    let whole = match (column.mask, column.info.type_name.as_str()) {
        (Mask::Truncate(length), _) => format!("LEFT({from}{name}, {length})"),
        (_, "text") => format!("CONVERT(varchar(max), {from}{name})"),
        (_, "ntext") => format!("CONVERT(nvarchar(max), {from}{name})"),
        (_, _) => format!("{from}{name}"),
    };
    Some(format!("CONVERT(varbinary(max), {whole}) AS {name}"))
}

/// Makes texts of bytes again; a cell that is no valid text stays bytes.
pub(super) fn decode(spec: &JobSpec, rows: &mut RowBlock) {
    let Some(pages) = &spec.code_pages else { return };
    for (at, column) in spec.columns.iter().enumerate().filter(|(_, column)| is_bytes(spec, column)) {
        for row in 0..rows.len() {
            let text = match rows.row(row).get(at) {
                Some(Cell::Binary(bytes)) => match pages.decode(column, cut(column, bytes)) {
                    Some(text) => Some(text),
                    None => continue,
                },
                Some(Cell::Other(ColumnData::Binary(None))) => None,
                Some(Cell::Text(_) | Cell::Other(_)) | None => continue,
            };
            rows.set_text(row, at, text.as_deref());
        }
    }
}

/// A text is selected as bytes unless it is the key, or `xml`, which the server checks.
fn is_bytes(spec: &JobSpec, column: &SourceColumn) -> bool {
    let is_text = column.kind == CellKind::Text && column.info.type_name != "xml";
    is_text && column.reads() && !spec.key.contains(&column.name)
}

/// A text that was cut on the server may end in half a pair, which is the cut's doing and not the row's.
fn cut<'b>(column: &SourceColumn, bytes: &'b [u8]) -> &'b [u8] {
    let is_cut = matches!(column.mask, Mask::Truncate(_)) && column.info.type_name.starts_with('n');
    match bytes {
        [rest @ .., _, 0xD8..=0xDB] if is_cut && bytes.len().is_multiple_of(2) => rest,
        bytes => bytes,
    }
}

fn utf16(bytes: &[u8]) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| u16::from_le_bytes(*pair));
    rest.is_empty().then(|| char::decode_utf16(units).collect::<Result<_, _>>().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::spec::tests::spec;

    fn reading_bytes(collation: &str, page: i64) -> JobSpec {
        let mut spec = spec(&["AppointmentID"]);
        spec.columns[1].info.collation = Some(collation.to_owned());
        spec.code_pages = Some(CodePages(vec![(collation.to_owned(), CodePage::of(page))]));
        spec
    }

    fn decoded(spec: &JobSpec, bytes: &'static [u8]) -> ColumnData<'static> {
        let cells = [ColumnData::I32(Some(1)), ColumnData::Binary(Some(bytes.into()))];
        let mut rows = RowBlock::default();
        rows.push_row(cells.into_iter());
        decode(spec, &mut rows);
        match rows.rows().next().unwrap().get(1).unwrap() {
            Cell::Text(text) => ColumnData::String(Some(text.to_owned().into())),
            Cell::Binary(bytes) => ColumnData::Binary(Some(bytes.to_vec().into())),
            Cell::Other(other) => panic!("{other:?}"),
        }
    }

    fn text_cell(text: &'static str) -> ColumnData<'static> {
        ColumnData::String(Some(text.into()))
    }

    #[test]
    fn half_a_surrogate_pair_stays_bytes_and_the_rest_become_texts() {
        let mut spec = reading_bytes("Latin1_General_CI_AS", 1252);
        spec.columns[1].info.type_name = "nvarchar".to_owned();
        assert_eq!(decoded(&spec, b"h\0i\0"), text_cell("hi"));
        assert_eq!(decoded(&spec, b"\x3D\xD8\x00\xDE"), text_cell("\u{1F600}"));
        for bad in [&b"h\0\x3D\xD8"[..], b"\x00\xDEh\0", b"h"] {
            assert!(matches!(decoded(&spec, bad), ColumnData::Binary(Some(_))), "{bad:?}");
        }
        spec.columns[1].mask = Mask::Truncate(2);
        assert_eq!(decoded(&spec, b"h\0\x3D\xD8"), text_cell("h"), "the cut made it");
    }

    #[test]
    fn a_varchar_is_read_in_the_code_page_of_its_collation() {
        let mut spec = reading_bytes("Japanese_CI_AS", 932);
        spec.columns[1].info.type_name = "varchar".to_owned();
        assert_eq!(decoded(&spec, b"\x93\xFA\x96\x7B"), text_cell("日本"));
        assert!(matches!(decoded(&spec, b"\x93"), ColumnData::Binary(_)), "half a character");
        let mut oem = reading_bytes("SQL_Latin1_General_CP850_CI_AS", 850);
        oem.columns[1].info.type_name = "varchar".to_owned();
        assert_eq!(decoded(&oem, b"Zo\x89"), text_cell("Zoë"), "not as Windows-1252 would have it");
        let mut utf8 = reading_bytes("Latin1_General_100_CI_AS_SC_UTF8", 65001);
        utf8.columns[1].info.type_name = "varchar".to_owned();
        assert!(matches!(decoded(&utf8, b"\xC3("), ColumnData::Binary(_)));
        assert_eq!(decoded(&utf8, "Zoë".as_bytes()), text_cell("Zoë"));
    }

    #[test]
    fn texts_are_selected_as_bytes_and_keys_are_not() {
        let mut spec = reading_bytes("Latin1_General_CI_AS", 1252);
        spec.columns[1].info.type_name = "ntext".to_owned();
        let selected = select(&spec, &spec.columns[1], "T.").unwrap();
        assert_eq!(selected, "CONVERT(varbinary(max), CONVERT(nvarchar(max), T.[Note])) AS [Note]");
        spec.columns[0].kind = CellKind::Text;
        assert_eq!(select(&spec, &spec.columns[0], ""), None);
        spec.code_pages = None;
        assert_eq!(select(&spec, &spec.columns[1], ""), None);
    }
}
