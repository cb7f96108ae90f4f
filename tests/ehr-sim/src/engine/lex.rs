//! T-SQL text into tokens with byte offsets and lines.
//!
//! Own lexer and grammar on purpose. `sqlparser` reads many dialects and silently accepts what SQL Server refuses
//! (LIMIT, ILIKE, `::` casts, NULLS FIRST ...), and its errors do not name the token that 102 and 156 must name;
//! a simulator whose worth is what it refuses cannot stand on that. Pro of the rejected way: less grammar to keep.
//!
//! Facts: "Transact-SQL syntax conventions", "Database identifiers", "Constants", "Comments".

use super::message::{self, Result};

/// A token's kind and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tok {
    /// A bare identifier or keyword, as written.
    Word(String),
    /// `[x]` or `"x"`.
    Quoted(String),
    /// `@x` or `@@x`, with its signs.
    Variable(String),
    /// A number without sign; text as written.
    Number(String),
    /// A money constant without its `$`.
    Money(String),
    /// `'..'`
    Text(String),
    /// `N'..'`
    National(String),
    /// `0x..`
    Hex(Vec<u8>),
    /// Operators and punctuation.
    Symbol(&'static str),
    /// End of the batch.
    End,
}

/// A token and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub tok: Tok,
    pub start: usize,
    pub end: usize,
    pub line: u32,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

/// Tokens of a batch, closed by [`Tok::End`].
pub fn tokenize(text: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer { text, at: 0, line: 1 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank()?;
        let (start, line) = (lexer.at, lexer.line);
        let tok = lexer.next()?;
        let end = tok == Tok::End;
        tokens.push(Token { tok, start, end: lexer.at, line });
        if end {
            return Ok(tokens);
        }
    }
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(&keep) {
            self.bump();
        }
        self.text[start..self.at].to_owned()
    }

    fn skip_blank(&mut self) -> Result<()> {
        loop {
            if self.rest().starts_with("--") {
                self.take_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                self.skip_comment()?;
            } else if self.peek().is_some_and(|c| c.is_whitespace() || c == '\u{feff}') {
                self.bump();
            } else {
                return Ok(());
            }
        }
    }

    fn skip_comment(&mut self) -> Result<()> {
        let line = self.line;
        let mut depth = 0;
        loop {
            if self.rest().starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Ok(());
                }
            } else if self.bump().is_none() {
                return Err(message::missing_end_comment().at(line));
            }
        }
    }

    fn next(&mut self) -> Result<Tok> {
        let Some(c) = self.peek() else { return Ok(Tok::End) };
        match c {
            '\'' => Ok(Tok::Text(self.quoted('\'')?)),
            '"' => Ok(Tok::Quoted(self.quoted('"')?)),
            '[' => Ok(Tok::Quoted(self.quoted(']')?)),
            'N' | 'n' if self.rest()[1..].starts_with('\'') => {
                self.bump();
                Ok(Tok::National(self.quoted('\'')?))
            }
            '@' => Ok(Tok::Variable(self.take_while(is_part))),
            '$' => {
                self.bump();
                Ok(Tok::Money(self.take_while(|c| c.is_ascii_digit() || c == '.')))
            }
            '0'..='9' => Ok(self.number()),
            '.' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => Ok(self.number()),
            c if c.is_alphabetic() || c == '_' || c == '#' => Ok(Tok::Word(self.take_while(is_part))),
            _ => self.symbol(c),
        }
    }

    fn quoted(&mut self, close: char) -> Result<String> {
        let line = self.line;
        self.bump();
        let mut text = String::new();
        loop {
            match self.bump() {
                Some(c) if c == close => {
                    if self.peek() != Some(close) {
                        return Ok(text);
                    }
                    self.bump();
                    text.push(c);
                }
                Some(c) => text.push(c),
                None => return Err(message::unclosed_quote(text).at(line)),
            }
        }
    }

    fn number(&mut self) -> Tok {
        let rest = self.rest();
        if rest.starts_with("0x") || rest.starts_with("0X") {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            let padded = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits };
            return Tok::Hex(
                (0..padded.len())
                    .step_by(2)
                    .filter_map(|i| u8::from_str_radix(&padded[i..i + 2], 16).ok())
                    .collect(),
            );
        }
        let mut text = self.take_while(|c| c.is_ascii_digit() || c == '.');
        let exponent = self.rest().trim_start_matches(['e', 'E']);
        let signed = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if self.rest().starts_with(['e', 'E']) && signed.starts_with(|c: char| c.is_ascii_digit()) {
            self.bump();
            text.push('e');
            if let Some(sign) = self.peek().filter(|c| matches!(c, '+' | '-')) {
                self.bump();
                text.push(sign);
            }
            text.push_str(&self.take_while(|c| c.is_ascii_digit()));
        }
        Tok::Number(text)
    }

    fn symbol(&mut self, c: char) -> Result<Tok> {
        for symbol in SYMBOLS {
            if self.rest().starts_with(symbol) {
                self.at += symbol.len();
                return Ok(Tok::Symbol(symbol));
            }
        }
        Err(message::syntax_near(c).at(self.line))
    }
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@' | '#' | '$')
}

/// Longest first.
const SYMBOLS: [&str; 33] = [
    "<>", "<=", ">=", "!=", "!<", "!>", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "::", "(", ")", ",",
    ".", ";", "=", "<", ">", "+", "-", "*", "/", "%", "&", "|", "^", "~", ":",
];
