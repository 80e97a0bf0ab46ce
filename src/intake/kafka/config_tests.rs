//! The `[kafka]` table: what is taken, what is refused, and that no password shows.

use super::*;

fn table(text: &str) -> KafkaConfig {
    toml::from_str(text).expect(text)
}

#[test]
fn one_line_is_enough() {
    let config = table("bootstrap = \"127.0.0.1:9092\"");
    assert_eq!(config, KafkaConfig::new("127.0.0.1:9092"));
    assert_eq!(config.faults(), Vec::<String>::new());
    let ours = [&config.assessed, &config.alerts, &config.dispatches, &config.dead_letters];
    assert_eq!(ours, ["yuqing.assessed", "yuqing.alerts", "yuqing.dispatches", "yuqing.dead-letters"]);
    assert_eq!((config.topics.as_slice(), config.session_timeout_ms), (["mentions".to_owned()].as_slice(), 10_000));
}

#[test]
fn a_reader_resets_nothing_and_commits_nothing_by_itself() {
    let text = "bootstrap = \"a:1\"\n[client]\n\"fetch.wait.max.ms\" = 7\n\"socket.keepalive.enable\" = true";
    let reader = table(text).reader("desk", 4).expect("settings");
    let wants = [
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"),
        ("isolation.level", "read_committed"),
        ("check.crcs", "true"),
        ("fetch.wait.max.ms", "7"),
        ("fetch.queue.backoff.ms", "10"),
        ("socket.keepalive.enable", "true"),
        ("queued.max.messages.kbytes", "32768"),
    ];
    for (name, want) in wants {
        assert_eq!(reader.get(name), Some(want), "{name}");
    }
    let writer = table("bootstrap = \"a:1\"").writer().expect("settings");
    assert_eq!((writer.get("enable.idempotence"), writer.get("acks")), (Some("true"), Some("all")));
}

#[test]
fn settings_that_would_break_a_promise_are_refused() {
    for name in OURS.iter().chain(&["sasl.password", "security.protocol"]) {
        let config = table(&format!("bootstrap = \"a:1\"\n[client]\n\"{name}\" = \"x\""));
        assert!(config.faults()[0].contains(name), "{name}");
        assert!(config.reader("desk", 1).is_err() && config.writer().is_err(), "{name}");
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let config = table(
        "bootstrap = \" \"\ngroup = \"\"\ntopics = [\"a b\", \"yuqing.alerts\"]\nsession_timeout_ms = 1\n\
         ca_file = \"ca.pem\"\n[sasl]\nmechanism = \"PLAIN\"\nusername = \"desk\"",
    );
    let faults = config.faults();
    for want in ["bootstrap", "group", "\"a b\"", "never ends", "session_timeout_ms", "ca_file", "missing", "tls"] {
        assert!(faults.iter().any(|fault| fault.contains(want)), "{want} in {faults:#?}");
    }
    assert_eq!(faults.len(), 8);
    assert!(toml::from_str::<KafkaConfig>("bootstrap = \"a:1\"\ncolour = 1").is_err());
    assert!(toml::from_str::<KafkaConfig>("topics = [\"a\"]").is_err());
}

#[test]
fn a_password_goes_to_the_client_and_nowhere_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("password");
    std::fs::write(&path, "tiger moth\n").expect("written");
    let sasl = format!("[sasl]\nmechanism = \"SCRAM-SHA-512\"\nusername = \"desk\"\npassword_file = {path:?}");
    let config = table(&format!("bootstrap = \"a:1\"\ntls = true\nca_file = \"ca.pem\"\n{sasl}"));
    let client = config.base("desk").expect("settings");
    assert_eq!(client.get("sasl.password"), Some("tiger moth"));
    assert_eq!(client.get("security.protocol"), Some("sasl_ssl"));
    assert_eq!((client.get("sasl.mechanism"), client.get("ssl.ca.location")), (Some("SCRAM-SHA-512"), Some("ca.pem")));
    assert!(!format!("{config:?}").contains("tiger"));
    let inline =
        table("bootstrap = \"a:1\"\n[sasl]\nmechanism = \"SCRAM-SHA-256\"\nusername = \"d\"\npassword = \"tiger\"");
    assert!(!format!("{inline:?} {:?}", inline.sasl).contains("tiger"));
    std::fs::remove_file(&path).expect("removed");
    assert!(config.base("desk").expect_err("no password").contains("password_file"));
}
