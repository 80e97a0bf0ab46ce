//! What a shard keeps of a mention, and nothing else: no author, no source key, no link (public-trust rules 2 and 22).
//! In: a mention and its reading; out: a document; and back, from a stored document to a hit.

use super::tokenizer;
use crate::assess::Reading;
use crate::index::Hit;
use crate::mention::Mention;
use crate::time::Instant;
use crate::topic::TopicId;
use serde::{Deserialize, Serialize};
use tantivy::TantivyDocument;
use tantivy::schema::{FAST, Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions, Value};

/// Fields of a shard.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    pub id: Field,
    pub words: Field,
    pub platform: Field,
    pub kind: Field,
    pub class: Field,
    pub level: Field,
    pub district: Field,
    pub township: Field,
    pub unit: Field,
    pub topic: Field,
    pub place: Field,
    pub created: Field,
    pub tie: Field,
    text: Field,
    body: Field,
}

/// Name of the fast field that orders hits of the same millisecond.
pub const TIE: &str = "tie";
/// Name of the fast field of the time of writing, in milliseconds.
pub const CREATED: &str = "created";

/// Name of the fast field of the level.
pub const LEVEL: &str = "level";
/// Names of the fields that are counted with every page, in the order in which [`super::Facets`] has them.
pub const FACETS: [&str; 4] = ["platform", LEVEL, "class", "district"];

/// The small stored part of a hit.
#[derive(Serialize, Deserialize)]
struct Body {
    platform: String,
    kind: String,
    level: String,
    classes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    district: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    township: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
}

/// The schema of every shard.
pub fn schema() -> (Schema, Fields) {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(tokenizer::NAME)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions)
        .set_fieldnorms(true);
    let mut builder = Schema::builder();
    let fields = Fields {
        id: builder.add_text_field("id", STRING | STORED),
        words: builder.add_text_field("words", TextOptions::default().set_indexing_options(indexing)),
        platform: builder.add_text_field("platform", STRING | FAST),
        kind: builder.add_text_field("kind", STRING),
        class: builder.add_text_field("class", STRING | FAST),
        level: builder.add_text_field(LEVEL, STRING | FAST),
        district: builder.add_text_field("district", STRING | FAST),
        township: builder.add_text_field("township", STRING),
        unit: builder.add_text_field("unit", STRING),
        topic: builder.add_text_field("topic", STRING),
        place: builder.add_text_field("place", STRING),
        created: builder.add_i64_field(CREATED, FAST | STORED),
        tie: builder.add_u64_field(TIE, FAST),
        text: builder.add_text_field("text", STORED),
        body: builder.add_text_field("body", STORED),
    };
    (builder.build(), fields)
}

/// The name serde gives to a closed enum's value: the one name of it in the API, the ledger and here.
pub fn name_of<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// Orders mentions of the same millisecond: any fixed order of ids will do, and eight bytes hold this one.
pub fn tie_of(id: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(id.as_bytes())
}

/// The document of one mention.
pub fn document(fields: &Fields, mention: &Mention, reading: &Reading, topic: Option<TopicId>) -> TantivyDocument {
    let assessed = &reading.assessment;
    let body = Body {
        platform: mention.platform.clone(),
        kind: name_of(&mention.kind),
        level: name_of(&assessed.level),
        classes: assessed.classes.iter().map(|class| name_of(&class.class)).collect(),
        district: assessed.place.district.clone(),
        township: assessed.place.township.clone(),
        topic: topic.map(|topic| topic.to_string()),
    };
    let mut doc = TantivyDocument::new();
    doc.add_text(fields.id, &mention.id);
    doc.add_text(fields.words, &reading.words);
    doc.add_text(fields.platform, &body.platform);
    doc.add_text(fields.kind, &body.kind);
    doc.add_text(fields.level, &body.level);
    doc.add_text(fields.place, name_of(&assessed.place.verdict));
    for class in &body.classes {
        doc.add_text(fields.class, class);
    }
    for (field, value) in
        [(fields.district, &body.district), (fields.township, &body.township), (fields.topic, &body.topic)]
    {
        if let Some(value) = value {
            doc.add_text(field, value);
        }
    }
    let units: std::collections::BTreeSet<&String> = assessed.addressed.iter().chain(&assessed.responsible).collect();
    for unit in units {
        doc.add_text(fields.unit, unit);
    }
    doc.add_i64(fields.created, mention.created_at.millis());
    doc.add_u64(fields.tie, tie_of(&mention.id));
    doc.add_text(fields.text, &mention.text);
    doc.add_text(fields.body, serde_json::to_string(&body).unwrap_or_default());
    doc
}

/// The hit of a stored document, without highlights and score; `None` where the document is not one of ours.
pub fn hit(fields: &Fields, doc: &TantivyDocument) -> Option<Hit> {
    let body: Body = serde_json::from_str(doc.get_first(fields.body)?.as_str()?).ok()?;
    Some(Hit {
        id: doc.get_first(fields.id)?.as_str()?.to_owned(),
        created_at: Instant::from_millis(doc.get_first(fields.created)?.as_i64()?),
        platform: body.platform,
        kind: body.kind,
        text: doc.get_first(fields.text)?.as_str()?.to_owned(),
        highlights: Vec::new(),
        level: body.level,
        classes: body.classes,
        district: body.district,
        township: body.township,
        topic: body.topic,
        score: 0.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_leads_to_a_person() {
        let (schema, _) = schema();
        let names: Vec<&str> = schema.fields().map(|(_, entry)| entry.name()).collect();
        assert_eq!(
            names,
            [
                "id", "words", "platform", "kind", "class", "level", "district", "township", "unit", "topic", "place",
                "created", "tie", "text", "body"
            ],
            "a new field needs a look at public-trust rules 2 and 22 first"
        );
        assert!(serde_json::from_str::<Body>("{}").is_err());
    }
}
