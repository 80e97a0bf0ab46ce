//! Rules 2, 3, 4, 7, 8 and 18 of the public-trust page, each against the built binary.

use crate::house::{Running, client, folder, mention, wait, yuqing};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

/// Every byte of every file under a folder.
fn bytes(folder: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            bytes(&path, all)
        } else {
            all.push((path.display().to_string(), fs::read(&path).unwrap_or_default()))
        }
    }
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Rules 2, 3, 4, 18: the raw author, phone, id, plate and e-mail are nowhere on disk, in metrics or in answers.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_stored() {
    let data = folder();
    let house = Running::first(data.path(), &[]);
    let token = house.token.clone().expect("token");
    let secrets = [
        "author-raw-7781",
        "某某昵称九五二七",
        "13800001234",
        "360102199003071234",
        "赣A12345",
        "someone@example.com",
        "3栋2单元501室",
    ];
    let text = "红谷滩区凤凰洲街道一小区着火了，3人被困，联系13800001234，身份证360102199003071234，车牌赣A12345，邮箱someone@example.com，住3栋2单元501室";
    let mut record: Value = serde_json::from_str(&mention("weibo:trust1", text, secrets[0], 10)).expect("json");
    record["author"]["name"] = secrets[1].into();
    record["url"] = format!("https://weibo.example/{}/trust1?uid={}", secrets[0], secrets[0]).into();
    let (status, answer) = house
        .post(format!(
            "{record}\n{{\"id\":\"weibo:bad\",\"author\":{{\"id\":\"{}\"}},\"text\":\"13800001234\"}}\n",
            secrets[0]
        ))
        .await;
    assert_eq!(status, 200);
    assert_eq!(answer["accepted"], 1, "{answer}");
    wait("found", || async {
        house.get("/api/v1/search?q=id:%22weibo:trust1%22&purpose=test", &token).await.1["total"] == 1
    })
    .await;
    let (_, incidents) = house.get("/api/v1/incidents?state=open", &token).await;
    assert_eq!(incidents["incidents"].as_array().map(Vec::len), Some(1), "{incidents}");
    let (_, page) = house.get("/api/v1/search?q=id:%22weibo:trust1%22&purpose=test", &token).await;
    let metrics = client().get(house.url("/metrics")).send().await.expect("metrics").text().await.expect("text");
    assert_eq!(house.terminate(), 0);
    let mut files = vec![
        ("search".to_owned(), page.to_string().into_bytes()),
        ("metrics".to_owned(), metrics.into_bytes()),
        ("incidents".to_owned(), incidents.to_string().into_bytes()),
    ];
    bytes(data.path(), &mut files);
    assert!(files.len() > 5, "there is something to look at");
    for secret in secrets {
        for (name, content) in &files {
            assert!(!holds(content, secret), "{secret} stands in {name}");
        }
    }
}

/// Rule 7: a person in danger pages, and stands in no list and no search.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_in_danger_is_in_no_list() {
    let data = folder();
    let house = Running::first(data.path(), &[]);
    let token = house.token.clone().expect("token");
    let lines = [
        mention("weibo:danger", "八一大桥上有人翻过栏杆了，谁快报警", "a1", 20),
        mention("weibo:plain", "八一大桥边的桂花开了", "a2", 10),
    ];
    assert_eq!(house.post(lines.join("\n")).await.1["accepted"], 2);
    wait("the other is found", || async {
        house.get("/api/v1/search?q=id:%22weibo:plain%22&purpose=test", &token).await.1["total"] == 1
    })
    .await;
    assert_eq!(house.get("/api/v1/search?q=*&purpose=test", &token).await.1["total"], 1);
    assert_eq!(house.get("/api/v1/incidents", &token).await.1["incidents"].as_array().map(Vec::len), Some(0));
    let metrics = client().get(house.url("/metrics")).send().await.expect("metrics").text().await.expect("text");
    assert!(metrics.contains("yuqing_incidents_total{level=\"L4\"} 1"), "it was raised all the same");
}

/// Rule 8: the same facts with praise, with anger and plain say the same.
#[test]
fn stance_weighs_nothing() {
    let texts = "某局窗口排了三小时，真是为人民服务的好榜样\n某局窗口排了三小时，太差劲了\n某局窗口排了三小时\n";
    let mut child = yuqing()
        .args(["assess", "--json", "--text", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    child.stdin.take().expect("piped").write_all(texts.as_bytes()).expect("written");
    let out = child.wait_with_output().expect("ends");
    let lines: Vec<Value> = String::from_utf8(out.stdout)
        .expect("utf-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("json"))
        .collect();
    assert_eq!(lines.len(), 3);
    for key in ["level", "classes", "request", "responsible", "what"] {
        assert_eq!(lines[0][key], lines[2][key], "{key}");
        assert_eq!(lines[1][key], lines[2][key], "{key}");
    }
    assert_eq!(lines[2]["level"], "L1");
}

/// Rule 2: no table of the ledger has an author, a handle or a follower.
#[test]
fn no_schema_knows_an_author() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["src/ledger/sqlite.rs", "src/index/schema.rs", "src/web/accounts.rs"] {
        let text = fs::read_to_string(root.join(file)).expect(file);
        let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for word in ["author_id", "author_name", "followers", "\"author\"", "source_key"] {
            assert!(!code.contains(word), "{file} knows {word}");
        }
    }
}
