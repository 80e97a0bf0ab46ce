//! What an operator does: doctor, ledger, backup, restore, a full disk; on the built binary.

use crate::house::{Running, folder, mention, wait, yuqing};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use yuqing::ledger::Store;

/// Runs a command that ends; its exit code and the JSON lines it said.
fn run(arguments: &[&str], data: &Path) -> (i32, Vec<Value>) {
    let out = yuqing().args(arguments).arg("--json").arg("--data").arg(data).output().expect("runs");
    let text = String::from_utf8(out.stdout).expect("utf-8");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    (out.status.code().unwrap_or(-1), lines)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("utf-8")
}

fn fires(from: usize, to: usize) -> String {
    let places = ["扬子洲镇", "南昌县蒋巷镇", "红谷滩区沙井街道", "青山湖区湖坊镇", "进贤县文港镇", "安义县万埠镇"];
    let mut lines = Vec::new();
    for (one, place) in places.iter().enumerate().take(to).skip(from) {
        for witness in 0..4 {
            let text = format!("{place}一栋居民楼着火了，有{}个人被困在楼上，快来救人", witness + 2);
            lines.push(mention(&format!("weibo:f{one}-{witness}"), &text, &format!("a{one}-{witness}"), 60));
        }
        for calm in 0..30 {
            let text = format!("第{one}处第{calm}条，路边的桂花开了，散步很舒服");
            lines.push(mention(&format!("weibo:c{one}-{calm}"), &text, &format!("b{one}-{calm}"), 60));
        }
    }
    lines.join("\n")
}

async fn incidents(house: &Running, token: &str) -> BTreeMap<String, String> {
    let (status, answer) = house.get("/api/v1/incidents?limit=200", token).await;
    assert_eq!(status, 200, "{answer}");
    let shape = |one: &Value| serde_json::json!([one["level"], one["topic"], one["place"], one["carried"]]).to_string();
    let all = answer["incidents"].as_array().expect("a list");
    all.iter().map(|one| (one["id"].as_str().expect("id").to_owned(), shape(one))).collect()
}

async fn found(house: &Running, token: &str) -> u64 {
    let (_, page) = house.get("/api/v1/search?q=*&limit=1&purpose=test", token).await;
    page["total"].as_u64().unwrap_or(0)
}

/// Keys of all notices that were decided, from the audit pack.
fn notices(data: &Path, scratch: &Path) -> BTreeSet<String> {
    let pack = scratch.join(format!("pack-{}", scratch.read_dir().expect("listed").count()));
    assert_eq!(run(&["ledger", "export", "--to", path(&pack)], data).0, 0);
    let text = std::fs::read_to_string(&pack).expect("a pack");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("json"));
    lines.filter_map(|line| Some(line["event"]["notice"]["key"].as_str()?.to_owned())).collect()
}

fn hub(folder: &Path, more: &str) -> PathBuf {
    // Nobody listens there: notices are decided and stay due.
    let channel = "[outlet]\nallow_networks = [\"127.0.0.0/8\"]\n[[channels]]\nname = \"hub\"\nkind = \"standard-webhook\"\n\
                   url = \"http://127.0.0.1:9/hook\"\nlevels = [\"L2\", \"L3\", \"L4\"]\n\
                   secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n";
    let settings = folder.join("settings.toml");
    std::fs::write(&settings, format!("{more}{channel}")).expect("settings");
    settings
}

/// F20: a backup taken beside a running house, put back after the house went on, loses and renames nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_put_back_loses_no_mention_and_renames_no_notice() {
    let dir = folder();
    let (data, saved, scratch) = (dir.path().join("data"), dir.path().join("saved"), dir.path().join("scratch"));
    std::fs::create_dir(&scratch).expect("a folder");
    let settings = hub(dir.path(), "");
    let extra = ["--settings", path(&settings)];
    let house = Running::first(&data, &extra);
    let token = house.token.clone().expect("a token");
    assert_eq!(house.post(fires(0, 3)).await.0, 200);
    wait("three fires", || async { incidents(&house, &token).await.len() == 3 }).await;

    let (code, said) = run(&["backup", "--to", path(&saved)], &data);
    assert_eq!(code, 0, "{said:?}");
    assert_eq!(said[0]["positions"][0]["offset"], 3 * 34);
    assert_eq!(run(&["backup", "--to", path(&saved)], &data).0, 3, "a backup is never written over");
    let left = |file: &str, sql: &str| -> i64 {
        let copy = rusqlite::Connection::open(saved.join(file)).expect("opened");
        copy.query_row(sql, [], |row| row.get(0)).expect("counted")
    };
    assert_eq!(left("ledger.sqlite", "SELECT count(*) FROM salts WHERE salt IS NOT NULL"), 0, "salts stay at home");
    assert_eq!(left("accounts.sqlite", "SELECT count(*) FROM sessions"), 0);

    // What a topic never shows must not be lost either: a person in danger, and a record that is refused.
    let alone = mention("weibo:danger", "八一大桥上有人翻过栏杆了，谁快报警", "someone", 20);
    assert_eq!(house.post(format!("{}\n{alone}\nno record", fires(3, 6))).await.0, 200);
    wait("six fires", || async { incidents(&house, &token).await.len() == 6 }).await;
    wait("all found", || async { found(&house, &token).await == 6 * 34 }).await;
    let before = incidents(&house, &token).await;
    assert_eq!(house.terminate(), 0);
    let told = notices(&data, &scratch);
    assert!(told.len() >= 7, "{told:?}");

    assert_eq!(run(&["restore", "--from", path(&saved)], &data).0, 3, "a folder in use is not written over");
    let fresh = dir.path().join("fresh");
    std::fs::create_dir(&fresh).expect("a folder");
    std::fs::rename(data.join("intake"), fresh.join("intake")).expect("moved");
    let (code, said) = run(&["restore", "--from", path(&saved)], &fresh);
    assert_eq!(code, 0, "{said:?}");
    let kept = notices(&fresh, &scratch);
    assert!(kept.len() >= 3 && kept.is_subset(&told) && kept != told, "the backup is older: {kept:?}");

    let house = Running::start(&fresh, &extra);
    house.ready().await;
    wait("all found again", || async { found(&house, &token).await == 6 * 34 }).await;
    assert_eq!(incidents(&house, &token).await, before, "incidents are the same");
    let (_, answer) = house.post(fires(0, 6)).await;
    assert_eq!(answer["duplicates"], 6 * 34, "every mention is known: {answer}");
    assert_eq!(house.terminate(), 0);
    assert_eq!(notices(&fresh, &scratch), told, "no notice has another key");
    let letters = yuqing::ledger::sqlite::Sqlite::open_read_only(&fresh).and_then(|store| store.dead_letters(9));
    assert_eq!(letters.expect("reads").len(), 1, "the refused record is kept, once");
    let (code, said) = run(&["doctor", "--settings", path(&settings)], &fresh);
    let broken = |said: &[Value]| -> Vec<String> {
        let bad = |one: &&Value| {
            one["severity"] == "fault" && one["check"].as_str().is_some_and(|name| name.starts_with('i'))
        };
        said.iter().filter(bad).map(ToString::to_string).collect()
    };
    assert!(code < 2 && broken(&said).is_empty(), "{said:?}");
}

/// The whole machine is lost, intake log and all: what was decided goes on from the backup's position.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_alone_starts_where_it_ended() {
    let dir = folder();
    let (data, saved, fresh) = (dir.path().join("data"), dir.path().join("saved"), dir.path().join("fresh"));
    let house = Running::first(&data, &[]);
    let token = house.token.clone().expect("a token");
    assert_eq!(house.post(fires(0, 1)).await.0, 200);
    wait("a fire", || async { incidents(&house, &token).await.len() == 1 }).await;
    let before = incidents(&house, &token).await;
    house.kill();
    assert_eq!(run(&["backup", "--to", path(&saved)], &data).0, 0, "a stopped house can be copied too");
    assert_eq!(run(&["restore", "--from", path(&saved)], &fresh).0, 0);
    let house = Running::start(&fresh, &[]);
    house.ready().await;
    assert_eq!(incidents(&house, &token).await.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    let (_, answer) = house.post(fires(1, 2)).await;
    assert_eq!(answer["accepted"], 34, "{answer}");
    wait("the next fire", || async { incidents(&house, &token).await.len() == 2 }).await;
    assert_eq!(house.terminate(), 0);

    // A byte of the copy turns: it is not put back.
    let copy = saved.join("ledger.sqlite");
    let mut bytes = std::fs::read(&copy).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&copy, bytes).expect("written");
    assert_eq!(run(&["restore", "--from", path(&saved)], &dir.path().join("other")).0, 3);
    assert!(!dir.path().join("other").exists());
}

#[test]
fn every_check_is_explained_in_the_guide() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operate.md");
    let text = std::fs::read_to_string(guide).expect("the guide");
    let invariants = yuqing::ledger::invariants::Invariant::ALL.map(|one| one.name());
    for check in yuqing::run::doctor::CHECKS.into_iter().chain(invariants) {
        assert!(text.contains(&format!("\n### {check}\n")), "docs/operate.md has no heading for {check}");
    }
}

/// Every check the doctor makes is one of the list that the guide is held against.
fn known(said: &[Value]) {
    let invariants = yuqing::ledger::invariants::Invariant::ALL.map(|one| one.name());
    for check in said.iter().filter_map(|one| one["check"].as_str()) {
        assert!(yuqing::run::doctor::CHECKS.contains(&check) || invariants.contains(&check), "{check}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_and_its_pack_are_checked_and_the_first_bad_entry_named() {
    let dir = folder();
    let (data, pack) = (dir.path().join("data"), dir.path().join("pack.jsonl"));
    let settings = hub(dir.path(), "");
    let house = Running::first(&data, &["--settings", path(&settings)]);
    let token = house.token.clone().expect("a token");
    assert_eq!(house.post(fires(0, 2)).await.0, 200);
    wait("two fires", || async { incidents(&house, &token).await.len() == 2 }).await;
    let (code, said) = run(&["ledger", "verify"], &data);
    assert_eq!((code, &said[0]["ok"]), (0, &Value::Bool(true)), "beside the running house: {said:?}");
    let (code, said) = run(&["doctor", "--settings", path(&settings)], &data);
    known(&said);
    let faults: Vec<&Value> = said.iter().filter(|one| one["severity"] == "fault").collect();
    let host = ["disk", "file-system", "clock", "secrets"];
    let ours = faults.iter().filter(|one| !host.contains(&one["check"].as_str().unwrap_or_default())).count();
    assert_eq!(ours, 0, "{faults:?}");
    assert_eq!(code, i32::from(!faults.is_empty()));
    assert!(said.iter().any(|one| one["check"] == "lag" && one["what"].to_string().contains("a process runs")));
    assert_eq!(run(&["ledger", "export", "--to", path(&pack)], &data).0, 0);
    assert_eq!(run(&["ledger", "export", "--to", path(&pack)], &data).0, 3, "a pack is never written over");
    assert_eq!(run(&["doctor"], &dir.path().join("nowhere")).0, 3);
    house.terminate();

    let text = std::fs::read_to_string(&pack).expect("a pack");
    let (code, said) = run(&["ledger", "verify", "--file", path(&pack)], &data);
    assert_eq!((code, said[0]["entries"].as_u64()), (0, Some(text.lines().count() as u64)));
    for (from, to, bad) in [("\"actor\":\"machine\"", "\"actor\":\"somebody\"", 1), ("\"seq\":3,", "\"seq\":4,", 3)] {
        std::fs::write(&pack, text.replacen(from, to, 1)).expect("written");
        let (code, said) = run(&["ledger", "verify", "--file", path(&pack)], &data);
        assert_eq!((code, said[0]["first_bad"].as_u64()), (1, Some(bad)), "{said:?}");
    }

    let raw = rusqlite::Connection::open(data.join("ledger.sqlite")).expect("opened");
    raw.execute("UPDATE entries SET actor = 'somebody' WHERE seq = 2", []).expect("changed");
    drop(raw);
    let (code, said) = run(&["ledger", "verify"], &data);
    assert_eq!((code, said[0]["first_bad"].as_u64()), (1, Some(2)), "{said:?}");
    let (code, said) = run(&["doctor"], &data);
    assert_eq!(code, 1);
    assert!(said.iter().any(|one| one["check"] == "i8-audit" && one["severity"] == "fault"), "{said:?}");
}

/// Evidence of an incident that ended goes on time; that of one that is open stays, however old.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_goes_when_its_incident_has_ended_long_ago() {
    let dir = folder();
    let data = dir.path().join("data");
    let house = Running::first(&data, &[]);
    let token = house.token.clone().expect("a token");
    assert_eq!(house.post(fires(0, 2)).await.0, 200);
    wait("two fires", || async { incidents(&house, &token).await.len() == 2 }).await;
    let ids: Vec<String> = incidents(&house, &token).await.into_keys().collect();
    let url = house.url(&format!("/api/v1/incidents/{}/dismiss", ids[0]));
    let request = crate::house::client().post(url).bearer_auth(&token).body("{\"reason\":\"drill\"}");
    assert_eq!(request.send().await.expect("answered").status(), 200);
    assert_eq!(house.terminate(), 0);
    let store = yuqing::ledger::sqlite::Sqlite::open(&data).expect("ours now");
    let (now, keep) = (yuqing::clock::Clock::Real.now(), yuqing::time::Span::days(180));
    assert!(yuqing::run::keep::ended(&store, now + yuqing::time::Span::days(179), keep).expect("reads").is_empty());
    let over = yuqing::run::keep::ended(&store, now + yuqing::time::Span::days(181), keep).expect("reads");
    assert_eq!(over, ids[..1]);
    assert!(store.destroy_evidence(&ids[0]).expect("destroys") > 0);
    assert!(store.evidence(&ids[0], 10).expect("reads").is_empty());
    assert!(!store.evidence(&ids[1], 10).expect("reads").is_empty());
    store.verify().expect("the ledger keeps its chain");
}

/// A small file system that goes with its handle.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, mb: u64) -> Option<Small> {
        std::fs::create_dir(at).expect("a folder");
        let size = format!("size={mb}m,mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|out| out.status.success()).then(|| Small(at.to_owned()))
    }

    fn fill(&self, name: &str, mb: usize) {
        std::fs::write(self.0.join(name), vec![1; mb << 20]).expect("there is room for the filler");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a process that a failed test left behind must not keep it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// F15: a disk that fills up stops mentions first, then gives its ballast to the ledger, and all comes back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_mentions_not_alerts_and_heals_by_itself() {
    let dir = folder();
    let Some(disk) = Small::mount(&dir.path().join("disk"), 200) else {
        crate::house::skip("operations::a_full_disk", "no tmpfs can be mounted here: it needs root");
        return;
    };
    let data = disk.0.join("data");
    let settings =
        hub(dir.path(), "[disk]\npause_below_mb = 80\nstop_below_mb = 40\nballast_mb = 16\n[index]\nmemory_mb = 64\n");
    let house = Running::first(&data, &["--settings", path(&settings)]);
    let token = house.token.clone().expect("a token");
    let entries = || run(&["ledger", "verify"], &data).1[0]["entries"].as_u64().expect("whole");
    assert_eq!(house.post(fires(0, 2)).await.0, 200);
    wait("two fires", || async { incidents(&house, &token).await.len() == 2 }).await;
    wait("the ballast", || async { data.join("ballast").exists() }).await;

    disk.fill("first", 115);
    wait("mentions wait outside", || async { house.post(fires(2, 3)).await.0 == 503 }).await;
    assert!(data.join("ballast").exists(), "the ballast is for later");
    let request = crate::house::client().post(house.url("/api/v1/mentions")).body(fires(2, 3));
    let answer = request.send().await.expect("answered");
    assert!(answer.headers().contains_key("retry-after"));
    assert!(answer.text().await.expect("text").contains("storage"));

    disk.fill("second", 38);
    wait("the ballast is given up", || async { !data.join("ballast").exists() }).await;
    // To the last byte but what the ballast gave.
    let free = Command::new("df").args(["-P", "-m"]).arg(&disk.0).output().expect("df").stdout;
    let text = String::from_utf8(free).expect("text");
    let left: usize = text.lines().last().and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).expect("free");
    disk.fill("third", left.saturating_sub(12));
    let before = entries();
    let known = incidents(&house, &token).await;
    for id in known.keys() {
        let url = house.url(&format!("/api/v1/incidents/{id}/acknowledge"));
        let answer = crate::house::client().post(url).bearer_auth(&token).send().await.expect("answered");
        assert_eq!(answer.status(), 200, "an acknowledgement is taken on a full disk");
    }
    assert!(entries() >= before + 2, "and written");
    assert_eq!(house.post(fires(2, 3)).await.0, 503);

    for name in ["first", "second", "third"] {
        std::fs::remove_file(disk.0.join(name)).expect("removed");
    }
    wait("mentions are taken again", || async { house.post(fires(2, 3)).await.0 == 200 }).await;
    wait("three fires", || async { incidents(&house, &token).await.len() == 3 }).await;
    wait("the ballast is back", || async { data.join("ballast").exists() }).await;
    assert_eq!(house.terminate(), 0);
    assert_eq!(run(&["ledger", "verify"], &data).0, 0);
}
