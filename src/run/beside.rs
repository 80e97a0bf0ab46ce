//! `yuqing web`: the console and the API beside the leading desk. In: the ledger, `yuqing.assessed`, requests. Out: pages, answers, and
//! commands for the desk through the store. Any number may run; each keeps its own index, which is a view and safe to delete.

use crate::clock::Clock;
use crate::index::{Searcher, Writer};
use crate::metrics::Metrics;
use crate::run::follow::{Beside, Follower, FollowerParts};
use crate::run::{app, open, say, settings, tables, until_stopped};
use crate::settings::Overrides;
use crate::web::{WebOptions, router};
use anyhow::{Context, anyhow};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Runs until asked to stop; exit code 0, or 3 where the stream or the disk failed.
pub fn run(files: &[PathBuf], overrides: &Overrides) -> anyhow::Result<u8> {
    let settings = settings(files, overrides)?;
    let config =
        settings.kafka.clone().context("`yuqing web` needs [kafka] in the settings; `yuqing run` needs none")?;
    std::fs::create_dir_all(&settings.data).with_context(|| format!("cannot make {}", settings.data.display()))?;
    let tables = tables::load(&settings.sources).map_err(|faults| anyhow!("{}", app::join(&faults)))?;
    let store = open::store(&settings)?;
    let accounts = Arc::new(open::accounts(&settings)?);
    let clock = Clock::Real;
    let bootstrap = accounts.bootstrap(clock.now())?;
    let link_key = store.secret("links")?;
    let reader = Arc::new(tables.reader);
    let index_dir = settings.data.join("index");
    let index = Writer::open(&index_dir, settings.index_memory)?;
    let words = reader.clone();
    let searcher = Arc::new(Searcher::open(&index_dir, Arc::new(move |text: &str| words.words(text))));
    // Its progress is its own: it must not stand for that of the desk.
    let group = format!("{}-web-{}", config.group, settings.lead.0);
    let source = open::assessed(&config, &group, reader, true)?;
    let follower = Arc::new(Follower::new(FollowerParts {
        clock,
        store,
        searcher,
        metrics: Arc::new(Metrics::new()?),
        on_duty: settings.on_duty.clone(),
        channels: settings.channels.names().map(str::to_owned).collect(),
        names: tables.names,
        intake: config.topics.join(", "),
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let listener = app::listen(settings.listen).await?;
        let addr = listener.local_addr()?;
        let options = WebOptions {
            open_intake: settings.open_intake,
            tls: false,
            public_url: settings.public_url.clone(),
            link_key,
        };
        let routes = router(Arc::new(Beside(follower.clone())), accounts, options);
        let mut stopping = stopped.clone();
        tokio::spawn(async move {
            let ended = axum::serve(listener, routes).with_graceful_shutdown(async move {
                // An error means that the house is gone: stop too.
                let _ = stopping.wait_for(|&stop| stop).await;
            });
            if let Err(error) = ended.await {
                tracing::error!(%error, "the door stopped");
            }
        });
        say(&json!({"type": "listening", "addr": addr.to_string()}));
        crate::run::serve::say_bootstrap(addr, bootstrap.as_ref());
        let (ledger, on) = (follower.clone(), stopped.clone());
        let following =
            std::thread::Builder::new().name("ledger".to_owned()).spawn(move || ledger.follow_ledger(&on))?;
        let commit = Duration::from_millis(settings.index_commit_ms);
        let (ended_out, mut ended) = watch::channel(false);
        let indexing = std::thread::Builder::new().name("index".to_owned()).spawn(move || {
            let result = follower.follow_stream(source, index, commit, &stopped);
            ended_out.send_replace(true);
            result
        })?;
        let failed = until_stopped(async move {
            // An error means that the thread is gone.
            let _ = ended.wait_for(|&ended| ended).await;
        })
        .await?;
        stop.send_replace(true);
        let joined = tokio::task::spawn_blocking(move || (following.join(), indexing.join()));
        match joined.await?.1 {
            Ok(Ok(())) => anyhow::Ok(if failed { 3 } else { 0 }),
            Ok(Err(error)) => Err(error.context("the index stopped following")),
            Err(_) => Err(anyhow!("the indexing thread broke off")),
        }
    });
    // Open event streams and slow receivers must not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(2));
    code
}
