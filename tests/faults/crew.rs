//! Processes of the program under trial: started, killed, frozen, told to stop. In: role and settings. Out: what became of them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The binary under trial.
pub fn binary() -> PathBuf {
    std::env::var_os("YUQING_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_yuqing")), PathBuf::from)
}

/// One process and what it said on standard error, over all its lives.
pub struct Proc {
    pub name: String,
    role: String,
    settings: Vec<PathBuf>,
    log: PathBuf,
    child: Option<Child>,
    ended: Option<Instant>,
    /// Where this life's words begin.
    began: usize,
    /// Lives that ended without our doing: exit codes.
    pub fell: Vec<i32>,
}

impl Proc {
    /// Starts `yuqing <role>`.
    pub fn start(folder: &Path, name: &str, role: &str, settings: &[PathBuf]) -> Proc {
        let log = folder.join(format!("{name}.log"));
        let (name, role, settings) = (name.to_owned(), role.to_owned(), settings.to_vec());
        let mut it = Proc { name, role, settings, log, child: None, ended: None, began: 0, fell: Vec::new() };
        it.again();
        it
    }

    /// Starts it again.
    pub fn again(&mut self) {
        self.began = self.said().len();
        let log = File::options().create(true).append(true).open(&self.log).expect("a log");
        let out = File::create(self.log.with_extension("out")).expect("a file");
        let mut command = Command::new(binary());
        command.arg(&self.role).args(["--json", "--listen", "127.0.0.1:0"]);
        for one in &self.settings {
            command.arg("--settings").arg(one);
        }
        let started = command.stdin(Stdio::null()).stdout(out).stderr(log).spawn();
        self.child = Some(started.expect("the binary starts"));
        self.ended = None;
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// `kill -9`; whether it hit a living process.
    pub fn kill(&mut self) -> bool {
        use std::os::unix::process::ExitStatusExt;
        let Some(mut child) = self.child.take() else { return false };
        let asked = child.kill();
        asked.is_ok() && child.wait().is_ok_and(|status| status.signal() == Some(9))
    }

    /// Sends a signal by name.
    pub fn signal(&self, signal: &str) -> bool {
        let told = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        told.is_ok_and(|status| status.success())
    }

    /// SIGTERM and the exit code; `None` where it had to be killed after half a minute.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal("-TERM");
        let code = self.exit(Duration::from_secs(30));
        if code.is_none() {
            self.kill();
        }
        self.child = None;
        code
    }

    /// The exit code within so long.
    pub fn exit(&mut self, within: Duration) -> Option<i32> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.as_mut()?.try_wait() {
                return Some(status.code().unwrap_or(-1));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// Whether it has said this in this life.
    pub fn has_said(&self, words: &str) -> bool {
        self.said().get(self.began..).is_some_and(|said| said.contains(words))
    }

    /// The text under a key of the JSON lines of this life's standard output.
    pub fn told(&self, key: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.log.with_extension("out")).ok()?;
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.find_map(|line| Some(line[key].as_str()?.to_owned()))
    }

    /// What a supervisor does: starts what ended by itself again, a second later.
    pub fn tend(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Ok(Some(status)) = child.try_wait() {
            match self.ended {
                None => {
                    self.fell.push(status.code().unwrap_or(-1));
                    self.ended = Some(Instant::now());
                }
                Some(at) if at.elapsed() > Duration::from_secs(1) => self.again(),
                Some(_) => {}
            }
        }
    }

    /// All it said on standard error.
    pub fn said(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        // A frozen one is killed all the same.
        self.kill();
    }
}
