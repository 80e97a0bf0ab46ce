//! Speed as ratios, which hold on any machine: `cargo bench --bench path`.
//!
//! In: the written days of the demo. Out: three lines, each the least, middle and greatest of several rounds: the whole path
//! of a mention (door, reading, topic, rules, index) against jieba-rs alone on the same texts, and topic and rules, and
//! assessing, against parting the text into words. Our own work is on one thread, the index engine has threads of its own; one stage after the other in each round, so that a
//! machine that grows slower does so for both sides of a ratio.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant as Stopwatch;
use yuqing::index::Writer;
use yuqing::ledger::{Position, Positions};
use yuqing::mention::Mention;
use yuqing::mention::read::{Door, read};
use yuqing::rule::watch::Watch;
use yuqing::run::day::Day;
use yuqing::run::tables;
use yuqing::settings::read_dictionaries;
use yuqing::text::segment_line;

/// Rounds that count; one more goes before them.
const ROUNDS: u64 = 7;
/// Mentions of a round.
const MENTIONS: usize = 10_000;
/// Bytes for the index, as the settings of one machine have it.
const INDEX_MEMORY: usize = 256 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let faults = |faults: Vec<_>| faults.iter().map(ToString::to_string).collect::<Vec<String>>().join("\n");
    let sources =
        read_dictionaries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("dictionaries"), true).map_err(faults)?;
    let tables = tables::load(&sources).map_err(faults)?;
    let door =
        Door { platforms: &tables.door.platforms, accounts: &tables.door.accounts, now: None, salt: Some(&[7; 32]) };
    let folder = tempfile::tempdir()?;
    let mut index = Writer::open(folder.path(), INDEX_MEMORY)?;
    let mut watch = Watch::new(tables.rules);
    let mut next = Position { stream: "intake".to_owned(), partition: 0, offset: 0 };
    let (mut whole, mut fold, mut assess) = (Vec::new(), Vec::new(), Vec::new());
    segment_line("");
    for round in 0..=ROUNDS {
        let lines: Vec<String> = Day::write(round + 1, MENTIONS).posts.into_iter().map(|post| post.json).collect();
        let mut mentions: Vec<Mention> = Vec::with_capacity(lines.len());
        let door = lap(|| mentions.extend(lines.iter().filter_map(|line| read(line.as_bytes(), 1, &door).ok())));
        let jieba = lap(|| mentions.iter().for_each(|mention| drop(black_box(segment_line(&mention.text)))));
        let mut parted = Vec::with_capacity(mentions.len());
        let text = lap(|| parted.extend(mentions.iter().map(|mention| tables.reader.part(mention))));
        let mut readings = Vec::with_capacity(mentions.len());
        let said = mentions.iter().zip(parted);
        let assessing = lap(|| readings.extend(said.map(|(mention, parted)| tables.reader.assess(mention, parted))));
        let mut topics = Vec::with_capacity(mentions.len());
        let read = mentions.iter().zip(&readings);
        let folding = lap(|| topics.extend(read.map(|(mention, reading)| watch.take(mention, reading).topic)));
        let started = Stopwatch::now();
        for ((mention, reading), topic) in mentions.iter().zip(&readings).zip(&topics) {
            index.add(&next, mention, reading, *topic)?;
            next.offset += 1;
        }
        index.commit(&Positions::from(vec![next.clone()]))?;
        let indexing = started.elapsed().as_secs_f64();
        if round > 0 {
            whole.push((door + text + assessing + folding + indexing) / jieba);
            fold.push(folding / text);
            assess.push(assessing / text);
        }
    }
    tell("whole path / jieba-rs", whole);
    tell("topic and rules / text", fold);
    tell("assess / text", assess);
    Ok(())
}

fn lap(work: impl FnOnce()) -> f64 {
    let started = Stopwatch::now();
    work();
    started.elapsed().as_secs_f64()
}

fn tell(name: &str, mut ratios: Vec<f64>) {
    ratios.sort_by(f64::total_cmp);
    if let (Some(least), Some(most)) = (ratios.first(), ratios.last()) {
        println!("{name:24} {least:6.2} {:6.2} {most:6.2}", ratios[ratios.len() / 2]);
    }
}
