//! `yuqing ledger`: checks the chain of hashes, and writes the audit pack that can be checked without a database.
//!
//! A line of the pack is what the hash of an entry covers, with that hash as the last field: SHA-256 of the hash before
//! and of the line without `,"hash":"…"`. So anybody can check it with ten lines of script.

use crate::ledger::postgres::Postgres;
use crate::ledger::sqlite::Sqlite;
use crate::ledger::{Store, StoreError, check_line, migrate};
use crate::run::{say, settings};
use crate::settings::Overrides;
use crate::web::Accounts;
use anyhow::Context;
use serde_json::json;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Entries read at once.
const PAGE: usize = 4_096;

/// What to do.
#[derive(clap::Subcommand, Debug)]
pub enum Action {
    /// Checks every entry's hash, beside a running process or not; exit code 1 where one does not fit
    #[command(after_help = "Examples:\n  yuqing ledger verify\n  yuqing ledger verify --file audit.jsonl --json")]
    Verify {
        /// An audit pack instead of the ledger
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Writes every entry with its hash: JSON lines that `ledger verify --file` checks
    #[command(after_help = "Examples:\n  yuqing ledger export --to audit.jsonl")]
    Export {
        /// New file
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Moves an installation from the data folder to the empty PostgreSQL that `[store]` names; `yuqing` must be stopped
    #[command(
        after_help = "Examples:\n  yuqing ledger migrate --settings /etc/yuqing/local.toml --settings store.toml"
    )]
    Migrate,
}

/// Exit code 0; 1 where the chain is broken.
pub fn run(files: &[PathBuf], overrides: &Overrides, action: &Action, json: bool) -> anyhow::Result<u8> {
    let ended = match action {
        Action::Migrate => return migrate(files, overrides, json),
        Action::Verify { file: Some(file) } => verify_file(file)?,
        Action::Verify { file: None } => whole(&*open(files, overrides)?)?,
        Action::Export { to } => export(&*open(files, overrides)?, to)?,
    };
    match &ended {
        Ok((entries, hash)) if json => say(&json!({"type": "ledger", "entries": entries, "hash": hash, "ok": true})),
        Ok((entries, hash)) => println!("{entries} entries, chain whole, last hash {hash}"),
        Err((seq, detail)) if json => {
            say(&json!({"type": "ledger", "ok": false, "first_bad": seq, "detail": detail}));
        }
        Err((seq, detail)) => println!("BROKEN: entry {seq} is not what was written: {detail}"),
    }
    Ok(u8::from(ended.is_err()))
}

/// Number and hash of the last entry, or the first bad one and what is wrong with it.
type Chain = Result<(u64, String), (u64, String)>;

fn open(files: &[PathBuf], overrides: &Overrides) -> anyhow::Result<Box<dyn Store>> {
    let settings = settings(files, overrides)?;
    Ok(match &settings.store {
        Some(url) => Box::new(Postgres::open_read_only(url).context("no ledger can be read on PostgreSQL")?),
        None => {
            let data = settings.data;
            let store = Sqlite::open_read_only(&data);
            Box::new(store.with_context(|| format!("no ledger can be read in {}", data.display()))?)
        }
    })
}

/// Copies everything with its hashes, then the accounts; refuses a database that holds anything.
fn migrate(files: &[PathBuf], overrides: &Overrides, json: bool) -> anyhow::Result<u8> {
    let settings = settings(files, overrides)?;
    let url = settings.store.as_ref().context("[store] names no PostgreSQL to move to")?;
    // As its owner: nobody may write while it is copied.
    let from = Sqlite::open(&settings.data)?;
    let to = Postgres::open_moving_into(url)?;
    let bar = indicatif::ProgressBar::new_spinner();
    let moved = migrate::copy(&from, &to, &mut |moved| bar.set_message(format!("{} entries", moved.entries)))?;
    bar.finish_and_clear();
    let (old, new) = (whole(&from)?, whole(&to)?);
    anyhow::ensure!(old == new, "what was written is not what was read: empty the database and move again");
    let (users, tokens) = Accounts::open(&settings.data)?.copy_into(&Accounts::open_postgres(url)?)?;
    if json {
        let mut line = serde_json::to_value(moved)?;
        line["type"] = "moved".into();
        line["users"] = users.into();
        line["tokens"] = tokens.into();
        say(&line);
    } else {
        println!("{moved:#?}");
        println!("{users} accounts and {tokens} tokens; who is logged in logs in again");
    }
    Ok(0)
}

fn told(error: StoreError) -> anyhow::Result<Chain> {
    match error {
        StoreError::Broken { seq, detail } => Ok(Err((seq, detail))),
        other => Err(other.into()),
    }
}

/// Checks the entries of a store, and that each can still be read.
fn whole(store: &dyn Store) -> anyhow::Result<Chain> {
    match store.verify() {
        Ok(entries) => {
            let last = store.entries(entries.saturating_sub(1), 1)?.pop();
            Ok(Ok((entries, last.map_or_else(String::new, |entry| entry.hash))))
        }
        Err(error) => told(error),
    }
}

/// Checks an audit pack line by line.
pub fn verify_file(path: &Path) -> anyhow::Result<Chain> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut last = (0, String::new());
    for line in BufReader::new(file).lines() {
        match check_line(&line?, (last.0, &last.1)) {
            Ok(next) => last = next,
            Err(error) => return told(error),
        }
    }
    Ok(Ok(last))
}

/// Writes the pack under another name, checks it, and gives it its name; a chain that is broken is not exported.
fn export(store: &dyn Store, to: &Path) -> anyhow::Result<Chain> {
    anyhow::ensure!(!to.exists(), "{} is there already", to.display());
    let part = to.with_added_extension("part");
    let mut out =
        BufWriter::new(std::fs::File::create(&part).with_context(|| format!("cannot make {}", part.display()))?);
    let mut after = 0;
    loop {
        let lines = store.lines(after, PAGE)?;
        if lines.is_empty() {
            break;
        }
        after += lines.len() as u64;
        for line in lines {
            writeln!(out, "{line}")?;
        }
    }
    out.into_inner()?.sync_all()?;
    let checked = verify_file(&part)?;
    if checked.is_ok() {
        std::fs::rename(&part, to)?;
    } else {
        std::fs::remove_file(&part)?;
    }
    Ok(checked)
}
