//! A PostgreSQL of its own, by `scripts/servers/postgres`; stopped when dropped, also where the test failed.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub struct Server {
    folder: TempDir,
    port: u16,
}

impl Server {
    /// A running server; `None`, said loudly, where there is no PostgreSQL.
    pub fn start() -> Option<Server> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
        let server = Server { folder: crate::house::folder(), port };
        let ran = server.script(&["start", &port.to_string()]);
        if ran.status.code() == Some(3) {
            crate::house::skip("postgres", "there is no PostgreSQL here; scripts/install-test-parts brings it");
            return None;
        }
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        Some(server)
    }

    fn script(&self, args: &[&str]) -> std::process::Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/servers/postgres");
        let ran = Command::new(script).arg(args[0]).arg(self.folder()).args(&args[1..]).output().expect("bash");
        eprint!("{}", String::from_utf8_lossy(&ran.stdout));
        ran
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves again; whether it could.
    pub fn serve(&self) -> bool {
        self.script(&["start", &self.port.to_string()]).status.success()
    }

    /// Serves again as soon as what is left of the one killed lets it.
    pub fn serve_after_a_crash(&self) {
        let started = Instant::now();
        while !self.serve() {
            assert!(started.elapsed() < Duration::from_secs(60), "it does not start again");
        }
    }

    /// Stops it: `fast` or `immediate`.
    pub fn stop(&self, how: &str) {
        assert!(self.script(&["stop", how]).status.success(), "it stops");
    }

    /// Process id of the server.
    pub fn pid(&self) -> String {
        let file = std::fs::read_to_string(self.folder().join("data/postmaster.pid")).expect("it runs");
        file.lines().next().expect("a pid").to_owned()
    }

    /// `kill -9`.
    pub fn kill(pid: &str) {
        assert!(Command::new("kill").args(["-9", pid]).status().expect("kill runs").success(), "there was one");
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Makes a database; gives its url.
    pub fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    fn client(&self, database: &str) -> postgres::Client {
        postgres::Client::connect(&self.url(database), postgres::NoTls).expect("connects")
    }

    pub fn sql(&self, database: &str, sql: &str) {
        self.client(database).batch_execute(sql).expect(sql);
    }

    /// The one text that a query gives.
    pub fn value(&self, database: &str, sql: &str) -> String {
        let ask = || self.client(database).query_one(sql, &[]).expect(sql).get(0);
        // A thread of its own: the blocking client cannot be opened where a test is asynchronous.
        std::thread::scope(|scope| scope.spawn(ask).join().expect("asked"))
    }

    /// Ends all connections to a database, and waits until they are gone.
    pub fn end_sessions(&self, database: &str) {
        let mut client = self.client("postgres");
        let sql = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1";
        client.query(sql, &[&database]).expect("ends them");
    }

    /// Gives a folder to the user whom the server runs as.
    pub fn give(&self, folder: &Path) {
        let owner = Command::new("chown").arg("-R").arg("--reference").arg(self.folder()).arg(folder).status();
        assert!(owner.expect("chown").success());
        let mode = Command::new("chmod").args(["-R", "go-rwx"]).arg(folder).status();
        assert!(mode.expect("chmod").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Not there where it was skipped or is down.
        self.script(&["stop", "immediate"]);
    }
}
