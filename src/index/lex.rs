//! Cuts a query into tokens. In: what somebody typed; out: tokens, each with the character it starts at, or where a
//! quotation mark or range was left open. Full-width punctuation is as good as ASCII.

use super::QueryError;

/// A piece of a query.
#[derive(Clone, PartialEq, Debug)]
pub enum Token {
    Open,
    Close,
    Minus,
    Word(String),
    Phrase(String),
    /// Name, value, whether the value was quoted.
    Field(String, String, bool),
}

/// An error at a character, counted from 0.
pub fn fault(at: usize, detail: impl std::fmt::Display) -> QueryError {
    QueryError::Syntax(format!("character {}: {detail}", at + 1))
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '＂' | '「' | '」')
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || is_quote(c) || matches!(c, '(' | ')' | '（' | '）')
}

/// Cuts a query into tokens, each with the character it starts at.
pub fn lex(text: &str) -> Result<Vec<(usize, Token)>, QueryError> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let start = at;
        match c {
            c if c.is_whitespace() => at += 1,
            '(' | '（' => {
                tokens.push((start, Token::Open));
                at += 1;
            }
            ')' | '）' => {
                tokens.push((start, Token::Close));
                at += 1;
            }
            c if is_quote(c) => tokens.push((start, Token::Phrase(quoted(&chars, &mut at)?))),
            '-' if chars.get(at + 1).is_some_and(|next| !next.is_whitespace()) => {
                tokens.push((start, Token::Minus));
                at += 1;
            }
            _ => {
                let colon = |c: char| matches!(c, ':' | '：');
                while chars.get(at).is_some_and(|&c| !ends_word(c) && !colon(c)) {
                    at += 1;
                }
                let word: String = chars[start..at].iter().collect();
                if !chars.get(at).copied().is_some_and(colon) {
                    tokens.push((start, Token::Word(word)));
                    continue;
                }
                at += 1;
                let (value, was_quoted) = value(&chars, &mut at)?;
                tokens.push((start, Token::Field(word.to_lowercase(), value, was_quoted)));
            }
        }
    }
    Ok(tokens)
}

/// Reads up to the closing quote.
fn quoted(chars: &[char], at: &mut usize) -> Result<String, QueryError> {
    let start = *at;
    *at += 1;
    let from = *at;
    while chars.get(*at).is_some_and(|&c| !is_quote(c)) {
        *at += 1;
    }
    if *at >= chars.len() {
        return Err(fault(start, "this quotation mark is not closed; close it or take it away"));
    }
    *at += 1;
    Ok(chars[from..*at - 1].iter().collect())
}

/// Reads a field's value: quoted, a range in square brackets, or up to the next space or bracket.
fn value(chars: &[char], at: &mut usize) -> Result<(String, bool), QueryError> {
    let start = *at;
    match chars.get(start) {
        Some(&c) if is_quote(c) => Ok((quoted(chars, at)?, true)),
        Some('[') => {
            while chars.get(*at).is_some_and(|&c| c != ']') {
                *at += 1;
            }
            if *at >= chars.len() {
                return Err(fault(start, "this [ is not closed; write [FROM TO UNTIL]"));
            }
            *at += 1;
            Ok((chars[start..*at].iter().collect(), false))
        }
        _ => {
            while chars.get(*at).is_some_and(|&c| !ends_word(c)) {
                *at += 1;
            }
            Ok((chars[start..*at].iter().collect(), false))
        }
    }
}
