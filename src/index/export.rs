//! Hits as a file for people and programs: CSV or JSON lines. In: hits, one after the other; out: bytes, cut at a bound.
//!
//! A cell that a spreadsheet would take for a formula is given a leading apostrophe: texts come from strangers.

use super::Hit;
use crate::limits::{EXPORT_BYTES, EXPORT_ROWS};
use std::ops::ControlFlow;

/// The forms there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// RFC 4180, UTF-8, a header, every cell guarded against formulas.
    Csv,
    /// A hit a line.
    Jsonl,
}

impl Format {
    /// Reads a name.
    pub fn parse(name: &str) -> Option<Format> {
        match name {
            "csv" => Some(Format::Csv),
            "jsonl" => Some(Format::Jsonl),
            _ => None,
        }
    }

    /// The name, which is also the ending of the file.
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
        }
    }
}

/// A finished export.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Exported {
    /// The file.
    pub body: Vec<u8>,
    /// Hits in it.
    pub rows: u64,
    /// All that match; more than `rows` where the file was cut.
    pub total: u64,
}

const HEADER: &str = "id,created_at,platform,kind,level,classes,district,township,topic,text\r\n";

/// A file being written.
pub struct Sheet {
    format: Format,
    body: Vec<u8>,
    rows: u64,
}

impl Sheet {
    /// An empty one.
    pub fn new(format: Format) -> Sheet {
        let body = if format == Format::Csv { HEADER.as_bytes().to_vec() } else { Vec::new() };
        Sheet { format, body, rows: 0 }
    }

    /// Adds a hit; breaks when there is no room for it.
    pub fn add(&mut self, hit: &Hit) -> ControlFlow<()> {
        let line = match self.format {
            Format::Csv => row(hit),
            Format::Jsonl => serde_json::to_string(hit).map(|line| line + "\n").unwrap_or_default(),
        };
        if self.rows >= EXPORT_ROWS as u64 || self.body.len() + line.len() > EXPORT_BYTES {
            return ControlFlow::Break(());
        }
        self.body.extend_from_slice(line.as_bytes());
        self.rows += 1;
        ControlFlow::Continue(())
    }

    /// The file, of so many that match.
    pub fn finish(self, total: u64) -> Exported {
        Exported { body: self.body, rows: self.rows, total }
    }
}

fn row(hit: &Hit) -> String {
    let cells = [
        hit.id.as_str(),
        &hit.created_at.to_string(),
        &hit.platform,
        &hit.kind,
        &hit.level,
        &hit.classes.join(" "),
        hit.district.as_deref().unwrap_or_default(),
        hit.township.as_deref().unwrap_or_default(),
        hit.topic.as_deref().unwrap_or_default(),
        &hit.text,
    ];
    cells.map(cell).join(",") + "\r\n"
}

/// A cell as a spreadsheet shows it and never runs it.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let guard = if formula { "'" } else { "" };
    if formula || text.contains(['"', ',', '\r', '\n']) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(text: &str) -> Hit {
        Hit {
            id: "weibo:1".into(),
            created_at: crate::time::Instant::from_millis(1_790_000_000_000),
            platform: "weibo".into(),
            kind: "post".into(),
            text: text.into(),
            highlights: Vec::new(),
            level: "L2".into(),
            classes: vec!["ND".into(), "UTIL".into()],
            district: Some("360102".into()),
            township: None,
            topic: None,
            score: 0.0,
        }
    }

    #[test]
    fn no_cell_is_a_formula_and_none_breaks_out_of_its_place() {
        for (text, cell_wanted) in [
            ("=1+1", "\"'=1+1\""),
            ("+86", "\"'+86\""),
            ("-2", "\"'-2\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\tx", "\"'\tx\""),
            ("\rx", "\"'\rx\""),
            ("说\"停水\",两天\n了", "\"说\"\"停水\"\",两天\n了\""),
            ("停水 =1", "停水 =1"),
            ("", ""),
        ] {
            assert_eq!(cell(text), cell_wanted, "{text:?}");
        }
        let mut sheet = Sheet::new(Format::Csv);
        assert!(sheet.add(&hit("=HYPERLINK(\"x\")")).is_continue());
        let done = sheet.finish(1);
        let text = String::from_utf8(done.body).expect("text");
        assert!(text.starts_with("id,created_at,"), "{text}");
        assert!(text.ends_with(",weibo,post,L2,ND UTIL,360102,,,\"'=HYPERLINK(\"\"x\"\")\"\r\n"), "{text}");
        assert_eq!((done.rows, done.total), (1, 1));
    }

    #[test]
    fn a_file_ends_at_its_bound_and_says_how_many_there_were() {
        let mut sheet = Sheet::new(Format::Jsonl);
        let long = hit(&"水".repeat(EXPORT_BYTES / 12));
        let taken = (0..10).take_while(|_| sheet.add(&long).is_continue()).count();
        let done = sheet.finish(10);
        assert!((1..10).contains(&taken) && done.body.len() <= EXPORT_BYTES, "{taken}");
        assert_eq!((done.rows, done.total), (taken as u64, 10));
        let mut sheet = Sheet::new(Format::Jsonl);
        let taken = (0..EXPORT_ROWS + 5).take_while(|_| sheet.add(&hit("水")).is_continue()).count();
        assert_eq!(taken, EXPORT_ROWS);
        let body = sheet.finish(taken as u64).body;
        let line = body.split(|byte| *byte == b'\n').next().expect("a line");
        let back: Hit = serde_json::from_slice(line).expect("a hit");
        assert_eq!(back, hit("水"));
    }
}
