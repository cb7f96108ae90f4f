//! The collation of a text column: how a value is brought into it, and which characters its code page holds.
//!
//! A `varchar` holds bytes of its collation's code page. SQL Server turns a character that the page lacks into another one or
//! a question mark and says nothing (Microsoft, "Collation and Unicode support"), and a parameter that is converted without
//! naming a collation goes through the database's page first. So a value is judged here, character by character, before it
//! is sent, and is cast in the column's own collation. Which page a collation has, the server says itself
//! (`COLLATIONPROPERTY`). A character counts as held only when its bytes are read as the same character again.

use encoding_rs::Encoding;
use oem_cp::code_table::{
    DECODING_TABLE_CP437, DECODING_TABLE_CP850, ENCODING_TABLE_CP437, ENCODING_TABLE_CP850,
};
use serde::{Deserialize, Serialize};

use super::SqlError;
use super::param::integer;
use super::session::{Param, Session};

/// A collation, by the catalog's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collation {
    /// Its name.
    pub name: String,
    /// Its code page; `None` where nobody asked, 0 for a collation that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_page: Option<i64>,
}

/// A code page whose characters are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodePage {
    /// A page of Windows, or UTF-8.
    Windows(&'static Encoding),
    /// 437, of the first PCs in America.
    Oem437,
    /// 850, of the first PCs in Western Europe.
    Oem850,
}

impl Collation {
    /// Asks the server for the code page of a collation.
    ///
    /// # Errors
    /// The server refused, or the connection broke.
    pub async fn read(session: &mut Session, name: &str) -> Result<Self, SqlError> {
        let sql = "SELECT CAST(COLLATIONPROPERTY(@P1, N'CodePage') AS int)";
        let rows = session.query(sql, &[Param::Text(name.to_owned())]).await?;
        let code_page = rows.first().and_then(|row| row.get_column_data(0).ok()).and_then(integer);
        Ok(Self { name: name.to_owned(), code_page })
    }

    /// Its code page, where one is known here.
    #[must_use]
    pub fn page(&self) -> Option<CodePage> {
        self.code_page.and_then(CodePage::of)
    }

    /// `value`, a parameter's name, as exactly that type in this collation.
    #[must_use]
    pub fn cast(&self, value: &str, sql_type: &str) -> String {
        if is_plain(&self.name) {
            format!("CAST({value} COLLATE {} AS {sql_type})", self.name)
        } else {
            format!("CAST({value} AS {sql_type})")
        }
    }
}

impl CodePage {
    /// The page of that number; `None` for one that is not known here.
    #[must_use]
    pub fn of(number: i64) -> Option<Self> {
        Some(Self::Windows(match number {
            437 => return Some(Self::Oem437),
            850 => return Some(Self::Oem850),
            874 => encoding_rs::WINDOWS_874,
            932 => encoding_rs::SHIFT_JIS,
            936 => encoding_rs::GBK,
            949 => encoding_rs::EUC_KR,
            950 => encoding_rs::BIG5,
            1250 => encoding_rs::WINDOWS_1250,
            1251 => encoding_rs::WINDOWS_1251,
            1252 => encoding_rs::WINDOWS_1252,
            1253 => encoding_rs::WINDOWS_1253,
            1254 => encoding_rs::WINDOWS_1254,
            1255 => encoding_rs::WINDOWS_1255,
            1256 => encoding_rs::WINDOWS_1256,
            1257 => encoding_rs::WINDOWS_1257,
            1258 => encoding_rs::WINDOWS_1258,
            65001 => encoding_rs::UTF_8,
            _ => return None,
        }))
    }

    /// The text of these bytes; `None` when they are none of this page.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Option<String> {
        let oem = |table| Some(oem_cp::decode_string_complete_table(bytes, table));
        match self {
            Self::Windows(encoding) => {
                encoding.decode_without_bom_handling_and_without_replacement(bytes).map(Into::into)
            }
            Self::Oem437 => oem(&DECODING_TABLE_CP437),
            Self::Oem850 => oem(&DECODING_TABLE_CP850),
        }
    }

    /// How many bytes the text takes in this page.
    ///
    /// # Errors
    /// The position, from 1, of the first character that the page does not hold.
    pub fn bytes(self, text: &str) -> Result<usize, usize> {
        let mut bytes = 0;
        for (at, character) in (1_usize..).zip(text.chars()) {
            bytes += self.width(character).ok_or(at)?;
        }
        Ok(bytes)
    }

    fn width(self, character: char) -> Option<usize> {
        if character.is_ascii() {
            return Some(1);
        }
        match self {
            Self::Windows(encoding) => {
                let text = character.to_string();
                let (bytes, _, failed) = encoding.encode(&text);
                let again = encoding.decode_without_bom_handling_and_without_replacement(&bytes);
                (!failed && again.is_some_and(|again| again == text)).then_some(bytes.len())
            }
            Self::Oem437 => ENCODING_TABLE_CP437.get(&character).map(|_| 1),
            Self::Oem850 => ENCODING_TABLE_CP850.get(&character).map(|_| 1),
        }
    }
}

/// A collation is a bare word in T-SQL and takes no quotes.
fn is_plain(collation: &str) -> bool {
    collation.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: i64) -> CodePage {
        CodePage::of(number).unwrap()
    }

    #[test]
    fn a_character_is_held_where_its_bytes_mean_it_again() {
        assert_eq!(page(1252).bytes("Zoë €"), Ok(5));
        assert_eq!(page(1252).bytes("Zoя"), Err(3));
        assert_eq!(page(1251).bytes("Зоя"), Ok(3));
        assert_eq!(page(1251).bytes("Zoë"), Err(3));
        assert_eq!((page(850).bytes("Zoë"), page(850).bytes("€")), (Ok(3), Err(1)));
        assert_eq!((page(437).bytes("Zoë"), page(437).bytes("Ã")), (Ok(3), Err(1)));
        assert_eq!(page(932).bytes("日本"), Ok(4));
        assert_eq!(page(932).bytes("a¥"), Err(2), "the yen sign would become a backslash");
        assert_eq!((page(65001).bytes("я😀"), page(1252).bytes("a😀")), (Ok(6), Err(2)));
        assert_eq!(CodePage::of(0), None);
    }

    #[test]
    fn bytes_of_the_first_pcs_are_not_read_as_those_of_windows() {
        assert_eq!(page(850).decode(b"Zo\x89").as_deref(), Some("Zoë"));
        assert_eq!(page(437).decode(b"\x80\xE1").as_deref(), Some("Çß"));
        assert_eq!(page(1252).decode(b"Zo\xEB").as_deref(), Some("Zoë"));
    }

    #[test]
    fn a_value_is_cast_in_the_column_s_collation() {
        let named = |name: &str| Collation { name: name.to_owned(), code_page: None };
        let cast = named("Cyrillic_General_CI_AS").cast("@P1", "varchar(20)");
        assert_eq!(cast, "CAST(@P1 COLLATE Cyrillic_General_CI_AS AS varchar(20))");
        assert_eq!(named("x; DROP").cast("@P1", "char(2)"), "CAST(@P1 AS char(2))");
    }
}
