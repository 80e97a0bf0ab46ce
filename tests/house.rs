//! Starts the built binary on a free port and an empty folder, and speaks to it as a script would.

pub use crate::skip::skip;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The built binary.
pub fn yuqing() -> Command {
    Command::new(env!("CARGO_BIN_EXE_yuqing"))
}

/// A running `yuqing run`.
pub struct Running {
    child: Child,
    /// Kept open: a closed pipe would end the child's printing.
    _out: BufReader<ChildStdout>,
    /// `127.0.0.1:port`.
    pub addr: String,
    /// Bearer token of the first start, if this was one.
    pub token: Option<String>,
    /// Console account and password of the first start.
    pub password: Option<(String, String)>,
}

impl Running {
    /// Starts on `data`; extra arguments after `run`.
    pub fn start(data: &Path, extra: &[&str]) -> Running {
        let mut command = yuqing();
        command.args(["run", "--json", "--open-intake", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(extra);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary starts");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let first = line(&mut out).expect("a first line");
        assert_eq!(first["type"], "listening", "{first}");
        Running {
            child,
            _out: out,
            addr: first["addr"].as_str().expect("addr").to_owned(),
            token: None,
            password: None,
        }
    }

    /// Starts on an empty folder and reads what is said once.
    pub fn first(data: &Path, extra: &[&str]) -> Running {
        let mut running = Running::start(data, extra);
        let token = line(&mut running._out).expect("a token line");
        let password = line(&mut running._out).expect("a password line");
        running.token = Some(token["token"].as_str().expect("token").to_owned());
        let word = |key: &str| password[key].as_str().expect("said").to_owned();
        running.password = Some((word("name"), word("password")));
        running
    }

    /// `http://…` of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Starts on `data` and kills it with -9 after `delay`, whatever it is doing then: recovering, most of the time.
    pub async fn start_and_kill(data: &Path, extra: &[&str], delay: Duration) {
        let mut command = yuqing();
        command.args(["run", "--json", "--open-intake", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(extra);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
        tokio::time::sleep(delay).await;
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// SIGTERM; the exit code.
    pub fn terminate(mut self) -> i32 {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        self.child.wait().expect("reaped").code().unwrap_or(-1)
    }

    /// Waits until `/health/ready` answers 200.
    pub async fn ready(&self) {
        wait("ready", || async {
            client().get(self.url("/health/ready")).send().await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
    }

    /// Posts JSON lines.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request =
            client().post(self.url("/api/v1/mentions")).header("content-type", "application/x-ndjson").body(body);
        let answer = request.send().await.expect("answered");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// `GET` with the token.
    pub async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let answer = client().get(self.url(path)).bearer_auth(token).send().await.expect("answered");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone after kill or terminate.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client without proxy or redirects.
pub fn client() -> reqwest::Client {
    yuqing::run::replay::install_tls();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("client")
}

/// One JSON line of a child's output.
pub fn line(out: &mut BufReader<ChildStdout>) -> Option<Value> {
    let mut text = String::new();
    out.read_line(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Asks until it is so; fails loudly after a minute, which no correct run comes near.
pub async fn wait<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let started = Instant::now();
    while !so().await {
        assert!(started.elapsed() < Duration::from_secs(60), "waited a minute for: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// An empty folder of its own.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// The shared folder beside the checkout, where it is there.
pub fn shared() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    path.join("data").is_dir().then_some(path)
}

/// A mention written by us, about nobody.
pub fn mention(id: &str, text: &str, author: &str, seconds: i64) -> String {
    let at = now() - seconds;
    let at = yuqing::time::Instant::from_millis(at * 1000).to_string();
    serde_json::json!({"id": id, "platform": "weibo", "text": text, "created_at": at, "author": {"id": author}})
        .to_string()
}

/// Seconds since the epoch.
pub fn now() -> i64 {
    yuqing::clock::Clock::Real.now().millis() / 1000
}
