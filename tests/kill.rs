//! `kill -9` at thirty moments of a replay, start-up included: every accepted mention is found exactly once, incidents are the
//! same as without a kill, no notice is lost, none repeated but under its own key.

use crate::house::{Running, folder, mention, wait};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const KILLS: usize = 30;
const BATCH: usize = 40;
const BATCHES: usize = 60;

/// A receiver of webhooks that says yes and remembers every `webhook-id` with its body.
async fn receiver() -> (String, Arc<Mutex<Vec<(String, String)>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
    let addr = listener.local_addr().expect("addr");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let ears = ears.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                let mut part = [0u8; 4096];
                loop {
                    let Ok(read) = stream.read(&mut part).await else { return };
                    bytes.extend_from_slice(&part[..read]);
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let header = |name: &str| {
                            head.lines().find_map(|line| {
                                line.to_ascii_lowercase()
                                    .starts_with(name)
                                    .then(|| line[name.len()..].trim().to_owned())
                            })
                        };
                        let length: usize = header("content-length:").and_then(|text| text.parse().ok()).unwrap_or(0);
                        if body.len() >= length {
                            ears.lock()
                                .expect("lock")
                                .push((header("webhook-id:").unwrap_or_default(), body.to_owned()));
                            // The client may be dead by now.
                            let _ = stream
                                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                                .await;
                            return;
                        }
                    }
                    if read == 0 {
                        return;
                    }
                }
            });
        }
    });
    (format!("http://{addr}/hook"), heard)
}

fn batches() -> Vec<Vec<String>> {
    let places = ["扬子洲镇", "南昌县蒋巷镇", "红谷滩区沙井街道", "青山湖区湖坊镇", "进贤县文港镇", "安义县万埠镇"];
    let mut all = Vec::new();
    for batch in 0..BATCHES {
        let mut lines = Vec::new();
        for one in 0..BATCH {
            let id = format!("weibo:k{batch}-{one}");
            let text = if batch % 10 == 5 && one < 4 {
                format!("{}一栋居民楼着火了，有{}个人被困在楼上，快来救人", places[batch / 10], one + 2)
            } else {
                format!("今天第{batch}批第{one}条，路边的桂花开了，散步很舒服")
            };
            lines.push(mention(&id, &text, &format!("author{batch}-{one}"), (BATCHES - batch) as i64));
        }
        all.push(lines);
    }
    all
}

async fn incidents(house: &Running, token: &str) -> Vec<Value> {
    let (status, answer) = house.get("/api/v1/incidents?state=open&limit=200", token).await;
    assert_eq!(status, 200, "{answer}");
    answer["incidents"].as_array().expect("a list").clone()
}

fn shape(incidents: &[Value]) -> Vec<String> {
    let mut shapes: Vec<String> = incidents
        .iter()
        .map(|one| {
            json!([
                one["id"],
                one["level"],
                one["classes"],
                one["place"]["district"],
                one["place"]["township"],
                one["carried"]
            ])
            .to_string()
        })
        .collect();
    shapes.sort();
    shapes
}

/// Plays all batches, killing at `kills` moments; gives incidents and what the receiver heard.
async fn play(lines: &[Vec<String>], kills: usize) -> (Vec<Value>, Vec<(String, String)>) {
    let data = folder();
    let (url, heard) = receiver().await;
    let settings = data.path().join("settings.toml");
    let channel = format!(
        "[outlet]\nallow_networks = [\"127.0.0.0/8\"]\n[[channels]]\nname = \"hub\"\nkind = \"standard-webhook\"\nurl = \"{url}\"\nlevels = [\"L2\", \"L3\", \"L4\"]\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n"
    );
    std::fs::write(&settings, channel).expect("settings");
    let extra = ["--settings", settings.to_str().expect("utf-8")];
    let mut house = Running::first(&data.path().join("data"), &extra);
    let token = house.token.clone().expect("a token");
    let mut accepted: BTreeSet<String> = BTreeSet::new();
    let mut done = 0;
    for batch in lines {
        // The killing moment walks from before the body to well after the answer, and into the next start-up.
        let kill = done < kills;
        let body = batch.join("\n");
        let killer = Duration::from_micros((done as u64 * 997) % 9_000);
        if kill && done % 2 == 0 {
            let client = crate::house::client();
            let request = client
                .post(house.url("/api/v1/mentions"))
                .header("content-type", "application/x-ndjson")
                .body(body.clone())
                .send();
            let sending = tokio::spawn(request);
            tokio::time::sleep(killer).await;
            house.kill();
            let _ = sending.await;
            done += 1;
            house = Running::start(&data.path().join("data"), &extra);
        } else if kill {
            // Killed while it starts.
            house.kill();
            // From before anything is opened to well after the doors are open.
            let delay = Duration::from_millis((done as u64 * 37) % 500);
            Running::start_and_kill(&data.path().join("data"), &extra, delay).await;
            done += 1;
            house = Running::start(&data.path().join("data"), &extra);
        }
        // A collector that had no answer sends again: the door knows what it has.
        let (status, answer) = house.post(body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["accepted"].as_u64().expect("n") + answer["duplicates"].as_u64().expect("n"), BATCH as u64);
        accepted.extend(
            batch
                .iter()
                .map(|line| serde_json::from_str::<Value>(line).expect("json")["id"].as_str().expect("id").to_owned()),
        );
    }
    assert_eq!(done, kills);
    house.ready().await;
    wait("all found", || async {
        let (_, page) = house.get("/api/v1/search?q=*&limit=1&purpose=test", &token).await;
        page["total"].as_u64() == Some(accepted.len() as u64)
    })
    .await;
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = house.get(&format!("/api/v1/search?q=*&limit=200&purpose=test&cursor={cursor}"), &token).await;
        for hit in page["hits"].as_array().expect("hits") {
            *found.entry(hit["id"].as_str().expect("id").to_owned()).or_default() += 1;
        }
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), accepted, "every accepted mention is found");
    assert!(found.values().all(|&times| times == 1), "and found once");
    let open = incidents(&house, &token).await;
    wait("all incidents told", || async {
        let told: BTreeSet<String> = heard
            .lock()
            .expect("lock")
            .iter()
            .filter_map(|(_, body)| {
                Some(serde_json::from_str::<Value>(body).ok()?["data"]["incident"].as_str()?.to_owned())
            })
            .collect();
        open.iter().all(|one| told.contains(one["id"].as_str().unwrap_or_default()))
    })
    .await;
    assert_eq!(house.terminate(), 0);
    let heard = heard.lock().expect("lock").clone();
    (open, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_kills_lose_nothing_and_repeat_nothing() {
    let lines = batches();
    let (calm, _) = play(&lines, 0).await;
    let (killed, heard) = play(&lines, KILLS).await;
    assert_eq!(calm.len(), 6, "the plain run raises every planted fire");
    assert_eq!(shape(&killed), shape(&calm), "incidents are the same as without the kills");
    let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
    let mut repeats = 0;
    for (key, body) in &heard {
        if let Some(before) = bodies.insert(key, body) {
            assert_eq!(before, body, "a repeat under one key is the same bytes");
            repeats += 1;
        }
    }
    assert!(repeats <= KILLS, "a kill repeats at most what was in flight: {repeats}");
    let first: Vec<&str> = heard
        .iter()
        .filter_map(|(_, body)| serde_json::from_str::<Value>(body).ok())
        .filter(|body| body["data"]["reason"] == "new")
        .map(|_| "new")
        .collect();
    assert!(first.len() >= 6);
}
