//! `yuqing search`: reads the shards beside a running process, or without one.

use crate::clock::Clock;
use crate::index::{Query, QueryError, Searcher};
use crate::run::{app, say, settings, tables};
use crate::settings::Overrides;
use anyhow::anyhow;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Options of `yuqing search`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  yuqing search '扬子洲 AND 冒水'\n  yuqing search 'level:L4 time:24h'\n  yuqing search 'id:\"weibo:1\"'"
)]
pub struct Options {
    /// Words, "phrases", AND OR NOT ( ), field:value, time:24h, prefix*
    pub query: String,
    /// Hits at the most
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
}

/// Exit code 0; 2 where the query cannot be read.
pub fn run(files: &[PathBuf], overrides: &Overrides, options: &Options, json: bool) -> anyhow::Result<u8> {
    let settings = settings(files, overrides)?;
    let tables = tables::load(&settings.sources).map_err(|faults| anyhow!("{}", app::join(&faults)))?;
    let reader = Arc::new(tables.reader);
    let searcher = Searcher::open(&settings.data.join("index"), Arc::new(move |text: &str| reader.words(text)));
    let (mut cursor, mut told, mut took) = (None, 0, 0);
    let total = loop {
        let limit = (options.limit - told).min(crate::limits::PAGE);
        let query =
            Query { q: options.query.clone(), limit, cursor: cursor.take(), sort: None, now: Clock::Real.now() };
        let page = match searcher.search(&query) {
            Err(QueryError::Syntax(detail)) => {
                eprintln!("yuqing: query: {detail}");
                return Ok(2);
            }
            answered => answered?,
        };
        for hit in &page.hits {
            if json {
                let mut line = serde_json::to_value(hit)?;
                line["type"] = "hit".into();
                say(&line);
            } else {
                println!(
                    "{}  {:<10} {}  {}",
                    hit.created_at.rfc3339_shanghai(),
                    hit.platform,
                    hit.level,
                    highlighted(&hit.text, &hit.highlights)
                );
            }
        }
        told += page.hits.len();
        took += page.took_us;
        cursor = page.next;
        if cursor.is_none() || told >= options.limit || page.hits.is_empty() {
            break page.total;
        }
    };
    if json {
        say(&json!({"type": "summary", "total": total, "took_us": took}));
    } else {
        eprintln!("{total} hits, {:.1} ms", took as f64 / 1e3);
    }
    Ok(0)
}

fn highlighted(text: &str, ranges: &[(usize, usize)]) -> String {
    use std::io::IsTerminal;
    if !std::io::stdout().is_terminal() {
        return text.replace('\n', " ");
    }
    let mut out = String::new();
    let mut at = 0;
    for &(start, end) in ranges {
        if let (Some(before), Some(marked)) = (text.get(at..start), text.get(start..end)) {
            out.push_str(before);
            out.push_str(&format!("\x1b[1;33m{marked}\x1b[0m"));
            at = end;
        }
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out.replace('\n', " ")
}
