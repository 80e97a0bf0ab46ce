//! A small validator of JSON Schema 2020-12 for the words that our schemas use. It refuses to judge by a word it does not
//! know, so a new one cannot pass unseen.

use serde_json::Value;

/// Words that say nothing about validity.
const NOTES: &[&str] = &["$schema", "$defs", "title", "description", "examples", "default"];

/// Every fault of a value under a schema; `root` is the document that `$ref` points into.
pub fn faults(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    judge(root, schema, value, "$", &mut found);
    found
}

fn judge(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Value::Object(words) = schema else {
        if schema == &Value::Bool(false) {
            found.push(format!("{at}: nothing may stand here"));
        }
        return;
    };
    let passes = |one: &Value| faults(root, one, value).is_empty();
    let list = |value: &Value| value.as_array().expect("a list in the schema").clone();
    for (word, rule) in words {
        let number = rule.as_f64();
        let right = match word.as_str() {
            note if NOTES.contains(&note) => true,
            "$ref" => {
                let pointer = rule.as_str().and_then(|path| path.strip_prefix('#')).expect("a local reference");
                let target = root.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not in the document"));
                judge(root, target, value, at, found);
                true
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| is(value, one)),
                one => is(value, one),
            },
            "const" => value == rule,
            "enum" => list(rule).contains(value),
            "anyOf" => list(rule).iter().any(passes),
            "oneOf" => list(rule).iter().filter(|one| passes(one)).count() == 1,
            "allOf" => list(rule).iter().all(passes),
            "required" => match value {
                Value::Object(fields) => {
                    list(rule).iter().all(|name| fields.contains_key(name.as_str().expect("a name")))
                }
                _ => true,
            },
            "properties" => {
                for (name, rule) in rule.as_object().expect("properties") {
                    if let Some(field) = value.get(name) {
                        judge(root, rule, field, &format!("{at}.{name}"), found);
                    }
                }
                true
            }
            "items" => {
                let skipped = words.get("prefixItems").map_or(0, |first| list(first).len());
                for (number, item) in value.as_array().into_iter().flatten().enumerate().skip(skipped) {
                    judge(root, rule, item, &format!("{at}[{number}]"), found);
                }
                true
            }
            "prefixItems" => {
                for (number, (rule, item)) in list(rule).iter().zip(value.as_array().into_iter().flatten()).enumerate()
                {
                    judge(root, rule, item, &format!("{at}[{number}]"), found);
                }
                true
            }
            "minItems" => value.as_array().is_none_or(|items| items.len() as f64 >= number.expect("a number")),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as f64 <= number.expect("a number")),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as f64 <= number.expect("a number")),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as f64 >= number.expect("a number")),
            "minimum" => value.as_f64().is_none_or(|have| have >= number.expect("a number")),
            "maximum" => value.as_f64().is_none_or(|have| have <= number.expect("a number")),
            "pattern" => value.as_str().is_none_or(|text| {
                regex::Regex::new(rule.as_str().expect("a pattern")).expect("a pattern").is_match(text)
            }),
            "format" => match rule.as_str() {
                Some("date-time") => value.as_str().is_none_or(is_time),
                Some("double" | "int32" | "int64" | "uint" | "uint16" | "uint32" | "uint64") => true,
                other => panic!("the validator does not know the format {other:?}"),
            },
            other => panic!("the validator does not know the word {other}"),
        };
        if !right {
            found.push(format!("{at}: {word} {rule} does not hold for {value}"));
        }
    }
}

fn is(value: &Value, name: &Value) -> bool {
    match name.as_str().expect("a type's name") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("no type is called {other}"),
    }
}

/// RFC 3339, as JSON Schema asks of `date-time`.
fn is_time(text: &str) -> bool {
    let shape = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$";
    regex::Regex::new(shape).expect("a pattern").is_match(text) && text.parse::<jiff::Timestamp>().is_ok()
}

#[test]
fn the_validator_refuses_what_it_should() {
    let schema = serde_json::json!({
        "$defs": { "id": { "type": "string", "maxLength": 3, "pattern": "^a" } },
        "type": "object", "required": ["id"],
        "properties": {
            "id": { "$ref": "#/$defs/id" },
            "n": { "type": ["integer", "null"], "minimum": 0 },
            "at": { "type": "string", "format": "date-time" },
            "pair": { "type": "array", "prefixItems": [{ "const": 1 }], "items": { "enum": [2, 3] }, "maxItems": 2 },
            "either": { "oneOf": [{ "type": "number" }, { "type": "integer" }, { "type": "string" }] },
        },
    });
    let ok = |value: &str| faults(&schema, &schema, &serde_json::from_str(value).expect("json")).is_empty();
    for good in [
        r#"{"id":"abc"}"#,
        r#"{"id":"a","n":null,"at":"2026-10-01T10:05:00+08:00","pair":[1,3]}"#,
        r#"{"id":"a","either":"x"}"#,
    ] {
        assert!(ok(good), "{good}");
    }
    for bad in [
        "[]",
        "{}",
        r#"{"id":"abcd"}"#,
        r#"{"id":"b"}"#,
        r#"{"id":"a","n":-1}"#,
        r#"{"id":"a","n":1.5}"#,
        r#"{"id":"a","at":"2026-10-01 10:05"}"#,
        r#"{"id":"a","at":"2026-13-01T10:05:00Z"}"#,
        r#"{"id":"a","pair":[2]}"#,
        r#"{"id":"a","pair":[1,4]}"#,
        r#"{"id":"a","pair":[1,2,2]}"#,
        r#"{"id":"a","either":1}"#,
    ] {
        assert!(!ok(bad), "{bad}");
    }
}
