//! Search in the running house: what belongs to an incident, exports with their audit, deletions that hold.

use crate::house::{Running, client, folder, mention, wait, yuqing};
use std::path::Path;
use yuqing::clock::Clock;
use yuqing::duty::event::Event;
use yuqing::index::Query;
use yuqing::ledger::Store;
use yuqing::ledger::sqlite::Sqlite;
use yuqing::run::app::App;
use yuqing::settings::{Overrides, load};

const DIKE: &str = "扬子洲镇堤脚在冒水泡，像是泡泉，广播喊转移了";

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_an_incident_is_found_exported_and_audited() {
    let data = folder();
    let house = Running::first(data.path(), &[]);
    let token = house.token.clone().expect("token");
    let body = [
        mention("weibo:dike", DIKE, "a", 90),
        mention("weibo:rain", "红谷滩下了一点小雨，很凉快", "b", 80),
        mention("weibo:more", "=扬子洲镇堤脚冒水泡，泡泉，大家在转移", "c", 60),
    ];
    assert_eq!(house.post(body.join("\n")).await.1["accepted"], 3);
    let incident = async || {
        let (_, list) = house.get("/api/v1/incidents?state=open&limit=1", &token).await;
        list["incidents"][0]["id"].as_str().map(str::to_owned)
    };
    wait("an incident", || async { incident().await.is_some() }).await;
    let id = incident().await.expect("an incident");
    let search = async |q: &str| house.get(&format!("/api/v1/search?q={q}&purpose=test"), &token).await;
    wait("all in the index", || async { search("*").await.1["total"] == 3 }).await;
    let (status, page) = search(&format!("incident:{id}")).await;
    assert_eq!(status, 200, "{page}");
    let hits: Vec<&str> = page["hits"].as_array().expect("hits").iter().filter_map(|hit| hit["id"].as_str()).collect();
    assert!(hits.contains(&"weibo:dike") && !hits.contains(&"weibo:rain"), "{page}");
    let platform = &page["facets"]["platform"][0];
    assert_eq!((&platform["value"], &platform["count"]), (&"weibo".into(), &page["total"]));
    let (status, problem) = search("incident:I-0101-99").await;
    assert_eq!(status, 400);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("no incident I-0101-99")), "{problem}");

    let path = house.url("/api/v1/search/export?format=csv&q=NOT%20incident:I-0101-99&purpose=test");
    assert_eq!(client().get(path).bearer_auth(&token).send().await.expect("answered").status(), 400);
    let path = house.url("/api/v1/search/export?format=csv&q=id:%22weibo:more%22&purpose=review");
    let file = client().get(path).bearer_auth(&token).send().await.expect("answered");
    assert_eq!((file.status().as_u16(), &file.headers()["x-rows"]), (200, &"1".parse().expect("a value")));
    let text = file.text().await.expect("text");
    assert!(
        text.lines().nth(1).is_some_and(|row| row.ends_with("\"'=扬子洲镇堤脚冒水泡，泡泉，大家在转移\"")),
        "{text}"
    );

    // Beside the running process, as a script would.
    let said = yuqing().args(["search", "--json", &format!("incident:{id}"), "--data"]).arg(data.path()).output();
    let said = said.expect("runs");
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    let mut lines = std::io::BufReader::new(said.stdout.as_slice());
    let mut told = Vec::new();
    while let Some(value) = line_of(&mut lines) {
        told.push(value);
    }
    let summary = told.pop().expect("a summary");
    assert!(summary["type"] == "summary" && summary["took_us"].is_u64(), "{summary}");
    assert_eq!(summary["total"], told.len());
    assert!(told.iter().all(|hit| hit["type"] == "hit" && hit["highlights"].is_array() && hit["score"].is_number()));
    assert!(told.iter().any(|hit| hit["id"] == "weibo:dike"));
    let wrong = yuqing().args(["search", "--json", "incident:I-0101-99", "--data"]).arg(data.path()).output();
    assert_eq!(wrong.expect("runs").status.code(), Some(2));

    let store = Sqlite::open_read_only(data.path()).expect("the ledger");
    let entries = store.entries(0, 1_000).expect("entries");
    let audited = entries.iter().filter_map(|entry| match &entry.event {
        Event::Searched { purpose, query, total, .. } => Some((purpose.as_str(), query.as_str(), *total)),
        _ => None,
    });
    assert!(audited.into_iter().any(|one| one == ("export csv, 1 rows: review", "id:\"weibo:more\"", 1)));
}

fn line_of(out: &mut std::io::BufReader<&[u8]>) -> Option<serde_json::Value> {
    let mut text = String::new();
    std::io::BufRead::read_line(out, &mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The house in this process: deleting has no door of its own yet.
async fn start(data: &Path) -> App {
    let listen = Some("127.0.0.1:0".to_owned());
    let given = Overrides { data: Some(data.to_owned()), listen, open_intake: true };
    let settings = load(&[], &given).expect("settings");
    App::start(settings, Clock::Real, Box::new(|_| {})).await.expect("starts")
}

fn total(app: &App, q: &str) -> u64 {
    let query = Query { q: q.into(), now: Clock::Real.now(), ..Query::default() };
    app.searcher.search(&query).expect("answers").total
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_seen_without_another_mention_and_outlives_a_lost_shard() {
    let data = folder();
    let app = start(data.path()).await;
    let body = [mention("weibo:1", DIKE, "a", 90), mention("weibo:2", "红谷滩下了一点小雨", "b", 80)].join("\n");
    let url = format!("http://{}/api/v1/mentions", app.addr);
    assert_eq!(client().post(url).body(body).send().await.expect("answered").status(), 200);
    wait("both in the index", || async { total(&app, "*") == 2 }).await;
    app.intake.delete("weibo:1").expect("is noted");
    wait("one is gone, though nothing comes after it", || async { total(&app, "*") == 1 }).await;
    app.stop().await;
    let shards = std::fs::read_dir(data.path().join("index")).expect("shards").flatten();
    for shard in shards.map(|entry| entry.path()).filter(|path| path.join("meta.json").exists()) {
        std::fs::write(shard.join("meta.json"), "{ torn").expect("writes");
    }
    let app = start(data.path()).await;
    wait("the other is back", || async { total(&app, "id:\"weibo:2\"") == 1 }).await;
    assert_eq!(total(&app, "id:\"weibo:1\""), 0, "the log tells the mention and its deletion again");
    app.stop().await;
}
