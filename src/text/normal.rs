//! Normalising for matching (taxonomy 3.6). In: a masked text. Out: a [`Normal`] with the way back to its bytes.
//! Its purpose is to understand people who write in a hurry; it makes no signal about them.

use super::Normal;
use regex::Regex;
use std::sync::LazyLock;
use unicode_normalization::UnicodeNormalization;

const HAN_FIRST: u32 = 0x4E00;
const HAN_LAST: u32 = 0x9FFF;

/// Traditional to Simplified, by character.
static SIMPLE: LazyLock<Vec<char>> = LazyLock::new(|| {
    let all: String = (HAN_FIRST..=HAN_LAST).filter_map(char::from_u32).flat_map(|c| [c, '\n']).collect();
    let made: Vec<char> = fast2s::convert(&all).chars().filter(|c| *c != '\n').collect();
    if made.len() == (HAN_LAST - HAN_FIRST + 1) as usize { made } else { all.chars().filter(|c| *c != '\n').collect() }
});

/// Whether a character is a common Han character.
pub fn is_han(c: char) -> bool {
    (HAN_FIRST..=HAN_LAST).contains(&(c as u32))
}

/// Whether a character is a letter, digit or Han character; the common ones are told without a table.
pub fn is_bare(c: char) -> bool {
    is_han(c) || (c.is_ascii() && c.is_ascii_alphanumeric()) || (!c.is_ascii() && c.is_alphanumeric())
}

fn emoji(c: char) -> Option<&'static str> {
    Some(match c {
        '🔥' => "火",
        '💥' => "爆炸",
        '🌊' => "水",
        '⚡' => "电",
        '🚒' => "消防",
        '🚑' => "救护",
        '🆘' => "求救",
        _ => return None,
    })
}

fn invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{00AD}' | '\u{034F}' | '\u{20E3}')
}

fn separator(c: char) -> bool {
    matches!(c, ' ' | '·' | '.' | '-' | '_' | '|' | '。' | '•')
}

/// Normalises without a homophone table.
pub fn normalise(text: &str) -> Normal {
    let mut out = Normal {
        text: String::with_capacity(text.len()),
        map: Vec::with_capacity(text.len() + 1),
        original_len: text.len(),
    };
    let mut spaced = false;
    let mut before = [' '; 2];
    for (at, c) in text.char_indices() {
        if c.is_ascii() {
            put(&mut out, c.to_ascii_lowercase(), at);
        } else if is_han(c) {
            put(&mut out, SIMPLE[(c as u32 - HAN_FIRST) as usize], at);
            spaced |= separator(before[1]) && is_han(before[0]);
        } else if matches!(
            c,
            '，' | '。' | '！' | '？' | '；' | '：' | '、' | '“' | '”' | '【' | '】' | '《' | '》' | '…'
        ) {
            put(&mut out, c, at);
        } else if invisible(c) {
            continue;
        } else if let Some(word) = emoji(c) {
            word.chars().for_each(|c| put(&mut out, c, at));
        } else {
            for made in std::iter::once(c).nfkc().flat_map(char::to_lowercase) {
                let made = if is_han(made) { SIMPLE[(made as u32 - HAN_FIRST) as usize] } else { made };
                put(&mut out, made, at);
            }
        }
        before = [before[1], c];
    }
    out.map.push(text.len() as u32);
    if spaced { close_up(&out) } else { out }
}

fn put(out: &mut Normal, c: char, at: usize) {
    out.text.push(c);
    let at = at as u32;
    // Nearly every character has three bytes or one.
    match c.len_utf8() {
        1 => out.map.push(at),
        3 => out.map.extend_from_slice(&[at; 3]),
        bytes => out.map.extend(std::iter::repeat_n(at, bytes)),
    }
}

/// Drops single separators in runs of single Han characters: 红 谷 滩 着 火 了.
fn close_up(from: &Normal) -> Normal {
    let chars: Vec<(usize, char)> = from.text.char_indices().collect();
    let at = |i: isize| usize::try_from(i).ok().and_then(|i| chars.get(i)).map_or('\0', |c| c.1);
    let parted = |i: isize| separator(at(i)) && is_han(at(i - 1)) && is_han(at(i + 1));
    let mut out = Normal {
        text: String::with_capacity(from.text.len()),
        map: Vec::with_capacity(from.map.len()),
        original_len: from.original_len,
    };
    for (i, &(byte, c)) in chars.iter().enumerate() {
        let i = i as isize;
        if parted(i) && (parted(i - 2) || parted(i + 2)) {
            continue;
        }
        put(&mut out, c, from.map[byte] as usize);
    }
    out.map.push(from.original_len as u32);
    out
}

/// Normalises with a homophone table for words of hazards and services.
#[derive(Clone, Debug, Default)]
pub struct Normaliser {
    homophones: Vec<(String, String)>,
    /// Any of the wrong words: most texts hold none and are asked once.
    any: Option<Regex>,
}

impl Normaliser {
    /// Takes the pairs wrong, right.
    pub fn new(homophones: &[(String, String)]) -> Normaliser {
        let wrong: Vec<String> = homophones.iter().map(|(wrong, _)| regex::escape(wrong)).collect();
        // Escaped words always compile; should they grow too many for one pattern, each is looked for by itself.
        let any = if wrong.is_empty() { None } else { Regex::new(&wrong.join("|")).ok() };
        Normaliser { homophones: homophones.to_vec(), any }
    }

    /// Normalises one text.
    pub fn normalise(&self, text: &str) -> Normal {
        let mut normal = normalise(text);
        if self.any.as_ref().is_some_and(|any| !any.is_match(&normal.text)) {
            return normal;
        }
        for (wrong, right) in &self.homophones {
            if normal.text.contains(wrong.as_str()) {
                normal = replace(&normal, wrong, right);
            }
        }
        normal
    }
}

fn replace(from: &Normal, wrong: &str, right: &str) -> Normal {
    let mut out = Normal {
        text: String::with_capacity(from.text.len()),
        map: Vec::with_capacity(from.map.len()),
        original_len: from.original_len,
    };
    let mut done = 0;
    for (start, _) in from.text.match_indices(wrong) {
        out.text.push_str(&from.text[done..start]);
        out.map.extend_from_slice(&from.map[done..start]);
        for (nth, c) in right.chars().enumerate() {
            let byte = wrong.char_indices().nth(nth).map_or(0, |(byte, _)| byte);
            put(&mut out, c, from.map[start + byte] as usize);
        }
        done = start + wrong.len();
    }
    out.text.push_str(&from.text[done..]);
    out.map.extend_from_slice(&from.map[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> String {
        Normaliser::new(&[("着伙".into(), "着火".into()), ("著火".into(), "着火".into())]).normalise(text).text
    }

    #[test]
    fn variants_of_a_hurry_read_alike() {
        assert_eq!(all("紅谷灘萬達廣場著火了"), "红谷滩万达广场着火了");
        assert_eq!(all("红 谷 滩 着 火 了"), "红谷滩着火了");
        assert_eq!(all("紅谷灘着·火·了"), "红谷滩着火了");
        assert_eq!(all("红谷滩着伙了快打１１９"), "红谷滩着火了快打119");
        assert_eq!(all("红谷滩着\u{200b}火了"), "红谷滩着火了");
        assert_eq!(all("红谷滩🔥🔥冒黑烟"), "红谷滩火火冒黑烟");
    }

    #[test]
    fn one_separator_between_sentences_stays() {
        assert_eq!(all("到家了。好累 晚安"), "到家了。好累 晚安");
    }

    #[test]
    fn offsets_lead_back() {
        let text = "Ａ🔥 着\u{200b}伙了";
        let normal = Normaliser::new(&[("着伙".into(), "着火".into())]).normalise(text);
        let start = normal.text.find("着火").expect("the table mends it");
        let (from, to) = normal.origin(start, start + "着火".len());
        assert_eq!(&text[from..to], "着\u{200b}伙");
        assert_eq!(normal.map.len(), normal.text.len() + 1);
    }
}
