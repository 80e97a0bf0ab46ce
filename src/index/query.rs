//! The query language of design section 10. In: what somebody typed, and the segmenter; out: a tree with bounded depth
//! and size, or an error that says where and what to do. Never panics, whatever is typed.

use super::QueryError;
use super::guard;
use super::lex::{Token, fault, lex};
use super::moments;
use crate::time::Instant;

/// Characters of a query: a page of words; longer ones are pasted texts.
const QUERY_CHARS: usize = 2_000;
/// Brackets and NOTs inside one another: nobody writes more by hand, and the parser's stack stays small.
const DEPTH: usize = 24;
/// Words and conditions of a query: bounds the postings one search opens in each shard.
const LEAVES: usize = 128;
/// Beginnings (`火*`) in a query: each walks through a part of every shard's words.
const PREFIXES: usize = 8;
/// Characters of the beginning of an id: a platform and a digit; with fewer every id of the index would be walked through.
const ID_PREFIX_CHARS: usize = 5;

/// A field that may be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    Id,
    Platform,
    Kind,
    Class,
    Level,
    District,
    Township,
    Unit,
    Topic,
    Place,
}

/// A query as meant.
#[derive(Clone, PartialEq, Debug)]
pub enum Node {
    /// `*`
    All,
    /// Matches nothing: an incident without topics.
    Nothing,
    /// Words that all occur, anywhere.
    Words(Vec<String>),
    /// Words in a row.
    Phrase(Vec<String>),
    /// A word that begins so: as typed, and as segmented.
    Prefix(String, Vec<String>),
    /// A field's value.
    Field(Key, String),
    /// A field's value is one of these.
    AnyOf(Key, Vec<String>),
    /// A field's value that begins so.
    FieldPrefix(Key, String),
    /// Written from the first instant up to, not with, the second (milliseconds).
    Time(i64, i64),
    /// All of them.
    And(Vec<Node>),
    /// Any of them.
    Or(Vec<Node>),
    /// Not that.
    Not(Box<Node>),
}

/// What of the index belongs to an incident.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Belongs {
    /// Its topic and all that merged with it: `T-1`.
    pub topics: Vec<String>,
    /// Ids of mentions that are known to belong to it.
    pub mentions: Vec<String>,
}

/// Resolves what lies outside the index: an incident's id to what belongs to it; `None` = there is no such incident.
pub type Expand<'a> = &'a dyn Fn(&str) -> Option<Belongs>;

/// What the parser needs besides the query.
pub struct Context<'a> {
    /// Segments and normalises like the indexed texts.
    pub words: &'a dyn Fn(&str) -> Vec<String>,
    /// Looks up incidents; `None` where the caller knows none.
    pub expand: Option<Expand<'a>>,
    /// For `time:24h`.
    pub now: Instant,
}

/// Reads a query.
pub fn parse(text: &str, context: &Context<'_>) -> Result<Node, QueryError> {
    if text.chars().count() > QUERY_CHARS {
        return Err(QueryError::Syntax(format!("longer than {QUERY_CHARS} characters; search for fewer words")));
    }
    let tokens = lex(text)?;
    let spoken: Vec<&str> = tokens
        .iter()
        .filter_map(|(_, token)| match token {
            Token::Word(text) | Token::Phrase(text) => Some(text.as_str()),
            Token::Field(name, value, _) if !matches!(name.as_str(), "id" | "time" | "topic" | "incident") => {
                Some(value)
            }
            _ => None,
        })
        .collect();
    if let Some(reason) = guard::words(&spoken.join(" ")) {
        return Err(QueryError::Syntax(reason));
    }
    let mut parser = Parser { tokens, next: 0, leaves: 0, prefixes: 0, context };
    let node = parser.any(0)?;
    if let Some((at, _)) = parser.tokens.get(parser.next) {
        return Err(fault(*at, "a closing bracket without an opening one; take it away"));
    }
    node.ok_or_else(|| QueryError::Syntax("nothing to search for; write words, or * for everything".to_owned()))
}

struct Parser<'a> {
    tokens: Vec<(usize, Token)>,
    next: usize,
    leaves: usize,
    prefixes: usize,
    context: &'a Context<'a>,
}

impl Parser<'_> {
    fn word_is(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.next), Some((_, Token::Word(found))) if found == word)
    }

    /// `a OR b`; `None` where everything was punctuation.
    fn any(&mut self, depth: usize) -> Result<Option<Node>, QueryError> {
        let mut parts = Vec::new();
        loop {
            parts.extend(self.all(depth)?);
            if !self.word_is("OR") {
                break;
            }
            let at = self.tokens[self.next].0;
            self.next += 1;
            if parts.is_empty() || matches!(self.tokens.get(self.next), None | Some((_, Token::Close))) {
                return Err(fault(at, "OR needs a word on both sides; to search for the word itself write \"OR\""));
            }
        }
        Ok(group(parts, Node::Or))
    }

    /// `a b`, `a AND b`.
    fn all(&mut self, depth: usize) -> Result<Option<Node>, QueryError> {
        let mut parts = Vec::new();
        let mut seen = false;
        loop {
            match self.tokens.get(self.next) {
                None | Some((_, Token::Close)) => break,
                Some((_, Token::Word(word))) if word == "OR" => break,
                Some((at, Token::Word(word))) if word == "AND" => {
                    let at = *at;
                    self.next += 1;
                    let ends = matches!(self.tokens.get(self.next), None | Some((_, Token::Close)))
                        || self.word_is("AND")
                        || self.word_is("OR");
                    if !seen || ends {
                        return Err(fault(
                            at,
                            "AND needs a word on both sides; to search for the word itself write \"AND\"",
                        ));
                    }
                }
                Some(_) => {
                    parts.extend(self.one(depth)?);
                    seen = true;
                }
            }
        }
        Ok(group(parts, Node::And))
    }

    fn one(&mut self, depth: usize) -> Result<Option<Node>, QueryError> {
        let Some((at, token)) = self.tokens.get(self.next).cloned() else { return Ok(None) };
        if depth >= DEPTH {
            return Err(fault(at, format_args!("more than {DEPTH} brackets inside one another; write it flatter")));
        }
        self.next += 1;
        match token {
            Token::Open => {
                let inner = self.any(depth + 1)?;
                if !matches!(self.tokens.get(self.next), Some((_, Token::Close))) {
                    return Err(fault(at, "this bracket is not closed; close it or take it away"));
                }
                self.next += 1;
                if inner.is_none() {
                    return Err(fault(at, "nothing in these brackets; take them away"));
                }
                Ok(inner)
            }
            Token::Close => Err(fault(at, "a closing bracket without an opening one; take it away")),
            Token::Minus => self.not(at, depth),
            Token::Word(word) if word == "NOT" => self.not(at, depth),
            Token::Word(word) => self.leaf(at, word_node(&word, self.context)),
            Token::Phrase(text) => self.leaf(at, some((self.context.words)(&text), Node::Phrase)),
            Token::Field(name, value, quoted) => {
                let node = field_node(at, &name, &value, quoted, self.context)?;
                self.leaf(at, Some(node))
            }
        }
    }

    fn not(&mut self, at: usize, depth: usize) -> Result<Option<Node>, QueryError> {
        let operand = match self.tokens.get(self.next) {
            None | Some((_, Token::Close)) => false,
            Some(_) => !self.word_is("AND") && !self.word_is("OR"),
        };
        if !operand {
            return Err(fault(at, "NOT needs a word after it; to search for the word itself write \"NOT\""));
        }
        Ok(self.one(depth + 1)?.map(|node| Node::Not(Box::new(node))))
    }

    fn leaf(&mut self, at: usize, node: Option<Node>) -> Result<Option<Node>, QueryError> {
        self.leaves += match &node {
            Some(Node::Words(words) | Node::Phrase(words) | Node::Prefix(_, words)) => words.len().max(1),
            Some(Node::Or(parts)) => parts.len(),
            _ => 1,
        };
        if self.leaves > LEAVES {
            return Err(fault(at, format_args!("more than {LEAVES} words; search for fewer")));
        }
        self.prefixes += usize::from(matches!(node, Some(Node::Prefix(..) | Node::FieldPrefix(..))));
        if self.prefixes > PREFIXES {
            return Err(fault(at, format_args!("more than {PREFIXES} beginnings with *; write some of the words out")));
        }
        Ok(node)
    }
}

fn group(mut parts: Vec<Node>, make: fn(Vec<Node>) -> Node) -> Option<Node> {
    if parts.len() > 1 { Some(make(parts)) } else { parts.pop() }
}

fn some(words: Vec<String>, make: fn(Vec<String>) -> Node) -> Option<Node> {
    if words.is_empty() { None } else { Some(make(words)) }
}

fn word_node(word: &str, context: &Context<'_>) -> Option<Node> {
    if word == "*" {
        return Some(Node::All);
    }
    let Some(stem) = word.strip_suffix('*') else { return some((context.words)(word), Node::Words) };
    let words = (context.words)(stem);
    if words.is_empty() { None } else { Some(Node::Prefix(words.concat(), words)) }
}

fn field_node(at: usize, name: &str, value: &str, quoted: bool, context: &Context<'_>) -> Result<Node, QueryError> {
    if let Some(reason) = guard::field(name) {
        return Err(fault(at, reason));
    }
    if value.is_empty() {
        return Err(fault(at, format_args!("{name}: has no value; write {name}:VALUE without a space between")));
    }
    if name == "time" {
        let (from, to) = moments::times(value, context.now).ok_or_else(|| {
            fault(at, "not a time; write time:24h, time:2026-10-01, or time:[2026-10-01 TO 2026-10-02]")
        })?;
        return Ok(Node::Time(from, to));
    }
    if name == "incident" {
        let Some(expand) = context.expand else {
            return Err(fault(at, "incidents are not known here; ask for topic:T-1, or search in the console"));
        };
        let value = value.to_uppercase();
        let belongs = expand(&value)
            .ok_or_else(|| fault(at, format_args!("there is no incident {value}; look it up on the board")))?;
        let nodes = [(Key::Topic, belongs.topics), (Key::Id, belongs.mentions)];
        let nodes = nodes.into_iter().filter(|(_, values)| !values.is_empty());
        let nodes = nodes.map(|(key, values)| Node::AnyOf(key, values)).collect();
        return Ok(group(nodes, Node::Or).unwrap_or(Node::Nothing));
    }
    let Some(key) = key(name) else {
        return Err(fault(
            at,
            format_args!(
                "no field {name}; there are id, platform, kind, class, level, district, township, unit, topic, incident, \
                 place and time; to search for text with a colon put it in quotation marks"
            ),
        ));
    };
    if let (false, Some(stem)) = (quoted, value.strip_suffix('*')) {
        if key == Key::Id && stem.chars().count() < ID_PREFIX_CHARS {
            return Err(fault(
                at,
                format_args!("write at least {ID_PREFIX_CHARS} characters of an id; platform:weibo finds a platform"),
            ));
        }
        return Ok(Node::FieldPrefix(key, cased(key, stem)));
    }
    if let (Key::Level, Some(least)) = (key, value.strip_prefix(">=")) {
        let least = cased(key, least);
        check(at, key, &least)?;
        let levels = LEVELS.iter().filter(|level| **level >= least.as_str());
        return Ok(group(levels.map(|level| Node::Field(key, (*level).to_owned())).collect(), Node::Or)
            .unwrap_or(Node::Nothing));
    }
    let value = cased(key, value);
    check(at, key, &value)?;
    Ok(Node::Field(key, value))
}

fn key(name: &str) -> Option<Key> {
    Some(match name {
        "id" => Key::Id,
        "platform" => Key::Platform,
        "kind" => Key::Kind,
        "class" => Key::Class,
        "level" => Key::Level,
        "district" => Key::District,
        "township" => Key::Township,
        "unit" => Key::Unit,
        "topic" => Key::Topic,
        "place" => Key::Place,
        _ => return None,
    })
}

const LEVELS: &[&str] = &["L0", "L1", "L2", "L3", "L4"];

/// The value as the index writes it.
fn cased(key: Key, value: &str) -> String {
    match key {
        Key::Class | Key::Level | Key::Unit | Key::Topic => value.to_uppercase(),
        Key::Kind | Key::Place => value.to_lowercase(),
        Key::Id | Key::Platform | Key::District | Key::Township => value.to_owned(),
    }
}

/// Refuses values that no mention can have: a slip would else look like an empty day.
fn check(at: usize, key: Key, value: &str) -> Result<(), QueryError> {
    let known: &[&str] = match key {
        Key::Level => LEVELS,
        Key::Kind => &["post", "repost", "comment", "message", "listing"],
        Key::Place => &["yes", "possible", "no", "related"],
        Key::Class => {
            &["ND", "AD", "PH", "SO", "HOUSE", "WAGE", "EDU", "MED", "TRANS", "ENV", "UTIL", "CONS", "FOOD", "CONDUCT"]
        }
        _ => return Ok(()),
    };
    if known.contains(&value) {
        return Ok(());
    }
    Err(fault(at, format_args!("{value} is none of {}", known.join(", "))))
}

impl Node {
    /// The instants a hit can have: first, and one after the last.
    pub fn span(&self) -> (i64, i64) {
        match self {
            Node::Time(from, to) => (*from, *to),
            Node::Nothing => (0, 0),
            Node::And(parts) => parts
                .iter()
                .map(Node::span)
                .fold((i64::MIN, i64::MAX), |all, part| (all.0.max(part.0), all.1.min(part.1))),
            Node::Or(parts) => parts
                .iter()
                .map(Node::span)
                .fold((i64::MAX, i64::MIN), |all, part| (all.0.min(part.0), all.1.max(part.1))),
            _ => (i64::MIN, i64::MAX),
        }
    }

    /// The words that may be shown as found; what stands under NOT is not.
    pub fn shown(&self, into: &mut Vec<Vec<String>>) {
        match self {
            Node::Words(words) => into.extend(words.iter().map(|word| vec![word.clone()])),
            Node::Phrase(words) => into.push(words.clone()),
            Node::Prefix(stem, _) => into.push(vec![stem.clone()]),
            Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| part.shown(into)),
            _ => {}
        }
    }
}
