//! Refuses searches for people (public-trust rules 2 and 22): by author, handle, phone, identity number, plate or
//! e-mail. In: a field's name or the words of a query; out: why not, in words that say what to do instead.

use regex::Regex;
use std::sync::LazyLock;
use unicode_normalization::UnicodeNormalization as _;

/// Fields that would lead to a person; none of them exists in the index.
const PERSONAL: &[&str] = &[
    "author",
    "source",
    "user",
    "username",
    "handle",
    "nick",
    "nickname",
    "name",
    "account",
    "uid",
    "phone",
    "mobile",
    "tel",
    "email",
    "mail",
    "idcard",
    "plate",
    "作者",
    "用户",
    "昵称",
    "账号",
    "姓名",
    "电话",
    "手机",
    "车牌",
    "身份证",
];

/// Why a field may not be asked for, if it leads to a person.
pub fn field(name: &str) -> Option<String> {
    let name = name.to_lowercase();
    PERSONAL.contains(&name.as_str()).then(|| {
        format!("{name}: searches are about events, never about who wrote; ask for words, place, class, unit or topic")
    })
}

/// What is looked for, and what it looks like. Digits may be grouped by single spaces or hyphens.
static PATTERNS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    let table = [
        ("a mobile number", r"(?:^|[^0-9])(?:\+?86[ -]?)?1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}(?:[^0-9]|$)"),
        ("a telephone number", r"(?:^|[^0-9])0[1-9][0-9]{1,2}[ -]?[2-9][0-9]{6,7}(?:[^0-9]|$)"),
        ("an identity number", r"(?:^|[^0-9])[1-9](?: ?[0-9]){16} ?[0-9Xx](?:[^0-9]|$)"),
        ("an identity number", r"(?:^|[^0-9])[1-9][0-9]{14}(?:[^0-9]|$)"),
        ("a card number", r"(?:^|[^0-9])[1-9][0-9]{3}(?: ?[0-9]{4}){3}(?: ?[0-9]{1,3})?(?:[^0-9]|$)"),
        (
            "a number plate",
            r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使领] ?[A-Za-z] ?[·•.・-]? ?[A-Za-z0-9]{4,5}[A-Za-z0-9挂学警港澳]",
        ),
        ("an e-mail address", r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"),
        ("an account", r"(?:^|\s)@\S"),
    ];
    table.into_iter().map(|(what, pattern)| (what, Regex::new(pattern).expect("the patterns are constants"))).collect()
});

/// Why these words may not be searched for, if they name a person's number or address.
pub fn words(text: &str) -> Option<String> {
    let plain: String = text.nfkc().collect();
    PATTERNS.iter().find(|(_, pattern)| pattern.is_match(&plain)).map(|(what, _)| {
        format!("this looks like {what}: searches are about events, never about one person; leave it out")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_people_are_refused_and_numbers_of_events_are_not() {
        for text in [
            "13800138000",
            "138 0013 8000",
            "138-0013-8000",
            "１３８００１３８０００",
            "+86 13800138000",
            "0791-88881234",
            "360102199003071234",
            "36010219900307123X",
            "6222 0212 3456 7890",
            "赣A12345",
            "赣A·D12345",
            "zhang.san@example.com",
            "@somebody",
        ] {
            assert!(words(text).is_some(), "{text} must be refused");
        }
        for text in ["2026-10-01 2026-10-02", "12345", "G60", "5000元", "A座 3号线", "110 119 120", "赣江 水位 23.5"]
        {
            assert_eq!(words(text), None, "{text} must pass");
        }
        assert!(field("Author").is_some());
        assert!(field("platform").is_none());
    }
}
