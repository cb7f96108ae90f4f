//! Compound targets: words of other target types joined by `and`, `or`, `not` and parentheses.
//!
//! Salt replaces each word by `True` or `False` and hands the sentence to Python, so precedence, chains such as
//! `not not` and what counts as an error follow from that: words without an operator between them, unbalanced
//! parentheses and the like make the whole target match nothing.
//!
//! Every part is matched before the sentence is read, so a part that cannot be decided is an error wherever it stands.

use super::{DEFAULT_DELIMITER, MinionFacts, TargetError, TargetType, matches};
use crate::Value;

/// Nesting at which Python's parser gives up.
const DEPTH_MAX: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    And,
    Or,
    Not,
    Open,
    Close,
    Fact(bool),
}

/// Whether the compound target means the minion.
pub(super) fn compound_match(tgt: &Value, facts: &MinionFacts<'_>) -> Result<bool, TargetError> {
    let words: Vec<&str> = match (tgt.as_str(), tgt.as_list()) {
        (Some(text), _) => text.split_whitespace().collect(),
        (None, Some(list)) => list
            .iter()
            .map(|word| word.as_str().ok_or(word))
            .collect::<Result<_, _>>()
            .map_err(|word| TargetError::Kind { tgt_type: "compound".to_owned(), kind: word.kind() })?,
        // Salt logs that and answers no.
        (None, None) => return Ok(false),
    };
    let Some(tokens) = tokens(&words, facts)? else { return Ok(false) };
    Ok(evaluate(&tokens))
}

/// The sentence with every part decided; `None` when Salt refuses it by its words.
fn tokens(words: &[&str], facts: &MinionFacts<'_>) -> Result<Option<Vec<Token>>, TargetError> {
    let mut tokens: Vec<Token> = Vec::with_capacity(words.len());
    for word in words {
        let Some(operator) = operator(word) else {
            tokens.push(Token::Fact(part_match(word, facts)?));
            continue;
        };
        match (tokens.last(), operator) {
            (None, Token::And | Token::Or | Token::Close) => return Ok(None),
            (Some(Token::Open), Token::And | Token::Or) => return Ok(None),
            // `a not b` reads as `a and not b`.
            (Some(Token::Fact(_) | Token::Close | Token::Not), Token::Not) => tokens.push(Token::And),
            _ => {}
        }
        tokens.push(operator);
    }
    Ok(Some(tokens))
}

fn operator(word: &str) -> Option<Token> {
    match word {
        "and" => Some(Token::And),
        "or" => Some(Token::Or),
        "not" => Some(Token::Not),
        "(" => Some(Token::Open),
        ")" => Some(Token::Close),
        _ => None,
    }
}

/// Decides one word: `X@pattern`, `X{delimiter}@pattern`, or a glob.
fn part_match(word: &str, facts: &MinionFacts<'_>) -> Result<bool, TargetError> {
    let Some((engine, delimiter, pattern)) = split_engine(word) else {
        return matches(&Value::from(word), &TargetType::Glob, facts, DEFAULT_DELIMITER);
    };
    let tgt_type = match engine {
        'G' => TargetType::Grain,
        'P' => TargetType::GrainPcre,
        'I' => TargetType::Pillar,
        'J' => TargetType::PillarPcre,
        'L' => TargetType::List,
        'S' => TargetType::IpCidr,
        'E' => TargetType::Pcre,
        'N' => TargetType::Nodegroup,
        'R' => TargetType::Range,
        other => TargetType::Other(format!("{other}@")),
    };
    matches(&Value::from(pattern), &tgt_type, facts, delimiter.unwrap_or(DEFAULT_DELIMITER))
}

/// Letter, delimiter and pattern of a word with a letter in front (`salt.utils.minions.TARGET_REX`).
fn split_engine(word: &str) -> Option<(char, Option<&str>, &str)> {
    let engine = word.chars().next().filter(|letter| "GPIJLNSERTM".contains(*letter))?;
    let rest = &word[1..];
    let with_delimiter = || {
        let delimiter = rest.chars().next().filter(|_| "GPIJ".contains(engine))?;
        let pattern = rest[delimiter.len_utf8()..].strip_prefix('@').filter(|pattern| !pattern.is_empty())?;
        Some((Some(&rest[..delimiter.len_utf8()]), pattern))
    };
    let plain =
        || rest.strip_prefix('@').filter(|pattern| !pattern.is_empty()).map(|pattern| (None, pattern));
    let (delimiter, pattern) = with_delimiter().or_else(plain)?;
    Some((engine, delimiter, pattern))
}

/// Python's answer to the sentence; false when it is none.
fn evaluate(tokens: &[Token]) -> bool {
    let mut sentence = Sentence { tokens, at: 0 };
    match sentence.either(0) {
        Some(answer) if sentence.at == tokens.len() => answer,
        _ => false,
    }
}

/// Recursive descent over `or`, `and`, `not`; `None` is a syntax error.
struct Sentence<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Sentence<'_> {
    fn either(&mut self, depth: usize) -> Option<bool> {
        let mut answer = self.both(depth)?;
        while self.take(Token::Or) {
            answer |= self.both(depth)?;
        }
        Some(answer)
    }

    fn both(&mut self, depth: usize) -> Option<bool> {
        let mut answer = self.one(depth)?;
        while self.take(Token::And) {
            answer &= self.one(depth)?;
        }
        Some(answer)
    }

    fn one(&mut self, depth: usize) -> Option<bool> {
        if depth > DEPTH_MAX {
            return None;
        }
        if self.take(Token::Not) {
            return self.one(depth + 1).map(|answer| !answer);
        }
        if self.take(Token::Open) {
            // Python's empty tuple, which is false.
            if self.take(Token::Close) {
                return Some(false);
            }
            let answer = self.either(depth + 1)?;
            return self.take(Token::Close).then_some(answer);
        }
        let Some(Token::Fact(answer)) = self.tokens.get(self.at) else { return None };
        self.at += 1;
        Some(*answer)
    }

    fn take(&mut self, token: Token) -> bool {
        let there = self.tokens.get(self.at) == Some(&token);
        self.at += usize::from(there);
        there
    }
}
