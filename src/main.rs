//! Chooses a role and hands over; everything else is the library's.

use clap::{Args, CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use yuqing::run::{
    assess, backtest, backup, bench, beside, check, demo, doctor, lead, ledger, manual, replay, search, serve, user,
    worker,
};
use yuqing::settings::Overrides;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Watches what people say in public about a city, finds the events that need an answer, and makes sure the answer is
/// given in time. It looks at events and services, never at speakers.
#[derive(Parser)]
#[command(
    name = "yuqing",
    version,
    after_help = "Examples:\n  yuqing demo                                   a written day in Nanchang, then the console\n  yuqing run                                    the same system on the real clock\n  yuqing assess --text notes.txt                what each line says, and why\n  yuqing search 'time:24h level:L4'             a Chinese-aware query language\n  yuqing backtest history.jsonl.zst             what would have been raised\n\nExit codes: 0 done, 1 done and faults were found, 2 wrong usage, 3 could not."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    role: Role,
}

#[derive(Args)]
struct Common {
    /// Settings file; several times: later over earlier [default: pipelines/local.toml]
    #[arg(long, global = true, value_name = "FILE")]
    settings: Vec<PathBuf>,
    /// Folder of everything kept, over the settings
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port, over the settings
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// One JSON object a line on standard output
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Role {
    /// Everything in one process, on embedded parts
    #[command(
        after_help = "Examples:\n  yuqing run\n  yuqing run --listen 0.0.0.0:8765 --data /var/lib/yuqing\n  yuqing run --settings pipelines/local.toml --settings /etc/yuqing/channels.toml\n\nEnds within ten seconds of SIGTERM with exit code 0."
    )]
    Run {
        /// Let mentions in without a token (loopback listeners only)
        #[arg(long)]
        open_intake: bool,
        /// Pipeline file [default: pipelines/local.toml]
        pipeline: Option<PathBuf>,
    },
    /// Reads mentions from Kafka and publishes what they say; any number share the work
    #[command(
        after_help = "Examples:\n  yuqing worker --settings pipelines/cluster/worker.toml\n  yuqing worker --settings pipelines/cluster/worker.toml --threads 4 --listen 127.0.0.1:0"
    )]
    Worker {
        /// Threads that read texts
        #[arg(long, default_value_t = 2)]
        threads: usize,
    },
    /// Decides on what the workers have read; of several one leads and the others stand by
    #[command(after_help = "Examples:\n  yuqing desk --settings pipelines/cluster/desk.toml")]
    Desk,
    /// Console and API beside the leading desk; any number may run
    #[command(
        after_help = "Examples:\n  yuqing web --settings pipelines/cluster/web.toml\n  yuqing web --settings pipelines/cluster/web.toml --data /var/lib/yuqing-web --listen 0.0.0.0:8765"
    )]
    Web,
    /// Plays a written day in Nanchang through the whole system on a virtual clock, then serves the console
    Demo(demo::Options),
    /// Tells every fault in settings and dictionaries at once
    #[command(
        after_help = "Examples:\n  yuqing check\n  yuqing check --settings /etc/yuqing/channels.toml --json\n\nExit code 1 where there are faults."
    )]
    Check,
    /// What texts or mentions say, with causes
    Assess(assess::Options),
    /// Cuts each line into words
    #[command(after_help = "Examples:\n  yuqing segment notes.txt\n  echo '红谷滩着火了' | yuqing segment -")]
    Segment {
        /// File, or `-`
        file: PathBuf,
    },
    /// Searches the index, also beside a running process
    Search(search::Options),
    /// Feeds a file of mentions into a running process
    Replay(replay::Options),
    /// Topics and rules over history, on event time, without side effects
    Backtest(backtest::Options),
    /// Accounts and tokens
    #[command(
        after_help = "Examples:\n  yuqing user token collector --role intake\n  yuqing user add heqing --role officer"
    )]
    User {
        #[command(subcommand)]
        action: user::Action,
    },
    /// Whether the house is well: invariants, disk, clock, modes, channels; also beside a running process
    #[command(
        after_help = "Examples:\n  yuqing doctor\n  yuqing doctor --settings /etc/yuqing/local.toml --data /var/lib/yuqing --json"
    )]
    Doctor,
    /// The ledger's chain of hashes, and the audit pack
    #[command(after_help = "Examples:\n  yuqing ledger verify\n  yuqing ledger export --to audit.jsonl")]
    Ledger {
        #[command(subcommand)]
        action: ledger::Action,
    },
    /// Copies ledger, accounts and keys to a new folder, beside a running process
    #[command(after_help = "Examples:\n  yuqing backup --to /var/backups/yuqing/monday")]
    Backup {
        /// New folder
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Puts a backup into a data folder that holds nothing but the intake log
    #[command(after_help = "Examples:\n  yuqing restore --from /var/backups/yuqing/monday --data /var/lib/yuqing")]
    Restore {
        /// Folder of the backup
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
    /// Measures the whole path on generated mentions
    Bench(bench::Options),
    /// Prints the JSON Schema of what goes in or out
    Schema(manual::SchemaOptions),
    /// Prints completions for a shell
    Completions(manual::CompletionsOptions),
    /// Prints the manual page
    Man(manual::ManOptions),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("YUQING_LOG").unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new(
            if matches!(cli.role, Role::Run { .. } | Role::Worker { .. } | Role::Desk | Role::Web) {
                "info,tantivy=warn"
            } else {
                "warn,tantivy=error"
            },
        )
    });
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match hand_over(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("yuqing: {error:#}");
            ExitCode::from(3)
        }
    }
}

fn hand_over(cli: Cli) -> anyhow::Result<u8> {
    let Common { mut settings, data, listen, json } = cli.common;
    let mut overrides = Overrides { data, listen, open_intake: false };
    match cli.role {
        Role::Run { open_intake, pipeline } => {
            settings.splice(0..0, pipeline);
            overrides.open_intake = open_intake;
            serve::run(&settings, &overrides)
        }
        Role::Worker { threads } => worker::run(&settings, &overrides, threads),
        Role::Desk => lead::run(&settings, &overrides),
        Role::Web => beside::run(&settings, &overrides),
        Role::Demo(options) => demo::run(&settings, &overrides, &options, json),
        Role::Check => check::run(&settings, &overrides, json),
        Role::Assess(options) => assess::run(&settings, &overrides, &options, json),
        Role::Segment { file } => assess::segment(&file),
        Role::Search(options) => search::run(&settings, &overrides, &options, json),
        Role::Replay(options) => replay::run(&settings, &overrides, &options, json),
        Role::Backtest(options) => backtest::run(&settings, &overrides, &options, json),
        Role::User { action } => user::run(&settings, &overrides, &action, json),
        Role::Doctor => doctor::run(&settings, &overrides, json),
        Role::Ledger { action } => ledger::run(&settings, &overrides, &action, json),
        Role::Backup { to } => backup::backup(&settings, &overrides, &to, json),
        Role::Restore { from } => backup::restore(&settings, &overrides, &from, json),
        Role::Bench(options) => bench::run(&settings, &overrides, &options, json),
        Role::Schema(options) => manual::print_schema(&options),
        Role::Completions(options) => manual::print_completions(&options, &mut Cli::command()),
        Role::Man(options) => manual::print_man(&options, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_examples(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        let path = format!("{path} {}", command.get_name());
        let told = command.get_after_help().is_some_and(|help| help.to_string().starts_with("Examples:\n  "));
        if !told {
            found.push(path.clone());
        }
        for one in command.get_subcommands() {
            without_examples(one, &path, found);
        }
    }

    #[test]
    fn every_command_shows_examples() {
        let mut found = Vec::new();
        without_examples(&Cli::command(), "", &mut found);
        assert!(found.is_empty(), "no `Examples:` in the help of:\n{}", found.join("\n"));
    }
}
