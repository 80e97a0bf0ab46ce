//! A notice leaves the house: to a receiver that lies first, under one key; the next officer is called when nobody takes it.

use crate::house::{Running, folder, mention, wait};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A WeCom bot that answers 200 with `errcode` 45009 once, then 200 with 0.
async fn bot() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
    let addr = listener.local_addr().expect("addr");
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let ears = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let mut part = [0u8; 4096];
            while let Ok(read) = stream.read(&mut part).await {
                bytes.extend_from_slice(&part[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length = head.lines().find_map(|line| {
                        line.to_ascii_lowercase()
                            .strip_prefix("content-length:")
                            .map(|n| n.trim().parse::<usize>().unwrap_or(0))
                    });
                    body.len() >= length.unwrap_or(0)
                });
                if whole || read == 0 {
                    break;
                }
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
            let first = ears.lock().expect("lock").is_empty();
            ears.lock().expect("lock").push(body);
            let answer =
                if first { r#"{"errcode":-1,"errmsg":"system busy"}"# } else { r#"{"errcode":0,"errmsg":"ok"}"# };
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                answer.len()
            );
            stream.write_all(answer.as_bytes()).await.expect("answers");
        }
    });
    (format!("http://{addr}/cgi-bin/webhook/send?key=test"), heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_bot_is_tried_again_under_the_same_key() {
    let data = folder();
    let (url, heard) = bot().await;
    let settings = data.path().join("settings.toml");
    let text = format!(
        "[outlet]\nallow_networks = [\"127.0.0.0/8\"]\n[[channels]]\nname = \"duty-bot\"\nkind = \"wecom\"\nurl = \"{url}\"\nlevels = [\"L2\", \"L3\", \"L4\"]\n"
    );
    std::fs::write(&settings, text).expect("settings");
    let house = Running::first(&data.path().join("data"), &["--settings", settings.to_str().expect("utf-8")]);
    let token = house.token.clone().expect("token");
    let text = "扬子洲镇堤脚在冒水泡，像是泡泉，广播喊转移了";
    assert_eq!(house.post(mention("weibo:dike", text, "a", 60)).await.1["accepted"], 1);
    wait("accepted on the second try", || async { heard.lock().expect("lock").len() >= 2 }).await;
    let bodies = heard.lock().expect("lock").clone();
    assert_eq!(bodies[0], bodies[1], "the same bytes");
    let body: Value = serde_json::from_str(&bodies[0]).expect("json");
    let content = body["text"]["content"].as_str().expect("a text message");
    assert!(content.starts_with("【南昌舆情】"), "{content}");
    let last = content.lines().last().expect("a last line");
    assert!(last.contains("I-") && last.contains("N-"), "{last}");
    assert!(!content.contains("冒水泡，像是泡泉"), "no post is quoted: {content}");
    wait("the desk knows", || async {
        let (_, list) = house.get("/api/v1/incidents?state=open", &token).await;
        let id = list["incidents"][0]["id"].as_str().unwrap_or_default().to_owned();
        let (_, one) = house.get(&format!("/api/v1/incidents/{id}"), &token).await;
        one["notices"]
            .as_array()
            .is_some_and(|all| all.iter().any(|notice| notice["state"] == "accepted" && notice["attempts"] == 2))
    })
    .await;
    let (_, list) = house.get("/api/v1/incidents?state=open", &token).await;
    let id = list["incidents"][0]["id"].as_str().expect("id").to_owned();
    let post = |action: &str, body: Value| {
        crate::house::client()
            .post(house.url(&format!("/api/v1/incidents/{id}/{action}")))
            .bearer_auth(&token)
            .json(&body)
            .send()
    };
    assert_eq!(post("dismiss", json!({})).await.expect("answered").status(), 400, "a reason is required");
    assert_eq!(post("acknowledge", json!({})).await.expect("answered").status(), 200);
    assert_eq!(post("confirm", json!({"reason": "电话核实"})).await.expect("answered").status(), 200);
    let (_, one) = house.get(&format!("/api/v1/incidents/{id}"), &token).await;
    assert_eq!(one["state"], "confirmed");
    assert_eq!(one["clocks"][0]["state"], "running", "confirming does not stop the clock");
}
