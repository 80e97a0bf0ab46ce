//! The assessed mention as other programs read it, on the Kafka topic `yuqing.assessed`: the `assessment` line of
//! `yuqing assess --json` with the record's position and the masked mention. Its JSON Schema is
//! `pipelines/assessed.schema.json`.

use super::Assessment;
use crate::mention::Mention;
use crate::mention::schema::Buried;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of [`Assessed`]: fields may be added under the same number, never renamed or taken away.
pub const SCHEMA: u32 = 1;

/// What sort of line this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineType {
    /// One mention, assessed.
    #[default]
    Assessment,
}

/// One assessed mention. The Kafka key is its id. After a crash a worker may publish one again: the position tells.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Assessed mention")]
pub struct Assessed {
    /// Always `assessment`.
    pub r#type: LineType,
    /// Version of this shape.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// Topic (`intake` for the log on disk), partition, offset of the record it was read from.
    pub position: (String, i32, u64),
    /// What it says, and why.
    #[serde(flatten)]
    pub assessment: Assessment,
    /// The mention, masked and without its author.
    pub mention: Mention,
}

/// What sort of line a refused record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusedType {
    /// One record that was refused.
    #[default]
    Refused,
}

/// A refused record among the assessed ones, so that the desk counts it with what it decides.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Refused record")]
pub struct RefusedRecord {
    /// Always `refused`.
    pub r#type: RefusedType,
    /// Version of this shape.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: u32,
    /// The dead letter.
    #[serde(flatten)]
    pub letter: Buried,
}

/// One record of `yuqing.assessed`. A null value, under a mention's id as key, deletes that mention.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "Record of yuqing.assessed")]
pub enum Published {
    /// A mention that was read.
    Assessed(Box<Assessed>),
    /// A record that was refused.
    Refused(RefusedRecord),
}

impl Assessed {
    /// A mention with its assessment and where it was read.
    pub fn new(position: (String, i32, u64), assessment: Assessment, mention: Mention) -> Assessed {
        Assessed { r#type: LineType::Assessment, schema: SCHEMA, position, assessment, mention }
    }
}
