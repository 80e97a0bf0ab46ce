//! `GET /api/v1/openapi.json`: what programs may ask of the door, as an OpenAPI 3.1 document. In: the table of calls
//! below and the types of their answers. Out: the document; a test walks the router's own routes and holds the two
//! together. The shapes are made by schemars from the types that are sent, since OpenAPI 3.1 takes JSON Schema 2020-12.

use super::api::Wish;
use super::problem::ProblemBody;
use crate::duty::view::IncidentView;
use crate::index::Page;
use crate::intake::Taken;
use crate::limits::{BODY_BYTES, BODY_DECODED_BYTES, EXPORT_ROWS, INCIDENT_MENTIONS, PAGE};
use crate::mention::schema::Record;
use axum::response::{IntoResponse, Response};
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};
use std::sync::OnceLock;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, OpenApiBuilder, PathItem, PathsBuilder, Ref, Required, ResponseBuilder,
};

const BEARER: &str = "bearer";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// `GET /api/v1/openapi.json`.
pub(super) async fn answer() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string());
    ([(axum::http::header::CONTENT_TYPE, JSON)], text.as_str()).into_response()
}

/// A page of incidents.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used; the answer is put together from borrowed incidents")]
struct Incidents {
    /// Newest first; one about a person in danger stands in no list.
    incidents: Vec<IncidentView>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// One incident with its mentions. One about a person in danger has only state, times, clocks, owner and numbers to dial.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used; the answer is an incident with two fields more")]
enum Incident {
    /// As usual.
    Open(Box<OpenIncident>),
    /// A person in danger.
    Restricted(Box<RestrictedIncident>),
}

/// An incident and the mentions of its topic.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct OpenIncident {
    #[serde(flatten)]
    incident: IncidentView,
    /// Ids of the first mentions of its topic.
    #[schemars(length(max = INCIDENT_MENTIONS))]
    mentions: Vec<String>,
    /// All.
    mentions_total: u64,
}

/// What is told of a person in danger.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct RestrictedIncident {
    /// `I-…`.
    id: String,
    /// Where in its life.
    state: crate::duty::view::IncidentState,
    /// How bad.
    level: crate::assess::Level,
    /// Always true.
    #[schemars(extend("const" = true))]
    restricted: bool,
    /// Times.
    times: crate::duty::view::Times,
    /// Clocks, the most urgent first.
    clocks: Vec<crate::duty::view::ClockView>,
    /// Who has it.
    owner: Option<String>,
    /// Numbers to dial.
    dial: Vec<String>,
}

/// The whole document.
pub fn document() -> Value {
    let mut paths = PathsBuilder::new();
    for (path, method, operation) in calls() {
        paths = paths.path(path, PathItem::new(method, operation));
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token made by `yuqing user token NAME --role ROLE`."))
        .build();
    let document = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("yuqing")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Mentions in, search, incidents and commands out. Fields may be added, never renamed. Every error is \
                     a problem (RFC 9457).",
                ))
                .license(Some(utoipa::openapi::License::new("Apache-2.0")))
                .build(),
        )
        .paths(paths.build())
        .components(Some(ComponentsBuilder::new().security_scheme(BEARER, SecurityScheme::Http(bearer)).build()))
        .build();
    // Maps with string keys only: serialising cannot fail.
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    document["components"]["schemas"] = Value::Object(shapes());
    document
}

/// The shapes by name.
fn shapes() -> Map<String, Value> {
    let settings = || {
        SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
    };
    let mut taken = settings().for_deserialize().into_generator();
    let _: (Schema, Schema) = (taken.subschema_for::<Record>(), taken.subschema_for::<Wish>());
    let mut given = settings().for_serialize().into_generator();
    let named = |generator: &mut SchemaGenerator| {
        let _: [Schema; 5] = [
            generator.subschema_for::<Taken>(),
            generator.subschema_for::<Page>(),
            generator.subschema_for::<Incidents>(),
            generator.subschema_for::<Incident>(),
            generator.subschema_for::<ProblemBody>(),
        ];
    };
    named(&mut given);
    let mut all = taken.take_definitions(true);
    all.extend(given.take_definitions(true));
    for shape in all.values_mut() {
        if let Ok(mut schema) = Schema::try_from(shape.clone()) {
            plain(&mut schema);
            *shape = schema.to_value();
        }
    }
    all
}

/// Takes out of descriptions what only readers of the source need: rustdoc links, paths, line breaks.
pub fn plain(schema: &mut Schema) {
    RecursiveTransform(|schema: &mut Schema| {
        if let Some(Value::String(text)) = schema.get_mut("description") {
            let plain = [("[`", "`"), ("`]", "`"), ("`crate::limits::", "`"), ("`None`", "null"), ("\n", " ")];
            *text = plain.iter().fold(text.clone(), |text, (from, to)| text.replace(from, to));
        }
    })
    .transform(schema);
}

/// Every call: path, method, what it takes and gives.
fn calls() -> Vec<(&'static str, HttpMethod, Operation)> {
    let id = || parameter(ParameterIn::Path, "id", "Id of the incident, `I-…`.", text());
    let action = || {
        let verbs = text().enum_values(Some(["acknowledge", "confirm", "dismiss"]));
        parameter(ParameterIn::Path, "action", "What to do; `dismiss` says why.", verbs)
    };
    let search = [
        parameter(ParameterIn::Query, "q", "The query; `*` finds all, `id:\"weibo:1\"` one.", text()),
        parameter(ParameterIn::Query, "purpose", "Why: every search is kept with who asked and why.", text()),
        optional("limit", "Hits on the page.", number().minimum(Some(1)).maximum(Some(PAGE))),
        optional("cursor", "`next` of the page before.", text()),
        optional("sort", "Default `time`, newest first.", text().enum_values(Some(["time", "relevance", "level"]))),
    ];
    vec![
        (
            "/api/v1/mentions",
            HttpMethod::Post,
            call("sendMentions", "Takes mentions; answers when they are durable", &[400, 408, 413, 415, 429, 503])
                .description(Some(format!(
                    "One object as application/json; anything else is JSON lines. Plain, gzip or zstd. At most {BODY_BYTES} \
                     bytes as sent and {BODY_DECODED_BYTES} decoded. A record that is refused never stops the others."
                )))
                .parameter(
                    ParameterBuilder::new()
                        .name("Content-Encoding")
                        .parameter_in(ParameterIn::Header)
                        .required(Required::False)
                        .schema(Some(text().enum_values(Some(["gzip", "zstd", "identity"])))),
                )
                .request_body(Some(mentions()))
                .response("200", gives("What became of each line.", JSON, "Taken"))
                .build(),
        ),
        (
            "/api/v1/search",
            HttpMethod::Get,
            call("search", "Searches the mentions", &[400, 408, 503])
                .parameters(Some(search))
                .response("200", gives("A page of hits.", JSON, "Page"))
                .build(),
        ),
        (
            "/api/v1/search/export",
            HttpMethod::Get,
            call("exportSearch", "The hits as a file", &[400, 408, 429, 503])
                .description(Some(format!(
                    "At most {EXPORT_ROWS} rows; the headers x-rows and x-total say how many came and how many there are."
                )))
                .parameter(parameter(ParameterIn::Query, "q", "The query.", text()))
                .parameter(parameter(ParameterIn::Query, "purpose", "Why; kept with who asked.", text()))
                .parameter(parameter(
                    ParameterIn::Query,
                    "format",
                    "How the file is written.",
                    text().enum_values(Some(["csv", "jsonl"])),
                ))
                .parameter(optional("sort", "Default `time`.", text().enum_values(Some(["time", "relevance", "level"]))))
                .response("200", ResponseBuilder::new().description("The file.").content("text/csv", Content::new(Some(text()))))
                .build(),
        ),
        (
            "/api/v1/incidents",
            HttpMethod::Get,
            call("listIncidents", "Lists incidents, newest first", &[400, 408])
                .parameter(optional("limit", "Incidents on the page.", number().minimum(Some(1)).maximum(Some(PAGE))))
                .parameter(optional("cursor", "`next` of the page before.", text()))
                .parameter(optional("state", "Default `all`.", text().enum_values(Some(["open", "closed", "all"]))))
                .response("200", gives("The incidents.", JSON, "Incidents"))
                .build(),
        ),
        (
            "/api/v1/incidents/{id}",
            HttpMethod::Get,
            call("getIncident", "One incident, whole", &[404, 408])
                .parameter(id())
                .response("200", gives("The incident.", JSON, "Incident"))
                .build(),
        ),
        (
            "/api/v1/incidents/{id}/{action}",
            HttpMethod::Post,
            call("actOnIncident", "Acknowledges, confirms or dismisses an incident", &[400, 404, 408, 409, 413, 503])
                .parameter(id())
                .parameter(action())
                .request_body(Some(RequestBodyBuilder::new().content(JSON, shape("Wish")).build()))
                .response("200", gives("The incident after it.", JSON, "Incident"))
                .build(),
        ),
        (
            "/api/v1/events",
            HttpMethod::Get,
            call("events", "Tells of each change of the view, as server-sent events", &[408])
                .response("200", stream("`event: change` with a growing number, until the server ends."))
                .build(),
        ),
        (
            "/api/v1/openapi.json",
            HttpMethod::Get,
            OperationBuilder::new()
                .operation_id(Some("openapi"))
                .summary(Some("This document"))
                .securities(Some([SecurityRequirement::default()]))
                .response("200", ResponseBuilder::new().description("OpenAPI 3.1.").content(JSON, any_object()).build())
                .build(),
        ),
    ]
}

/// A call with a token and its refusals; 401 and 403 stand on each.
fn call(id: &str, summary: &str, refusals: &[u16]) -> OperationBuilder {
    let mut call = OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary))
        .securities(Some([SecurityRequirement::new(BEARER, [] as [&str; 0])]));
    for status in [401, 403].iter().chain(refusals) {
        let words = match status {
            400 => "Something in the request cannot be read; the detail says what.",
            401 => "No token, or one that nobody knows.",
            403 => "The token's role may not do this.",
            404 => "There is no such thing.",
            408 => "The request took too long.",
            409 => "The incident's state forbids it.",
            413 => "The body is too large; nothing of it was taken.",
            415 => "An unknown coding; nothing of the body was taken.",
            429 => "Busy; nothing of the body was taken. `Retry-After` says when to ask again.",
            _ => "A part of the system does not answer; ask again later.",
        };
        call = call.response(status.to_string(), gives(words, PROBLEM, "Problem"));
    }
    call
}

fn mentions() -> RequestBody {
    RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content(JSON, shape("Record"))
        .content("application/x-ndjson", Content::new(Some(text())))
        .description(Some("A record, or a record on each line."))
        .build()
}

fn shape(name: &str) -> Content {
    Content::new(Some(Ref::from_schema_name(name)))
}

fn gives(words: &str, kind: &str, name: &str) -> utoipa::openapi::Response {
    ResponseBuilder::new().description(words).content(kind, shape(name)).build()
}

fn stream(words: &str) -> utoipa::openapi::Response {
    ResponseBuilder::new().description(words).content("text/event-stream", Content::new(Some(text()))).build()
}

fn any_object() -> Content {
    Content::new(Some(Object::new()))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

fn parameter(place: ParameterIn, name: &str, words: &str, schema: ObjectBuilder) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::True)
        .description(Some(words))
        .schema(Some(schema))
}

fn optional(name: &str, words: &str, schema: ObjectBuilder) -> ParameterBuilder {
    parameter(ParameterIn::Query, name, words, schema).required(Required::False)
}
