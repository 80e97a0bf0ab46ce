//! `yuqing assess` and `yuqing segment`: what texts say, without keeping anything.

use crate::assess::{Assessment, Level};
use crate::intake::IntakeConfig;
use crate::mention::{Kind, Mention, mask, read};
use crate::run::{app, lines, say, say_refused, settings, tables};
use crate::settings::Overrides;
use crate::time::Instant;
use anyhow::{Context, anyhow};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Options of `yuqing assess`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  yuqing assess mentions.jsonl.zst\n  echo '红谷滩着火了' | yuqing assess --text -")]
pub struct Options {
    /// Each line is a bare text, not a record
    #[arg(long)]
    pub text: bool,
    /// Files of mentions (.jsonl, .zst, .gz), or `-`
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

/// Exit code 0; refused records are told and counted.
pub fn run(files: &[PathBuf], overrides: &Overrides, options: &Options, json: bool) -> anyhow::Result<u8> {
    let settings = settings(files, overrides)?;
    let tables = tables::load(&settings.sources).map_err(|faults| anyhow!("{}", app::join(&faults)))?;
    for path in &options.files {
        lines(path, &mut |_| {}, &mut |number, line| {
            let mention =
                if options.text { line.map(|line| bare(number, line)) } else { record(&tables.door, number, line) };
            match mention {
                Ok(mention) => tell(&mention, &tables.reader.read(&mention).assessment, json),
                Err(refused) if json => say_refused(&refused),
                Err(refused) => eprintln!("line {}: {} ({})", refused.line, refused.code.name(), refused.detail),
            }
            Ok(())
        })?;
    }
    Ok(0)
}

/// One line of a file as a mention, at its own time.
pub fn record(
    door: &IntakeConfig,
    number: u64,
    line: Result<&[u8], crate::mention::Refused>,
) -> Result<Mention, crate::mention::Refused> {
    let line = line?;
    let door = read::Door { platforms: &door.platforms, accounts: &door.accounts, now: None, salt: Some(&[0; 32]) };
    read::read(line, number, &door).map_err(|refusal| refusal.refused)
}

fn bare(number: u64, line: &[u8]) -> Mention {
    let at = Instant::default();
    Mention {
        id: format!("line:{number}"),
        platform: "text".to_owned(),
        kind: Kind::Post,
        text: mask::mask(String::from_utf8_lossy(line).trim()),
        summary: None,
        created_at: at,
        collected_at: at,
        url: None,
        source: None,
        official: None,
        parent: None,
        to: Vec::new(),
        counts: Default::default(),
        listing: None,
        place: None,
        media: Vec::new(),
    }
}

fn tell(mention: &Mention, assessment: &Assessment, json: bool) {
    if json {
        let mut line = serde_json::to_value(assessment).unwrap_or_default();
        line["type"] = "assessment".into();
        return say(&line);
    }
    let classes: Vec<String> =
        assessment.classes.iter().map(|one| format!("{:?} {:.2}", one.class, one.weight)).collect();
    let mark = if assessment.level >= Level::L3 { "!" } else { " " };
    println!("{mark}{:?}  {:?}  {}  {}", assessment.level, assessment.what, classes.join("、"), mention.text);
    println!(
        "    place {:?} {}",
        assessment.place.verdict,
        assessment.place.township.as_deref().or(assessment.place.district.as_deref()).unwrap_or("-")
    );
    for cause in &assessment.causes {
        println!("    {:<8} {:+.2}  {} ({})", cause.part, cause.weight, cause.words, cause.rule);
    }
}

/// `yuqing segment FILE`: each line cut into words, a space between them.
pub fn segment(path: &Path) -> anyhow::Result<u8> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::BufRead::split(open(path)?, b'\n') {
        let line = line?;
        let text = String::from_utf8_lossy(&line);
        writeln!(out, "{}", crate::text::segment_line(text.trim_end_matches('\r')).join(" "))?;
    }
    out.flush()?;
    Ok(0)
}

fn open(path: &Path) -> anyhow::Result<Box<dyn std::io::BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::BufReader::new(std::io::stdin())));
    }
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Box::new(std::io::BufReader::new(file)))
}
