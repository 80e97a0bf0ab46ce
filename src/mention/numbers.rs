//! Numbers that name or reach a person: mobile phones, identity cards, bank cards. In: a text. Out: the text with the
//! placeholders, or nothing where no number was found. Full-width digits and grouping by one space or hyphen count.

/// Groups of digits looked at together: a bank card has five.
const GROUPS: usize = 6;
/// Digits of the shortest number masked here.
pub(super) const SHORTEST: usize = 11;
/// Digits of the longest number masked here.
const LONGEST: usize = 19;

/// A full-width digit.
pub(super) fn is_wide(c: char) -> bool {
    ('０'..='９').contains(&c)
}

fn digit(c: char) -> Option<u8> {
    match c {
        '0'..='9' => Some(c as u8),
        _ if is_wide(c) => Some(b'0' + (c as u32 - '０' as u32) as u8),
        _ => None,
    }
}

/// One unbroken group of digits.
struct Group {
    start: usize,
    end: usize,
    digits: Vec<u8>,
    /// Joined to the group before by one space or hyphen.
    joined: bool,
}

fn groups(text: &str) -> Vec<Group> {
    let mut all: Vec<Group> = Vec::new();
    let mut open = false;
    for (at, c) in text.char_indices() {
        let Some(value) = digit(c) else {
            open = false;
            continue;
        };
        if !open {
            let joined = all.last().is_some_and(|last| matches!(&text[last.end..at], " " | "-" | "－"));
            all.push(Group { start: at, end: at, digits: Vec::new(), joined });
            open = true;
        }
        if let Some(group) = all.last_mut() {
            group.digits.push(value);
            group.end = at + c.len_utf8();
        }
    }
    all
}

/// Replaces the numbers; `None` where there was none.
pub(super) fn mask(text: &str) -> Option<String> {
    let all = groups(text);
    let mut out = String::new();
    let mut done = 0;
    let mut at = 0;
    while at < all.len() {
        let Some((last, end, name)) = longest(text, &all, at) else {
            at += 1;
            continue;
        };
        out.push_str(&text[done..all[at].start]);
        out.push_str(name);
        done = end;
        at = last + 1;
    }
    if done == 0 {
        return None;
    }
    out.push_str(&text[done..]);
    Some(out)
}

/// The longest number that begins with group `first`: its last group, its end and its placeholder.
fn longest(text: &str, all: &[Group], first: usize) -> Option<(usize, usize, &'static str)> {
    let mut digits: Vec<u8> = Vec::new();
    let mut best = None;
    for (count, group) in all[first..].iter().enumerate().take(GROUPS) {
        if count > 0 && !group.joined || digits.len() + group.digits.len() > LONGEST {
            break;
        }
        digits.extend(&group.digits);
        if count > 0 && all[first].digits.len() < 2 {
            break;
        }
        let tail = text[group.end..].chars().next().filter(|c| matches!(c, 'X' | 'x' | 'Ｘ' | 'ｘ'));
        if let (Some(x), true) = (tail, digits.len() == 17 && is_id(&digits)) {
            best = Some((first + count, group.end + x.len_utf8(), "[证件号]"));
        } else if let Some(name) = name(&digits, &all[first..=first + count]) {
            best = Some((first + count, group.end, name));
        }
    }
    best
}

/// The placeholder of a whole number.
fn name(digits: &[u8], groups: &[Group]) -> Option<&'static str> {
    let shape_of_phone = groups.len() == 1 || groups[0].digits.len() >= 2 && groups.len() <= 4;
    match digits.len() {
        11 if is_phone(digits) && (groups.len() == 1 || groups[0].digits.len() >= 3) => Some("[手机号]"),
        13 if digits.starts_with(b"86") && is_phone(&digits[2..]) && shape_of_phone => Some("[手机号]"),
        15 if digits.starts_with(b"0086") && is_phone(&digits[4..]) => Some("[手机号]"),
        15 if is_old_id(digits) && groups.len() == 1 => Some("[证件号]"),
        18 if is_id(digits) => Some("[证件号]"),
        16..=19 if luhn(digits) && matches!(digits[0], b'3'..=b'6' | b'9') => Some("[银行卡]"),
        _ => None,
    }
}

fn is_phone(digits: &[u8]) -> bool {
    digits.len() == 11 && digits[0] == b'1' && (b'3'..=b'9').contains(&digits[1])
}

fn two(digits: &[u8], at: usize) -> u32 {
    u32::from(digits[at] - b'0') * 10 + u32::from(digits[at + 1] - b'0')
}

/// The first 17 digits of an identity number: region, birthday, serial.
fn is_id(digits: &[u8]) -> bool {
    digits.len() >= 17
        && digits[0] != b'0'
        && matches!(two(digits, 6), 19 | 20)
        && (1..=12).contains(&two(digits, 10))
        && (1..=31).contains(&two(digits, 12))
}

/// The identity number of 15 digits in use until 2013.
fn is_old_id(digits: &[u8]) -> bool {
    (b'1'..=b'8').contains(&digits[0]) && (1..=12).contains(&two(digits, 8)) && (1..=31).contains(&two(digits, 10))
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let value = u32::from(digit - b'0') * if at % 2 == 1 { 2 } else { 1 };
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_count() {
        assert_eq!(mask("13812345678").as_deref(), Some("[手机号]"));
        assert_eq!(mask("138123456789"), None, "twelve digits are no phone");
        assert_eq!(mask("360102 19900101 1234").as_deref(), Some("[证件号]"));
        assert_eq!(mask("360102199013011234"), None, "month 13");
        assert_eq!(mask("4111111111111111和4111111111111112").as_deref(), Some("[银行卡]和4111111111111112"));
        assert_eq!(mask("13812345678 13912345678").as_deref(), Some("[手机号] [手机号]"));
    }
}
