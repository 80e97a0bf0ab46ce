//! What programs rely on: the committed schemas are those that the binary prints; the door takes what its schema takes and
//! refuses what it refuses; a running house answers and calls out as its documents say; every route is documented.

use crate::house::{Running, client, folder, mention, wait, yuqing};
use crate::validator::faults;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use yuqing::assess::published::{Assessed, LineType, SCHEMA};
use yuqing::mention::read::{Door, read};
use yuqing::mention::schema::{Buried, Record};
use yuqing::mention::{Mention, RefusalCode};
use yuqing::run::manual::{Name, schema};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn printed(arguments: &[&str]) -> String {
    let out = yuqing().args(arguments).output().expect("the binary starts");
    assert!(out.status.success(), "yuqing {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8")
}

fn assert_valid(document: &Value, shape: &Value, value: &Value) {
    let found = faults(document, shape, value);
    assert!(found.is_empty(), "{}\nin {value:#}", found.join("\n"));
}

#[test]
fn committed_schemas_are_those_the_binary_prints() {
    for name in ["mention", "assessed", "dead-letter", "alert"] {
        let path = format!("pipelines/{name}.schema.json");
        let committed = std::fs::read_to_string(root().join(&path)).unwrap_or_default();
        let renew = format!("{path} is stale; renew it: cargo run -- schema {name} > {path}");
        assert!(committed == printed(&["schema", name]), "{renew}");
    }
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let commands =
        ["run", "demo", "check", "assess", "segment", "search", "replay", "backtest", "user", "bench", "man"];
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]);
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
    }
    let page = printed(&["man"]);
    assert!(page.contains(".TH yuqing 1") && page.contains("Exit codes"), "{page}");
    let dir = folder();
    printed(&["man", "--dir", dir.path().to_str().expect("UTF-8")]);
    for command in commands {
        let page = std::fs::read_to_string(dir.path().join(format!("yuqing-{command}.1"))).expect(command);
        assert!(page.contains("Examples:"), "{command}");
    }
}

// -- the door and its schema

/// Values of every sort, good at no place in particular.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e15..1e15_f64).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["", " ", "\u{3000}", "a\nb", "\u{85}", "none", "post", "T"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("(id|name|list|lat|kind|views|sha256|author_id|rank)", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Good values of a field, and some at the very edge of being good.
fn good(field: &str) -> Vec<Value> {
    match field {
        "id" => vec![json!("weibo:1"), json!("号".repeat(128)), json!("号".repeat(129)), json!(" x ")],
        "platform" => vec![json!("weibo"), json!("weibo"), json!("nowhere")],
        "kind" => vec![json!("post"), json!("listing"), json!("Post"), Value::Null],
        "text" | "summary" => {
            vec![json!(""), json!("堤脚冒水"), json!("水".repeat(20_000)), json!("水".repeat(20_001))]
        }
        "created_at" | "collected_at" => vec![
            json!("2026-10-01T10:05:00+08:00"),
            json!("2026-10-01T02:05:00.123Z"),
            json!("2026-10-01T10:05:00"),
            json!("2026-02-30T10:05:00Z"),
            json!("yesterday"),
        ],
        "url" => vec![json!("https://weibo.example/1"), json!(""), json!(7)],
        "author" => vec![
            json!({"id": 7, "name": "n", "followers": [], "verified": "organisation"}),
            json!({"id": "7", "verified": true}),
            json!({"verified": 1}),
            json!({"id": {}}),
        ],
        "parent" => vec![json!({"id": "weibo:0", "author_id": 3}), json!({"id": ""}), json!({"id": " "}), json!({})],
        "to" => vec![json!([]), json!(["@南昌发布"]), json!([1])],
        "counts" => vec![json!({"likes": 3, "views": 1.5}), json!({"likes": -1}), json!({"likes": null, "more": "x"})],
        "listing" => vec![json!({"list": "热搜", "rank": 3, "heat": 1e6}), json!({"rank": 1}), json!({"list": null})],
        "place" => vec![json!({"name": "南昌", "lat": 28.6, "lon": 115.9}), json!({"lat": 900}), json!({"lat": "28"})],
        "media" => {
            vec![json!([{"kind": "image", "url": 1, "sha256": "no"}]), json!([{}]), json!([null]), json!([{"kind": 1}])]
        }
        other => panic!("no values for the field {other}"),
    }
}

/// A record in which most fields are good and every field is sometimes something else.
fn records(fields: Vec<String>) -> impl Strategy<Value = Value> {
    let each = fields.into_iter().map(|field| {
        let required = ["id", "platform", "text", "created_at"].contains(&field.as_str());
        let choices = good(&field);
        let first = choices[0].clone();
        let value = prop_oneof![
            12 => Just(Some(first)),
            if required { 1 } else { 12 } => Just(None),
            2 => prop::sample::select(choices).prop_map(Some),
            1 => anything().prop_map(Some),
        ];
        value.prop_map(move |value| value.map(|value| (field.clone(), value)))
    });
    each.collect::<Vec<_>>().prop_map(|fields| Value::Object(fields.into_iter().flatten().collect::<Map<_, _>>()))
}

/// Judges a record by the schema and by the door; the two must agree on its shape. Whether it was taken.
///
/// What no schema can say, and these records therefore never do: a field given twice (the last counts), a line too long or
/// too deep, a time in the future; and the door is kinder to times, which may stand between spaces or have one for the `T`.
fn agree(schema: &Value, record: &Value) -> Result<bool, String> {
    let platforms = BTreeSet::from(["weibo".to_owned()]);
    let accounts = BTreeMap::new();
    let door = Door { platforms: &platforms, accounts: &accounts, now: None, salt: None };
    let found = faults(schema, schema, record);
    match (read(record.to_string().as_bytes(), 1, &door), found.is_empty()) {
        (Ok(_), true) => match serde_json::from_value::<Record>(record.clone()) {
            Ok(_) => Ok(true),
            Err(fault) => Err(format!("schema and door take it, the type does not: {fault}")),
        },
        // The door alone knows which platforms are registered, and says so before it looks at the other fields.
        (Err(refusal), _) if refusal.refused.code == RefusalCode::UnknownPlatform => Ok(false),
        (Err(_), false) => Ok(false),
        (Ok(_), false) => Err(format!("the door takes it, the schema does not: {}", found.join("; "))),
        (Err(refusal), true) => Err(format!("the schema takes it, the door does not: {:?}", refusal.refused)),
    }
}

/// The fields of the schema.
fn fields(schema: &Value) -> Vec<String> {
    schema["properties"].as_object().expect("properties").keys().cloned().collect()
}

#[test]
fn the_door_takes_what_its_schema_takes() {
    let schema = schema(Name::Mention);
    let fields = fields(&schema);
    let (taken, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let config = ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(&records(fields), |record| {
            let count = if agree(&schema, &record).map_err(TestCaseError::fail)? { &taken } else { &refused };
            count.set(count.get() + 1);
            Ok(())
        })
        .unwrap_or_else(|fault| panic!("{fault}"));
    assert!(taken.get() > 100 && refused.get() > 100, "{} taken, {} refused", taken.get(), refused.get());
}

#[test]
fn each_field_is_read_by_the_door_as_its_schema_says() {
    let schema = schema(Name::Mention);
    for field in fields(&schema) {
        let wrong = [json!(true), json!([[]]), json!({"id": []}), json!(-3), Value::Null];
        for value in good(&field).into_iter().chain(wrong) {
            let mut record =
                json!({"id": "weibo:1", "platform": "weibo", "text": "", "created_at": "2026-10-01T02:05:00Z"});
            record[&field] = value;
            agree(&schema, &record).unwrap_or_else(|fault| panic!("{record}: {fault}"));
        }
    }
}

// -- what goes out

const TEXTS: [&str; 4] = [
    "扬子洲镇堤脚在冒水泡，像是泡泉，广播喊转移了",
    "红谷滩区凤凰洲街道一栋居民楼着火了，有3个人被困在楼上，快来救人",
    "青山湖区湖坊镇小区停水三天了，打12345也没人管",
    "今天赣江边风很舒服",
];

#[test]
fn an_assessed_mention_is_as_its_schema_says() {
    let (dir, schema) = (folder(), schema(Name::Assessed));
    let file = dir.path().join("mentions.jsonl");
    let records: Vec<String> =
        TEXTS.iter().enumerate().map(|(at, text)| mention(&format!("weibo:{at}"), text, "a", 60)).collect();
    std::fs::write(&file, records.join("\n")).expect("written");
    let lines = printed(&["assess", "--json", file.to_str().expect("UTF-8")]);
    assert_eq!(lines.lines().count(), TEXTS.len());
    let (platforms, accounts) = (BTreeSet::from(["weibo".to_owned()]), BTreeMap::new());
    let door = Door { platforms: &platforms, accounts: &accounts, now: None, salt: Some(&[1; 32]) };
    for (number, (line, record)) in lines.lines().zip(&records).enumerate() {
        let mut want: Value = serde_json::from_str(line).expect("json");
        let assessment = serde_json::from_value(want.clone()).expect("an assessment");
        let mention: Mention = read(record.as_bytes(), 1, &door).expect("read");
        let given = Assessed::new(("mentions".into(), 3, number as u64), assessment, mention.clone());
        let value = serde_json::to_value(&given).expect("json");
        assert_valid(&schema, &schema, &value);
        want["position"] = json!(["mentions", 3, number]);
        want["schema"] = json!(1);
        want["mention"] = serde_json::to_value(&mention).expect("json");
        assert_eq!(value, want, "the `assessment` line, position, schema and mention, and nothing else");
        let place = yuqing::ledger::Position { stream: "mentions".into(), partition: 3, offset: number as u64 };
        let sent = yuqing::intake::assessed::assessed(mention, given.assessment.clone(), &place);
        assert_eq!(serde_json::from_slice::<Value>(&sent).expect("json"), value, "what Kafka gets is this");
        let back: Assessed = serde_json::from_value(value).expect("reads back");
        assert_eq!((back.r#type, back.schema), (LineType::Assessment, SCHEMA));
        assert_eq!(back, given);
    }
}

#[test]
fn a_dead_letter_is_as_its_schema_says() {
    let (platforms, accounts) = (BTreeSet::new(), BTreeMap::new());
    let door = Door { platforms: &platforms, accounts: &accounts, now: None, salt: None };
    let refusal = read(br#"{"platform":"weibo","author":{"name":"x"}}"#, 7, &door).expect_err("no id");
    let buried = Buried {
        position: ("mentions".into(), 0, 41),
        code: refusal.refused.code,
        detail: refusal.refused.detail,
        head: refusal.head,
        id: None,
        at: yuqing::time::Instant::from_millis(1_790_000_000_000),
    };
    let (value, schema) = (serde_json::to_value(&buried).expect("json"), schema(Name::DeadLetter));
    assert_valid(&schema, &schema, &value);
    let letter = yuqing::ledger::DeadLetter {
        position: yuqing::ledger::Position { stream: "mentions".into(), partition: 0, offset: 41 },
        line: 7,
        id: None,
        code: buried.code,
        detail: buried.detail.clone(),
        head: buried.head.clone(),
        at: buried.at,
    };
    let written = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).expect("json");
    assert_eq!(written(yuqing::intake::assessed::dead_letter(&letter)), value, "what Kafka gets is this");
    let (assessed, among) = (self::schema(Name::Assessed), written(yuqing::intake::assessed::refused(&letter)));
    assert_valid(&assessed, &assessed, &among);
    let mut unknown = value.clone();
    unknown["code"] = json!("not_in_the_list");
    assert!(!faults(&schema, &schema, &unknown).is_empty());
}

/// A hub that keeps what it is sent.
async fn hub() -> (String, Arc<Mutex<Vec<Value>>>) {
    let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
    let ears = heard.clone();
    let hook = move |body: String| async move {
        ears.lock().expect("lock").push(serde_json::from_str(&body).expect("json"));
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
    let url = format!("http://{}/hook", listener.local_addr().expect("addr"));
    let router = axum::Router::new().route("/hook", axum::routing::post(hook));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, heard)
}

/// Starts a house that tells the hub.
async fn house(data: &Path) -> (Running, String, Arc<Mutex<Vec<Value>>>) {
    let (url, heard) = hub().await;
    let settings = data.join("settings.toml");
    let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let text = format!(
        "[outlet]\nallow_networks = [\"127.0.0.0/8\"]\n[[channels]]\nname = \"city-hub\"\nkind = \"standard-webhook\"\n\
         url = \"{url}\"\nsecret = \"{secret}\"\nlevels = [\"L2\", \"L3\", \"L4\"]\n"
    );
    std::fs::write(&settings, text).expect("settings");
    let house = Running::first(&data.join("data"), &["--settings", settings.to_str().expect("UTF-8")]);
    let token = house.token.clone().expect("a token");
    (house, token, heard)
}

/// The shape of an operation's answer.
fn answer<'a>(document: &'a Value, path: &str, method: &str, status: &str, kind: &str) -> &'a Value {
    let shape = &document["paths"][path][method]["responses"][status]["content"][kind]["schema"];
    assert!(shape.is_object(), "{method} {path} {status} is not in the document");
    shape
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_answers_and_calls_out_as_its_documents_say() {
    let data = folder();
    let (house, token, heard) = house(data.path()).await;
    let (status, document) = house.get("/api/v1/openapi.json", "").await;
    assert_eq!(status, 200);
    assert_eq!(document, schema(Name::Openapi));
    let is = |path: &str, method: &str, value: &Value| {
        assert_valid(&document, answer(&document, path, method, "200", "application/json"), value);
    };
    let lines = [mention("weibo:1", TEXTS[1], "a", 60), "{}".into()].join("\n");
    let (_, taken) = house.post(lines).await;
    assert_eq!((&taken["accepted"], &taken["refused_total"]), (&json!(1), &json!(1)));
    is("/api/v1/mentions", "post", &taken);
    wait("the hub hears", || async { !heard.lock().expect("lock").is_empty() }).await;
    let alert = heard.lock().expect("lock")[0].clone();
    assert_valid(&schema(Name::Alert), &schema(Name::Alert), &alert);
    let (_, list) = house.get("/api/v1/incidents?state=open", &token).await;
    is("/api/v1/incidents", "get", &list);
    let id = list["incidents"][0]["id"].as_str().expect("an incident").to_owned();
    assert_eq!(alert["data"]["incident"], json!(id));
    let (_, one) = house.get(&format!("/api/v1/incidents/{id}"), &token).await;
    is("/api/v1/incidents/{id}", "get", &one);
    let act = client().post(house.url(&format!("/api/v1/incidents/{id}/acknowledge"))).bearer_auth(&token);
    is("/api/v1/incidents/{id}/{action}", "post", &act.send().await.expect("answered").json().await.expect("json"));
    wait("found", || async { house.get("/api/v1/search?q=*&purpose=test", &token).await.1["total"] == json!(1) }).await;
    is("/api/v1/search", "get", &house.get("/api/v1/search?q=*&purpose=test", &token).await.1);
    for (path, asked, token, status) in [
        ("/api/v1/search", "/api/v1/search?q=*", token.as_str(), 400),
        ("/api/v1/incidents", "/api/v1/incidents", "nobody", 401),
        ("/api/v1/incidents/{id}", "/api/v1/incidents/I-0", token.as_str(), 404),
    ] {
        let (given, problem) = house.get(asked, token).await;
        assert_eq!(given, status, "{asked}: {problem}");
        let shape = answer(&document, path, "get", &status.to_string(), "application/problem+json");
        assert_valid(&document, shape, &problem);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_in_danger_is_told_as_the_documents_say() {
    let data = folder();
    let (house, token, heard) = house(data.path()).await;
    let text = "八一大桥上有人翻过栏杆了，谁快报警";
    assert_eq!(house.post(mention("weibo:d", text, "a", 20)).await.1["accepted"], 1);
    wait("the hub hears", || async { !heard.lock().expect("lock").is_empty() }).await;
    let alert = heard.lock().expect("lock")[0].clone();
    assert_valid(&schema(Name::Alert), &schema(Name::Alert), &alert);
    assert!(alert["data"]["topic"].is_null(), "{alert}");
    let id = alert["data"]["incident"].as_str().expect("an incident");
    let (_, one) = house.get(&format!("/api/v1/incidents/{id}"), &token).await;
    let document = schema(Name::Openapi);
    assert_eq!(one["restricted"], true, "{one}");
    assert_valid(&document, &document["components"]["schemas"]["RestrictedIncident"], &one);
}

// -- every route is in the document, and every call of the document is a route

/// The paths under /api/v1 that the sources of the door route.
fn routed() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(root().join("src/web")).expect("readable").flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        for part in text.split(".route(").skip(1) {
            let path = part.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
            found.extend(path.filter(|path| path.starts_with("/api/")).map(str::to_owned));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_documented_and_every_documented_call_is_routed() {
    let document = schema(Name::Openapi);
    let paths = document["paths"].as_object().expect("paths");
    let documented: BTreeSet<String> = paths.keys().cloned().collect();
    assert!(documented.len() > 5);
    assert_eq!(routed(), documented, "left: routes in src/web/, right: src/web/openapi.rs");
    let data = folder();
    let house = Running::first(data.path(), &[]);
    for (path, calls) in paths {
        let asked = path.replace("{id}", "I-0").replace("{action}", "confirm");
        assert!(!asked.contains('{'), "{path}: say here what to ask for");
        // A method that nothing has is told which ones there are.
        let answer = client().patch(house.url(&asked)).send().await.expect("answered");
        assert_eq!(answer.status(), 405, "{path}");
        let allowed = answer.headers()["allow"].to_str().expect("ASCII").to_ascii_lowercase();
        let allowed: BTreeSet<&str> = allowed.split(',').map(str::trim).filter(|method| *method != "head").collect();
        let told: BTreeSet<&str> = calls.as_object().expect("calls").keys().map(String::as_str).collect();
        assert_eq!(allowed, told, "methods of {path}");
    }
}

#[test]
fn the_document_names_only_what_it_holds() {
    let document = schema(Name::Openapi);
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().expect("a reference");
        assert!(document.pointer(pointer).is_some(), "{pointer} is not in the document");
    }
    for (path, calls) in document["paths"].as_object().expect("paths") {
        for (method, call) in calls.as_object().expect("calls") {
            let open = path == "/api/v1/openapi.json";
            assert_eq!(call["security"][0].get("bearer").is_some(), !open, "{method} {path}");
            let refusals =
                call["responses"].as_object().expect("answers").iter().filter(|(status, _)| *status != "200");
            for (status, answer) in refusals {
                assert!(answer["content"].get("application/problem+json").is_some(), "{method} {path} {status}");
            }
        }
    }
}
