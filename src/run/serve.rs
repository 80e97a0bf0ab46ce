//! `yuqing run`: the whole system on the real clock until SIGTERM or Ctrl-C.

use crate::clock::Clock;
use crate::run::app::App;
use crate::run::{say, settings, until_stopped};
use crate::settings::Overrides;
use crate::web::Bootstrap;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Runs until asked to stop; exit code 0, or 3 when the desk failed.
pub fn run(files: &[PathBuf], overrides: &Overrides) -> anyhow::Result<u8> {
    let settings = settings(files, overrides)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        let mut app = App::start(settings, Clock::Real, Box::new(|_| {})).await?;
        say(&json!({"type": "listening", "addr": app.addr.to_string()}));
        say_bootstrap(app.addr, app.bootstrap.as_ref());
        let failed = until_stopped(app.failed()).await?;
        app.stop().await;
        anyhow::Ok(if failed { 3 } else { 0 })
    });
    // Open event streams and slow receivers must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}

/// Says once, at the very first start, how to come in.
pub fn say_bootstrap(addr: SocketAddr, bootstrap: Option<&Bootstrap>) {
    if let Some(Bootstrap { token, user, password, .. }) = bootstrap {
        say(&json!({"type": "token", "name": "bootstrap", "role": "desk", "token": token}));
        say(&json!({"type": "password", "name": user, "role": "operator", "password": password}));
        eprintln!("console: http://{addr}/  account {user}  password {password}  (said once)");
    }
}
