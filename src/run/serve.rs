//! `yuqing run`: the whole system on the real clock until SIGTERM or Ctrl-C.

use crate::clock::Clock;
use crate::run::app::App;
use crate::run::{say, settings};
use crate::settings::Overrides;
use serde_json::json;
use std::path::PathBuf;

/// Runs until asked to stop; exit code 0, or 3 when the desk failed.
pub fn run(files: &[PathBuf], overrides: &Overrides) -> anyhow::Result<u8> {
    let settings = settings(files, overrides)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        let mut app = App::start(settings, Clock::Real, Box::new(|_| {})).await?;
        say(&json!({"type": "listening", "addr": app.addr.to_string()}));
        if let Some(bootstrap) = &app.bootstrap {
            say(&json!({"type": "token", "name": "bootstrap", "role": "desk", "token": bootstrap.token}));
            say(&json!({"type": "password", "name": bootstrap.user, "role": "operator", "password": bootstrap.password}));
            eprintln!("console: http://{}/  account {}  password {}  (said once)", app.addr, bootstrap.user, bootstrap.password);
        }
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let failed = tokio::select! {
            _ = terminate.recv() => false,
            _ = tokio::signal::ctrl_c() => false,
            _ = app.failed() => true,
        };
        app.stop().await;
        anyhow::Ok(if failed { 3 } else { 0 })
    });
    // Open event streams and slow receivers must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}
