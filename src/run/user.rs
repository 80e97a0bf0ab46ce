//! `yuqing user`: accounts and tokens, also while `run` is up.

use crate::clock::Clock;
use crate::run::{say, settings};
use crate::settings::Overrides;
use crate::web::accounts::{Accounts, Role};
use serde_json::json;
use std::path::PathBuf;

/// What to do.
#[derive(clap::Subcommand, Debug)]
pub enum Action {
    /// Makes a token for a program; said once, kept only hashed
    #[command(
        after_help = "Examples:\n  yuqing user token collector --role intake\n  yuqing user token board --role desk --json"
    )]
    Token {
        /// Name of the program
        name: String,
        /// operator, officer, desk, analyst, intake
        #[arg(long)]
        role: String,
    },
    /// Makes an account for a person, or gives it a new password; said once
    #[command(after_help = "Examples:\n  yuqing user add heqing --role officer")]
    Add {
        /// Account name
        name: String,
        /// operator, officer, desk, analyst
        #[arg(long)]
        role: String,
    },
}

/// Exit code 0; 2 for an unknown role.
pub fn run(files: &[PathBuf], overrides: &Overrides, action: &Action, json: bool) -> anyhow::Result<u8> {
    let settings = settings(files, overrides)?;
    std::fs::create_dir_all(&settings.data)?;
    let accounts = Accounts::open(&settings.data)?;
    let (Action::Token { name, role } | Action::Add { name, role }) = action;
    let Some(known) = Role::parse(role) else {
        eprintln!("yuqing: unknown role `{role}`; one of operator, officer, desk, analyst, intake");
        return Ok(2);
    };
    let now = Clock::Real.now();
    let (kind, secret) = match action {
        Action::Token { .. } => ("token", accounts.new_token(name, known, now)?),
        Action::Add { .. } => ("password", {
            let password = secret()?;
            accounts.set_user(name, known, &password, now)?;
            password
        }),
    };
    if json {
        say(&json!({"type": kind, "name": name, "role": role, kind: secret}));
    } else {
        println!("{secret}");
    }
    Ok(0)
}

/// Sixteen random bytes in letters and digits that survive being read out.
fn secret() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(bytes.iter().map(|byte| char::from(b"abcdefghijkmnpqrstuvwxyz23456789"[usize::from(byte % 32)])).collect())
}
