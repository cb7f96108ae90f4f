//! Text as the xml type keeps it: well-formed or refused, without declaration and without white space that means nothing.
//!
//! Content may be a fragment: several elements, or text alone. Names, attributes and the nesting of tags are checked;
//! DTDs are refused (6359). Facts: "xml (Transact-SQL)", "Create instances of XML data" (insignificant white space).

use crate::engine::message::{Reach, Result, SqlError};

/// The stored form of `text`.
pub fn parse(text: &str) -> Result<String> {
    let mut reader =
        Reader { text, at: 0, out: String::with_capacity(text.len()), open: Vec::new(), bare: false };
    while reader.at < text.len() {
        if reader.rest().starts_with('<') { reader.markup()? } else { reader.characters()? }
    }
    if reader.open.is_empty() { Ok(reader.out) } else { Err(reader.refuse(9400, "unexpected end of input")) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    out: String,
    open: Vec<&'a str>,
    /// The last tag read is a start tag that has no content yet.
    bare: bool,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn refuse(&self, number: u32, what: &str) -> SqlError {
        let read = &self.text[..self.at];
        let line = read.matches('\n').count() + 1;
        let character = read.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let text = format!("XML parsing: line {line}, character {character}, {what}");
        SqlError::new(number, 16, 1, text).reaching(Reach::Transaction)
    }

    /// What stands up to `end`, which is skipped.
    fn until(&mut self, end: &str) -> Result<&'a str> {
        let rest = self.rest();
        let Some(found) = rest.find(end) else {
            self.at = self.text.len();
            return Err(self.refuse(9400, "unexpected end of input"));
        };
        self.at += found + end.len();
        Ok(&rest[..found])
    }

    fn put(&mut self, text: &str) {
        if std::mem::take(&mut self.bare) {
            self.out.push('>');
        }
        self.out.push_str(text);
    }

    fn characters(&mut self) -> Result<()> {
        let rest = self.rest();
        let text = &rest[..rest.find('<').unwrap_or(rest.len())];
        if !text.chars().all(char::is_whitespace) {
            self.check_references(text)?;
            self.put(text);
        }
        self.at += text.len();
        Ok(())
    }

    /// `&` begins a reference everywhere.
    fn check_references(&mut self, text: &str) -> Result<()> {
        let mut from = 0;
        while let Some(found) = text[from..].find('&') {
            let after = &text[from + found + 1..];
            let name = after.split(';').next().unwrap_or_default();
            let known = ["amp", "lt", "gt", "quot", "apos"].contains(&name)
                || name.strip_prefix('#').is_some_and(|digits| !digits.is_empty());
            if !known || !after.contains(';') {
                self.at += from + found + 1;
                let named = after.starts_with(is_name_start);
                return Err(if named {
                    self.refuse(9448, "well formed check: undeclared entity")
                } else {
                    self.refuse(9421, "illegal name character")
                });
            }
            from += found + 1;
        }
        Ok(())
    }

    fn markup(&mut self) -> Result<()> {
        let rest = self.rest();
        if rest.starts_with("<!--") {
            self.at += 4;
            let comment = self.until("-->")?;
            self.put(&format!("<!--{comment}-->"));
        } else if rest.starts_with("<![CDATA[") {
            self.at += 9;
            let text = self.until("]]>")?;
            self.put(&text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
        } else if rest.starts_with("<?") {
            self.at += 2;
            let instruction = self.until("?>")?;
            if !instruction.starts_with("xml ") {
                self.put(&format!("<?{instruction}?>"));
            }
        } else if rest.starts_with("<!") {
            let text = "Parsing XML with internal subset DTDs not allowed. Use CONVERT with style option 2 to enable limited internal subset DTD support.";
            return Err(SqlError::new(6359, 16, 1, text).reaching(Reach::Transaction));
        } else if rest.starts_with("</") {
            self.at += 2;
            return self.end_tag();
        } else {
            self.at += 1;
            return self.start_tag();
        }
        Ok(())
    }

    fn end_tag(&mut self) -> Result<()> {
        let name = self.until(">")?.trim_end();
        if self.open.pop() != Some(name) {
            self.at -= 1;
            return Err(self.refuse(9436, "end tag does not match start tag"));
        }
        if std::mem::take(&mut self.bare) {
            self.out.push_str("/>");
        } else {
            self.out.push_str(&format!("</{name}>"));
        }
        Ok(())
    }

    fn start_tag(&mut self) -> Result<()> {
        let name = self.name()?;
        let mut attributes: Vec<&str> = Vec::new();
        let mut tag = format!("<{name}");
        loop {
            self.skip_space();
            if self.rest().starts_with("/>") || self.rest().starts_with('>') {
                break;
            }
            let attribute = self.name()?;
            if attributes.contains(&attribute) {
                return Err(self.refuse(9437, "duplicate attribute"));
            }
            attributes.push(attribute);
            let value = self.attribute_value()?;
            tag.push_str(&format!(" {attribute}=\"{}\"", value.replace('"', "&quot;")));
        }
        self.put(&tag);
        if self.rest().starts_with('>') {
            self.at += 1;
            self.open.push(name);
            self.bare = true;
        } else {
            self.at += 2;
            self.out.push_str("/>");
        }
        Ok(())
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn name(&mut self) -> Result<&'a str> {
        let rest = self.rest();
        if rest.is_empty() {
            return Err(self.refuse(9400, "unexpected end of input"));
        }
        if !rest.starts_with(is_name_start) {
            return Err(self.refuse(9455, "illegal qualified name character"));
        }
        let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        self.at += name.len();
        Ok(name)
    }

    fn attribute_value(&mut self) -> Result<&'a str> {
        self.skip_space();
        if !self.rest().starts_with('=') {
            return Err(self.refuse(9412, "equal expected"));
        }
        self.at += 1;
        self.skip_space();
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return Err(self.refuse(9413, "A string literal was expected"));
        };
        self.at += 1;
        let value = self.until(if quote == '"' { "\"" } else { "'" })?;
        self.check_references(value)?;
        if value.contains('<') {
            return Err(self.refuse(9420, "illegal xml character"));
        }
        Ok(value)
    }
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | ':')
}

fn is_name(c: char) -> bool {
    is_name_start(c) || c.is_numeric() || matches!(c, '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_means_something() {
        for (given, kept) in [
            ("<a>1</a>", "<a>1</a>"),
            ("<?xml version=\"1.0\"?>\n<a x='1' >\n  <b></b> <c/>\n</a>", "<a x=\"1\"><b/><c/></a>"),
            ("<a><![CDATA[x < y]]></a><!-- c -->text", "<a>x &lt; y</a><!-- c -->text"),
            ("", ""),
            ("<a>&amp;&#65;</a>", "<a>&amp;&#65;</a>"),
        ] {
            assert_eq!(parse(given).unwrap(), kept, "{given}");
        }
    }

    #[test]
    fn refuses_what_is_not_well_formed() {
        for (given, number) in [
            ("<a>1", 9400),
            ("<a", 9400),
            ("<a><b></a>", 9436),
            ("</a>", 9436),
            ("fish & chips", 9421),
            ("<a>&nbsp;</a>", 9448),
            ("<a x=1/>", 9413),
            ("<a x/>", 9412),
            ("<a x='1' x='2'/>", 9437),
            ("< a/>", 9455),
            ("<!DOCTYPE a><a/>", 6359),
        ] {
            assert_eq!(parse(given).unwrap_err().number, number, "{given}");
        }
    }
}
