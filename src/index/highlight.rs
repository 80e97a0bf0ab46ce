//! Finds a query's words in a text as it was written. In: the words as the segmenter gave them, the text, the segmenter;
//! out: byte ranges of the text, in order, not overlapping. Traditional, full-width and capital forms are found.

use std::collections::BTreeMap;

/// Ranges shown in one text: more would mark everything.
const RANGES: usize = 100;
/// Stands for what the segmenter leaves out: no word reaches across it.
const GAP: char = '\u{0}';

/// Normal forms of single characters, asked of the segmenter once each.
pub struct Folder<'a> {
    words: &'a dyn Fn(&str) -> Vec<String>,
    known: BTreeMap<char, String>,
}

impl<'a> Folder<'a> {
    /// Asks `words` for the normal form of characters.
    pub fn new(words: &'a dyn Fn(&str) -> Vec<String>) -> Folder<'a> {
        Folder { words, known: BTreeMap::new() }
    }

    /// Where the phrases (each one word or several in a row) stand in the text.
    pub fn find(&mut self, text: &str, phrases: &[Vec<String>]) -> Vec<(usize, usize)> {
        if phrases.is_empty() {
            return Vec::new();
        }
        let (folded, origin) = self.fold(text);
        let mut ranges = Vec::new();
        for phrase in phrases {
            let whole = phrase.concat();
            let before = ranges.len();
            mark(&folded, &origin, &whole, &mut ranges);
            if ranges.len() == before {
                phrase.iter().for_each(|word| mark(&folded, &origin, word, &mut ranges));
            }
        }
        ranges.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match merged.last_mut() {
                Some(last) if start < last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        merged.truncate(RANGES);
        merged
    }

    /// The normal form, and for each of its bytes the range of the character it came from.
    fn fold(&mut self, text: &str) -> (String, Vec<(usize, usize)>) {
        let mut folded = String::with_capacity(text.len());
        let mut origin = Vec::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            let before = folded.len();
            if c.is_ascii() {
                folded.push(if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { GAP });
            } else {
                let words = self.words;
                let form = self.known.entry(c).or_insert_with(|| words(c.encode_utf8(&mut [0; 4])).concat());
                if form.is_empty() {
                    folded.push(GAP);
                } else {
                    folded.push_str(form);
                }
            }
            origin.extend(std::iter::repeat_n((at, at + c.len_utf8()), folded.len() - before));
        }
        (folded, origin)
    }
}

fn mark(folded: &str, origin: &[(usize, usize)], word: &str, into: &mut Vec<(usize, usize)>) {
    if word.is_empty() {
        return;
    }
    for (start, found) in folded.match_indices(word).take(RANGES) {
        if let (Some(first), Some(last)) = (origin.get(start), origin.get(start + found.len() - 1)) {
            into.push((first.0, last.1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let fold = |c: char| match c {
            '災' => '灾',
            'Ａ' => 'a',
            c => c,
        };
        text.chars().map(fold).filter(|c| c.is_alphanumeric()).map(String::from).collect()
    }

    #[test]
    fn finds_other_forms_and_stays_on_character_borders() {
        let text = "火災！A座，Ａ座 火，灾";
        let mut folder = Folder::new(&words);
        let found = folder.find(text, &[vec!["火".into(), "灾".into()], vec!["a座".into()]]);
        let shown: Vec<&str> = found.iter().map(|(start, end)| &text[*start..*end]).collect();
        assert_eq!(shown, ["火災", "A座", "Ａ座"], "a word does not reach across a comma");
        assert!(folder.find(text, &[]).is_empty());
    }
}
