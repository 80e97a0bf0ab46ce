//! The wiring of one process, in one straight line; tear-down is the reverse.

use crate::clock::Clock;
use crate::duty::event::Notice;
use crate::index::{Searcher, Writer};
use crate::intake::{Intake, Salts, Source, folder};
use crate::ledger::Store;
use crate::metrics::Metrics;
use crate::run::desk::{Ask, Desk, Observer, Parts, Progress, Publish, Shown};
use crate::run::disk::DiskGuard;
use crate::run::house::Rooms;
use crate::run::keep::{self, Kept};
use crate::run::{open, tables};
use crate::settings::Settings;
use crate::web::accounts::Bootstrap;
use crate::web::{WebOptions, router};
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use tokio::sync::{mpsc, watch};

/// Questions that wait for the desk.
const ASKS: usize = 1_024;
/// Notices handed to the senders at once.
const DUE: usize = 256;
/// Notices being sent at once: a slow receiver holds up no other.
const SENDING: usize = 16;
/// Seconds between two looks for salts to destroy.
const FORGET_S: u64 = 3_600;
/// How long a one-tap link may be used: the first-notice clock.
const LINK_HOLDS: crate::time::Span = crate::time::Span::hours(2);
/// Milliseconds between two looks into the watched folder.
const SWEEP_MS: u64 = 500;

/// A running house.
pub struct App {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Said once, at the very first start.
    pub bootstrap: Option<Bootstrap>,
    /// How far the desk is.
    pub progress: watch::Receiver<Progress>,
    /// Searches, as the door does.
    pub searcher: Arc<Searcher>,
    /// The doors' queue.
    pub intake: Intake,
    asks: SyncSender<Ask>,
    desk: Option<std::thread::JoinHandle<()>>,
    failed: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
}

impl App {
    /// Opens everything and starts listening.
    pub async fn start(settings: Settings, clock: Clock, observer: Observer) -> anyhow::Result<App> {
        own_folder(&settings.data).with_context(|| format!("cannot make {}", settings.data.display()))?;
        let disk = DiskGuard::start(&settings.data, settings.disk)?;
        let tables = tables::load(&settings.sources).map_err(|faults| anyhow::anyhow!("{}", join(&faults)))?;
        let metrics = Arc::new(Metrics::new()?);
        let store = open::store(&settings)?;
        let store_secret = store.secret("links")?;
        let accounts = Arc::new(open::accounts(&settings)?);
        let bootstrap = accounts.bootstrap(clock.now())?;
        let reader = Arc::new(tables.reader);
        let index_dir = settings.data.join("index");
        let index = Writer::open(&index_dir, settings.index_memory)?;
        let words = reader.clone();
        let searcher = Arc::new(Searcher::open(&index_dir, Arc::new(move |text: &str| words.words(text))));
        let salts = store.clone();
        let salts: Salts = Arc::new(move |day| salts.salt(day).ok().flatten());
        let door = tables.door.clone();
        let (intake, torn) = Intake::open(&settings.data.join("intake"), tables.door, salts.clone(), clock.clone())?;
        if let Some(torn) = torn {
            tracing::warn!(?torn, "a crash had torn the end off the intake log; what was answered is there");
        }
        let (source, publish, ready_at): (Box<dyn Source>, Option<Box<dyn Publish>>, u64) = match &settings.kafka {
            Some(config) => {
                open::topics(config);
                (open::mentions(config, door, salts)?, Some(open::publish(config)?), 0)
            }
            None => (Box::new(intake.source()?), None, intake.end()),
        };

        let (asks, asked) = sync_channel(ASKS);
        let (due, notices) = mpsc::channel(DUE);
        let (progress_out, progress) = watch::channel(Progress::default());
        let (shown_out, shown) = watch::channel(Arc::new(Shown::default()));
        let (failed_out, failed) = watch::channel(false);
        let (stop, stopped) = watch::channel(false);
        let parts = Parts {
            clock: clock.clone(),
            store: store.clone(),
            source,
            reader,
            rules: tables.rules,
            plan: settings.plan.clone(),
            index: Some(index),
            lead: None,
            publish,
            commit_ms: settings.index_commit_ms,
            keep_index: settings.keep.index,
            metrics: metrics.clone(),
            asks: asked,
            due,
            progress: progress_out,
            state: shown_out,
            observer,
            readers: 2,
        };
        let desk = Desk::recover(parts)?;
        let desk = std::thread::Builder::new().name("desk".to_owned()).spawn(move || {
            if let Err(error) = desk.run() {
                tracing::error!(%error, "the desk stopped; restart recovers from the ledger");
                failed_out.send_replace(true);
            }
        })?;

        let listener = listen(settings.listen).await?;
        let addr = listener.local_addr()?;
        let changes = follow(progress.clone());
        let rooms = Rooms {
            clock: clock.clone(),
            intake: intake.clone(),
            searcher: searcher.clone(),
            store: store.clone(),
            metrics,
            asks: asks.clone(),
            shown,
            progress: progress.clone(),
            changes,
            casebook: Arc::default(),
            names: tables.names,
            on_duty: settings.on_duty.clone(),
            channels: settings.channels.names().map(str::to_owned).collect(),
            disk: disk.clone(),
            ready_at,
            elsewhere: settings.kafka.as_ref().map(|kafka| kafka.topics.join(", ")),
        };
        let key = store_secret;
        let links = settings.public_url.clone().map(|base| (base, key));
        let options = WebOptions {
            open_intake: settings.open_intake,
            tls: false,
            public_url: settings.public_url.clone(),
            link_key: key,
        };
        let routes = router(Arc::new(rooms), accounts, options);
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
        let sender = Senders { channels: settings.channels.clone(), clock: clock.clone(), asks: asks.clone(), links };
        tokio::spawn(send(notices, sender));
        let forgetting = stopped.clone();
        let kept =
            Kept { data: settings.data.clone(), keep: settings.keep, store: store.clone(), clock: clock.clone() };
        tokio::spawn(keep::daily(kept, intake.clone(), stopped.clone()));
        tokio::spawn(sweep(intake.clone(), settings.inbox.clone(), disk, stopped));
        tokio::spawn(forget(store, clock, forgetting));
        Ok(App { addr, bootstrap, progress, searcher, intake, asks, desk: Some(desk), failed, stop })
    }

    /// Waits until the desk failed; a house whose desk runs never ends by itself.
    pub async fn failed(&mut self) {
        let _ = self.failed.wait_for(|&failed| failed).await;
        if !*self.failed.borrow() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the desk has read `offset` and looked at every deadline up to `now`.
    pub async fn settled(&mut self, offset: u64, now: crate::time::Instant) {
        let _ = self.progress.wait_for(|at| at.offset >= offset && at.now.is_some_and(|then| then >= now)).await;
    }

    /// Stops in the reverse order: door, desk with its last commit.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let (asks, desk) = (self.asks.clone(), self.desk.take());
        let ended = tokio::task::spawn_blocking(move || {
            // A desk that failed hears nothing; joining it is enough.
            let _ = asks.send(Ask::Stop);
            desk.map(std::thread::JoinHandle::join)
        });
        if ended.await.is_err() {
            tracing::error!("the desk could not be joined");
        }
    }
}

/// Makes the data folder for this account alone; one that is there stays as it is.
fn own_folder(data: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data)
}

/// Binds the one port; the error names it.
pub async fn listen(addr: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))
}

/// Faults, one a line.
pub fn join(faults: &[crate::lexicon::Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn follow(mut progress: watch::Receiver<Progress>) -> watch::Receiver<u64> {
    let (out, changes) = watch::channel(0);
    tokio::spawn(async move {
        while progress.changed().await.is_ok() {
            let version = progress.borrow_and_update().version;
            out.send_if_modified(|last| std::mem::replace(last, version) != version);
        }
    });
    changes
}

/// What sending needs.
#[derive(Clone)]
pub struct Senders {
    /// Where notices go.
    pub channels: Arc<crate::outlet::Channels>,
    /// The time.
    pub clock: Clock,
    /// The desk's ear.
    pub asks: SyncSender<Ask>,
    /// Where people reach the console, and the key of signed links.
    pub links: Option<(String, [u8; 32])>,
}

impl Senders {
    /// A notice for an officer carries their one-tap link: the same on every attempt, for it hangs on the notice alone.
    fn link(&self, notice: &mut Notice) {
        let (Some((base, key)), Some(officer)) = (&self.links, &notice.officer) else { return };
        let expires = notice.decided_at + LINK_HOLDS;
        let link = crate::web::Link {
            notice: notice.key.clone(),
            incident: notice.incident.clone(),
            officer: officer.clone(),
            expires,
        };
        notice.facts["link"] = format!("{}/ack/{}", base.trim_end_matches('/'), link.token(key)).into();
    }
}

/// Sends what is due; the desk hears how each attempt ended.
pub async fn send(mut notices: mpsc::Receiver<Notice>, senders: Senders) {
    let slots = Arc::new(tokio::sync::Semaphore::new(SENDING));
    while let Some(mut notice) = notices.recv().await {
        senders.link(&mut notice);
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let Senders { channels, clock, asks, .. } = senders.clone();
        tokio::spawn(async move {
            let verdict = channels.send(&notice.channel, &notice, clock.now()).await;
            drop(slot);
            let told = tokio::task::spawn_blocking(move || asks.send(Ask::Sent(notice.key, verdict)).is_ok()).await;
            if !matches!(told, Ok(true)) {
                tracing::warn!(
                    "an outcome came after the desk had stopped; the notice is sent again under the same key"
                );
            }
        });
    }
}

/// Feeds the watched folder through the same door.
async fn sweep(intake: Intake, inbox: std::path::PathBuf, disk: Arc<DiskGuard>, mut stopped: watch::Receiver<bool>) {
    loop {
        let (intake, inbox, disk) = (intake.clone(), inbox.clone(), disk.clone());
        let look = move || if disk.paused() { Ok(Vec::new()) } else { folder::sweep(&intake, &inbox) };
        match tokio::task::spawn_blocking(look).await {
            Ok(Ok(swept)) => swept.iter().for_each(|file| tracing::info!(?file, "a file was taken")),
            Ok(Err(error)) => tracing::warn!(%error, "the watched folder cannot be read"),
            Err(_) => return,
        }
        let pause = tokio::time::sleep(std::time::Duration::from_millis(SWEEP_MS));
        tokio::select! {
            _ = pause => {}
            _ = stopped.wait_for(|&stop| stop) => return,
        }
    }
}

/// Destroys the salts of days that ended more than two days ago, at the start and every hour (public-trust rule 3).
pub async fn forget(store: Arc<dyn Store>, clock: Clock, mut stopped: watch::Receiver<bool>) {
    loop {
        let (store, keep) = (store.clone(), (clock.now() - crate::limits::SALT_AGE).day());
        match tokio::task::spawn_blocking(move || store.destroy_salts_before(keep)).await {
            Ok(Ok(days)) => {
                days.iter().for_each(|day| tracing::info!(day = day.iso(), "the salt of a day was destroyed"))
            }
            Ok(Err(error)) => tracing::error!(%error, "salts could not be destroyed"),
            Err(_) => return,
        }
        tokio::select! {
            _ = tokio::time::sleep(std::time::Duration::from_secs(FORGET_S)) => {}
            _ = stopped.wait_for(|&stop| stop) => return,
        }
    }
}
