//! `yuqing desk`: decides on what the workers have read. In: `yuqing.assessed`, commands through the store. Out: the ledger, notices.
//!
//! Several may run: one leads by a lease in the store, the others stand by with the same topics in memory and take over when the
//! lease runs out. A desk that was deposed cannot write: its steps carry the token under which it led.

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::run::app::{Senders, forget, send};
use crate::run::desk::{Desk, Lead, Parts, Progress, Shown};
use crate::run::health::{Shows, serve};
use crate::run::{open, say, settings, tables, until_stopped};
use crate::settings::Overrides;
use crate::time::Span;
use anyhow::{Context, anyhow};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use tokio::sync::{mpsc, watch};

/// Questions that wait for the desk.
const ASKS: usize = 1_024;
/// Notices handed to the senders at once.
const DUE: usize = 256;

struct Waits {
    metrics: Arc<Metrics>,
    progress: watch::Receiver<Progress>,
}

impl Shows for Waits {
    fn ready(&self) -> Result<(), String> {
        // A desk that stands by is ready to take over once it has shown its state for the first time.
        if self.progress.borrow().now.is_some() { Ok(()) } else { Err("reading the stream".to_owned()) }
    }

    fn metrics(&self) -> String {
        self.metrics.render()
    }
}

/// Runs until asked to stop; exit code 0, or 3 where the desk failed or was deposed.
pub fn run(files: &[PathBuf], overrides: &Overrides) -> anyhow::Result<u8> {
    let settings = settings(files, overrides)?;
    let config = settings.kafka.clone().context("a desk needs [kafka] in the settings; `yuqing run` needs none")?;
    let tables = tables::load(&settings.sources).map_err(|faults| anyhow!("{}", crate::run::app::join(&faults)))?;
    let store = open::store(&settings)?;
    let clock = Clock::Real;
    let metrics = Arc::new(Metrics::new()?);
    open::topics(&config);
    let reader = Arc::new(tables.reader);
    // The group is the workers'; the desk reports its own progress under its own name.
    let source = open::assessed(&config, &format!("{}-desk", config.group), reader.clone(), false)?;
    let (asks, asked) = sync_channel(ASKS);
    let (due, notices) = mpsc::channel(DUE);
    let (progress_out, progress) = watch::channel(Progress::default());
    let (shown_out, _shown) = watch::channel(Arc::new(Shown::default()));
    let (name, holds) = settings.lead.clone();
    // Each start is another holder: what is left of the one before must not pass for this one.
    let mut start = [0u8; 4];
    getrandom::fill(&mut start).map_err(|error| anyhow!("no random bytes: {error}"))?;
    let holder = format!("{name}/{}-{:08x}", std::process::id(), u32::from_be_bytes(start));
    let parts = Parts {
        clock: clock.clone(),
        store: store.clone(),
        source,
        reader,
        rules: tables.rules,
        plan: settings.plan.clone(),
        index: None,
        lead: Some(Lead { holder, holds: Span::millis(holds) }),
        publish: None,
        commit_ms: settings.index_commit_ms,
        keep_index: settings.keep.index,
        metrics: metrics.clone(),
        asks: asked,
        due,
        progress: progress_out,
        state: shown_out,
        observer: Box::new(|_| {}),
        readers: 1,
    };
    let desk = Desk::recover(parts)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let shows = Arc::new(Waits { metrics, progress });
        let addr = serve(settings.listen, shows, stopped.clone()).await?;
        say(&json!({"type": "listening", "addr": addr.to_string()}));
        let links = settings.public_url.clone().map(|base| store.secret("links").map(|key| (base, key))).transpose()?;
        let senders = Senders { channels: settings.channels.clone(), clock: clock.clone(), asks: asks.clone(), links };
        tokio::spawn(send(notices, senders));
        tokio::spawn(forget(store, clock, stopped));
        let (ended_out, mut ended) = watch::channel(false);
        let thread = std::thread::Builder::new().name("desk".to_owned()).spawn(move || {
            let result = desk.run();
            ended_out.send_replace(true);
            result
        })?;
        let failed = until_stopped(async move {
            // An error means that the thread is gone.
            let _ = ended.wait_for(|&ended| ended).await;
        })
        .await?;
        stop.send_replace(true);
        let joined = tokio::task::spawn_blocking(move || {
            // A desk that failed hears nothing; joining it is enough.
            let _ = asks.send(crate::run::desk::Ask::Stop);
            thread.join()
        });
        match joined.await? {
            Ok(Ok(())) => anyhow::Ok(if failed { 3 } else { 0 }),
            Ok(Err(error)) => Err(anyhow!(error).context("the desk stopped; another one takes over")),
            Err(_) => Err(anyhow!("the desk's thread broke off")),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}
