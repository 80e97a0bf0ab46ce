//! A bad record never stops intake: it stands in the dead letters, its neighbours are accepted, memory stays bounded.

use crate::house::{Running, client, folder, mention, now, wait};
use serde_json::{Value, json};

fn at(seconds: i64) -> String {
    yuqing::time::Instant::from_millis((now() + seconds) * 1000).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_bad_line_is_told_and_the_rest_is_taken() {
    let data = folder();
    let house = Running::first(data.path(), &[]);
    let long = "长".repeat(21_000);
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("not_json", b"{\"id\":".to_vec()),
        ("not_an_object", b"[1]".to_vec()),
        ("missing_id", json!({"platform": "weibo", "text": "x", "created_at": at(0)}).to_string().into()),
        ("missing_platform", json!({"id": "a:1", "text": "x", "created_at": at(0)}).to_string().into()),
        (
            "unknown_platform",
            json!({"id": "a:2", "platform": "nowhere", "text": "x", "created_at": at(0)}).to_string().into(),
        ),
        ("missing_text", json!({"id": "a:3", "platform": "weibo", "created_at": at(0)}).to_string().into()),
        (
            "text_too_long",
            json!({"id": "a:4", "platform": "weibo", "text": long, "created_at": at(0)}).to_string().into(),
        ),
        ("missing_created_at", json!({"id": "a:5", "platform": "weibo", "text": "x"}).to_string().into()),
        (
            "bad_time",
            json!({"id": "a:6", "platform": "weibo", "text": "x", "created_at": "yesterday"}).to_string().into(),
        ),
        (
            "future_time",
            json!({"id": "a:7", "platform": "weibo", "text": "x", "created_at": at(3_600)}).to_string().into(),
        ),
        ("bad_type", json!({"id": "a:8", "platform": "weibo", "text": 5, "created_at": at(0)}).to_string().into()),
        ("invalid_utf8", b"{\"id\":\"a:9\",\"text\":\"\xff\xfe\"}".to_vec()),
        ("line_too_long", vec![b'x'; 10 << 20]),
        ("too_deep", [b"[".repeat(10_000), b"]".repeat(10_000)].concat()),
    ];
    let mut body = Vec::new();
    for (number, (_, line)) in bad.iter().enumerate() {
        body.extend_from_slice(line);
        body.push(b'\n');
        body.extend_from_slice(mention(&format!("weibo:good{number}"), "今天天气不错", "someone", 5).as_bytes());
        body.push(b'\n');
    }
    let (status, answer) = house.post(body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["accepted"], bad.len(), "{answer}");
    assert_eq!(answer["refused_total"], bad.len());
    for (number, (code, _)) in bad.iter().enumerate() {
        let told = &answer["refused"][number];
        assert_eq!(told["code"], *code, "{told}");
        assert_eq!(told["line"], number as u64 * 2 + 1, "{told}");
    }
    let text =
        || async { client().get(house.url("/metrics")).send().await.expect("metrics").text().await.expect("text") };
    wait("dead letters counted", || async {
        text().await.contains("yuqing_dead_letters_total{reason=\"future_time\"} 1")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_cannot_be_taken_are_refused_whole() {
    let data = folder();
    let house = Running::first(data.path(), &[]);
    let send = async |coding: Option<&str>, body: Vec<u8>| {
        let mut request =
            client().post(house.url("/api/v1/mentions")).header("content-type", "application/x-ndjson").body(body);
        if let Some(coding) = coding {
            request = request.header("content-encoding", coding);
        }
        let answer = request.send().await.expect("answered");
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or(Value::Null))
    };
    let good = format!("{}\n", mention("weibo:1", "今天天气不错", "someone", 5)).into_bytes();
    let packed = zstd::encode_all(&good[..], 3).expect("packs");
    let bomb = zstd::encode_all(&vec![b' '; 200 << 20][..], 3).expect("packs");
    assert_eq!(send(Some("zstd"), bomb).await.0, 413);
    assert_eq!(send(Some("zstd"), packed[..packed.len() - 4].to_vec()).await.0, 400);
    assert_eq!(send(Some("br"), good.clone()).await.0, 415);
    assert_eq!(send(None, vec![b' '; 33 << 20]).await.0, 413);
    let (status, answer) = send(Some("zstd"), packed.clone()).await;
    assert_eq!((status, &answer["accepted"]), (200, &json!(1)), "{answer}");
    let (_, again) = send(Some("zstd"), packed).await;
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &json!(1)), "{again}");
}
