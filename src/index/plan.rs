//! From the tree of a query to what the engine runs in one shard. In: a tree and the shard's day; out: an engine query.

use super::query::{Key, Node};
use super::schema::Fields;
use crate::time::Day;
use std::ops::Bound;
use tantivy::query::{
    AllQuery, BooleanQuery, EmptyQuery, InvertedIndexRangeQuery, Occur, PhraseQuery, Query, RangeQuery, TermQuery,
    TermSetQuery,
};
use tantivy::schema::{Field, IndexRecordOption, Term};

/// The last character there is: ends the range of everything that begins so.
const LAST: char = '\u{10FFFF}';

/// The instants of a day in Shanghai: first, and one after the last.
pub fn span(day: Day) -> (i64, i64) {
    (day.start().millis(), Day(day.0 + 1).start().millis())
}

/// The engine's query for one shard.
pub fn plan(node: &Node, fields: &Fields, day: Day) -> Box<dyn Query> {
    match node {
        Node::All => Box::new(AllQuery),
        Node::Nothing => Box::new(EmptyQuery),
        Node::Words(words) => all(words.iter().map(|word| (Occur::Must, term(fields.words, word))).collect()),
        Node::Phrase(words) if words.len() > 1 => {
            Box::new(PhraseQuery::new(words.iter().map(|word| Term::from_field_text(fields.words, word)).collect()))
        }
        Node::Phrase(words) => all(words.iter().map(|word| (Occur::Must, term(fields.words, word))).collect()),
        Node::Prefix(stem, words) => {
            let whole = begins(fields.words, stem);
            let Some((last, first)) = words.split_last().filter(|(_, first)| !first.is_empty()) else { return whole };
            let mut cut: Vec<_> = first.iter().map(|word| (Occur::Must, term(fields.words, word))).collect();
            cut.push((Occur::Must, begins(fields.words, last)));
            Box::new(BooleanQuery::new(vec![(Occur::Should, whole), (Occur::Should, all(cut))]))
        }
        Node::Field(key, value) => term(field(fields, *key), value),
        Node::AnyOf(key, values) => {
            let field = field(fields, *key);
            Box::new(TermSetQuery::new(values.iter().map(|value| Term::from_field_text(field, value))))
        }
        Node::FieldPrefix(key, stem) => begins(field(fields, *key), stem),
        Node::Time(from, to) => time(fields, *from, *to, day),
        Node::And(parts) => conjunction(parts, fields, day),
        Node::Or(parts) => {
            Box::new(BooleanQuery::new(parts.iter().map(|part| (Occur::Should, plan(part, fields, day))).collect()))
        }
        Node::Not(_) => conjunction(std::slice::from_ref(node), fields, day),
    }
}

fn conjunction(parts: &[Node], fields: &Fields, day: Day) -> Box<dyn Query> {
    let mut clauses = Vec::with_capacity(parts.len() + 1);
    for part in parts {
        clauses.push(match part {
            Node::Not(inner) => (Occur::MustNot, plan(inner, fields, day)),
            part => (Occur::Must, plan(part, fields, day)),
        });
    }
    if clauses.iter().all(|(occur, _)| *occur == Occur::MustNot) {
        clauses.push((Occur::Must, Box::new(AllQuery)));
    }
    all(clauses)
}

fn all(mut clauses: Vec<(Occur, Box<dyn Query>)>) -> Box<dyn Query> {
    match clauses.as_slice() {
        [(Occur::Must, _)] => clauses.remove(0).1,
        _ => Box::new(BooleanQuery::new(clauses)),
    }
}

fn term(field: Field, text: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs))
}

fn begins(field: Field, stem: &str) -> Box<dyn Query> {
    let from = Term::from_field_text(field, stem);
    let to = Term::from_field_text(field, &format!("{stem}{LAST}"));
    Box::new(InvertedIndexRangeQuery::new(Bound::Included(from), Bound::Included(to)))
}

/// A shard that lies in the range whole needs no look at each mention's time.
fn time(fields: &Fields, from: i64, to: i64, day: Day) -> Box<dyn Query> {
    let (first, end) = span(day);
    if from <= first && end <= to {
        return Box::new(AllQuery);
    }
    if to <= first || end <= from || to <= from {
        return Box::new(EmptyQuery);
    }
    Box::new(RangeQuery::new(
        Bound::Included(Term::from_field_i64(fields.created, from)),
        Bound::Excluded(Term::from_field_i64(fields.created, to)),
    ))
}

fn field(fields: &Fields, key: Key) -> Field {
    match key {
        Key::Id => fields.id,
        Key::Platform => fields.platform,
        Key::Kind => fields.kind,
        Key::Class => fields.class,
        Key::Level => fields.level,
        Key::District => fields.district,
        Key::Township => fields.township,
        Key::Unit => fields.unit,
        Key::Topic => fields.topic,
        Key::Place => fields.place,
    }
}
