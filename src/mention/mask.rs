//! Masking at the door (public-trust rule 4): what names or reaches a private person is replaced by a placeholder
//! before anything is stored. In: a text as collected. Out: the text with `[手机号]`, `[证件号]`, `[车牌]`, `[门牌号]`,
//! `[邮箱]`, `[银行卡]`, `[微信号]` and `[姓名]` in their places. Numbers of offices (12345, 110) stay.
//!
//! Ordinary posts have no trigger and pay one pass over their bytes; masking a masked text changes nothing.

use super::numbers;
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Passes until nothing changes any more: one placeholder may bare the edge of the next number, which happens a few
/// times in a hostile text and never in an honest one.
const PASSES: usize = 16;

const SURNAMES: &str = "王李张刘陈杨黄赵吴周徐孙胡朱郭何林罗郑梁谢宋唐许韩邓冯曹彭曾肖萧董潘袁蔡蒋余杜叶程魏苏吕丁沈姚卢傅钟姜崔谭廖范汪陆金贾韦夏邱侯邹熊孟秦白毛闫阎段雷黎史陶贺龚邵郝顾涂万喻洪欧";
/// Words after which a private person's name may follow.
const ROLES: &str =
    "老板|医生|老师|司机|护士|店主|师傅|学生|孩子|男孩|女孩|儿子|女儿|小朋友|同学|男童|女童|姓名|联系人|求助人|家属";
/// Second characters after which it is no name (`老师说`, `医生的`).
const NOT_GIVEN: &str =
    "的了说是在不就都也很有要会把被去来没个们这那我你他她它和与及吗呢吧啊呀哦么还又再才只从对向给跟让叫于";
/// Third characters that begin the next word after a name of two.
const AFTER_NAME: &str =
    "的了说是在不就都也很有要会把被去来没和与及对向从给跟让打骂收开卖涉将已因曾等电家同拒酒虐跑逃联男女";
/// Words that begin like a name.
const WORDS: &[&str] = &[
    "何时", "何况", "何必", "何以", "何处", "何种", "何为", "曾经", "曾在", "余下", "程度", "程序", "许多", "许久",
    "许可", "许诺", "周末", "周围", "周边", "周日", "周一", "周二", "周三", "周四", "周五", "周六", "周年", "周岁",
    "金额", "金钱", "夏天", "夏季", "白天", "白白", "白色", "毛病", "雷雨", "段时", "顾客", "顾不", "孙子", "孙女",
    "胡说", "胡乱", "陈述", "林业", "陆续", "苏醒", "沈阳", "郑州", "郑重", "徐州", "张口", "张嘴", "张贴", "谢谢",
    "谢绝", "黄了", "黄色", "黄牛", "黄金", "万一", "万万", "万元", "史上", "史无", "侯在", "肖像", "朱红", "洪水",
    "洪涝", "洪都", "洪城", "熊孩", "欧洲", "叶子", "梁上", "宋朝", "唐朝", "汪洋", "金融", "白血", "程师", "杨梅",
    "贺卡", "罗列", "范围", "范本", "钟头", "钟点", "丁点", "吴城", "顾虑", "陶瓷", "涂改", "涂抹",
];

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern that the tests compile")
}

static ROLE: LazyLock<Regex> = LazyLock::new(|| regex(ROLES));
/// A word of a door or a role: one look at a text that has neither, as most.
static HINT: LazyLock<Regex> = LazyLock::new(|| regex(&format!("{}|{ROLES}", DOOR_WORDS.join("|"))));
static EMAIL: LazyLock<Regex> =
    LazyLock::new(|| regex(r"[A-Za-z0-9._%+\-]+\s?[@＠]\s?[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+"));
static PLATE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Za-hj-np-z][·•.\- ]?[A-HJ-NP-Za-hj-np-z0-9]{5,6}",
    )
});
static WECHAT: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?i)((?:(?:微信|威信|薇信)[ ]*(?:号码|号|id)?[ ]*(?:是|为)?[ ]*[:：=]?[ ]*",
        r"|(?-u:\b)(?:vx|wx|v信|v)(?:号|id)?(?:[ ]*[:：=是][ ]*|[ ]+)|加v[ ]*[:：=]?[ ]*))([a-z0-9][a-z0-9_\-]{5,19})"
    ))
});
static DOOR: LazyLock<Regex> = LazyLock::new(|| {
    const N: &str = "[0-9０-９一二三四五六七八九十]";
    regex(&format!(
        "{N}{{1,3}}(?:号楼|栋|幢){N}{{0,2}}(?P<unit>单元)?(?P<flat>[0-9０-９]{{2,4}})(?P<end>室|号|房)?\
         |(?:{N}{{1,3}}(?:号楼|栋|幢))?(?:{N}{{1,3}}单元)?[一二三四五六七八九十零〇]{{3,4}}(?:室|房)\
         |{N}{{1,3}}单元[0-9０-９]{{2,4}}(?:室|号|房)?"
    ))
});
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        "({ROLES})((?:名叫|叫做|叫|姓名|名字是|名字叫)?[ :：]?)\
         ([{SURNAMES}]\\p{{Han}}{{1,2}})"
    ))
});
static AGED: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!("([{SURNAMES}]\\p{{Han}}{{1,2}})([（(，,、 ]{{1,2}}[男女][，,、 ]{{0,2}}[0-9]{{1,2}}岁)"))
});

const DIGIT: u8 = 1;
const AT: u8 = 2;
const LATIN: u8 = 4;
const VX: u8 = 8;
/// What a door number cannot do without.
const DOOR_WORDS: [&str; 4] = ["栋", "幢", "号楼", "单元"];

/// What each byte may begin: a table, so that the pre-check is one load a byte.
const CLASS: [u8; 256] = {
    let mut class = [0u8; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        class[at] = match byte {
            b'0'..=b'9' => DIGIT,
            b'@' => AT,
            b'v' | b'V' | b'w' | b'W' => LATIN | VX,
            b'a'..=b'z' | b'A'..=b'Z' => LATIN,
            _ => 0,
        };
        at += 1;
    }
    class
};

/// The text without what names or reaches a private person.
pub fn mask(text: &str) -> String {
    let mut masked = Cow::Borrowed(text);
    for _ in 0..PASSES {
        match pass(&masked) {
            Some(next) if next != *masked => masked = Cow::Owned(next),
            _ => break,
        }
    }
    masked.into_owned()
}

/// One pass; `None` where nothing in the text could need it. Each pattern runs only over texts that hold what it
/// cannot do without.
fn pass(text: &str) -> Option<String> {
    let found = text.bytes().fold(0, |all, byte| all | CLASS[byte as usize]);
    let wide = text.contains(numbers::is_wide);
    let digits = found & DIGIT != 0 || wide;
    let hint = HINT.is_match(text);
    let door = hint && DOOR_WORDS.iter().any(|word| text.contains(word));
    let role = hint && ROLE.is_match(text);
    if found == 0 && !digits && !door && !role {
        return None;
    }
    let mut out = Cow::Borrowed(text);
    if found & AT != 0 || text.contains('＠') {
        replace(&mut out, &EMAIL, |_| Some("[邮箱]".into()));
    }
    if found & VX != 0 || found != 0 && ["微信", "威信", "薇信"].iter().any(|word| text.contains(word)) {
        replace(&mut out, &WECHAT, |found| Some(format!("{}[微信号]", &found[1])));
    }
    if digits && found & LATIN != 0 {
        replace(&mut out, &PLATE, |_| Some("[车牌]".into()));
    }
    let enough = || wide || text.bytes().filter(u8::is_ascii_digit).count() >= numbers::SHORTEST;
    if digits
        && enough()
        && let Some(next) = numbers::mask(&out)
    {
        out = Cow::Owned(next);
    }
    if door {
        doors(&mut out);
    }
    if role {
        names(&mut out);
    }
    if digits && text.contains('岁') {
        replace(&mut out, &AGED, |found| Some(format!("[姓名]{}", &found[2])));
    }
    Some(out.into_owned())
}

/// Replaces every match for which `by` gives something.
fn replace(text: &mut Cow<'_, str>, pattern: &Regex, by: impl Fn(&Captures<'_>) -> Option<String>) {
    if !pattern.is_match(text) {
        return;
    }
    let next = pattern.replace_all(text, |found: &Captures<'_>| by(found).unwrap_or_else(|| found[0].to_owned()));
    *text = Cow::Owned(next.into_owned());
}

/// Doors down to the flat; `3栋20人被困` is a number of people and stays.
fn doors(text: &mut Cow<'_, str>) {
    if !DOOR.is_match(text) {
        return;
    }
    let whole = text.clone().into_owned();
    replace(text, &DOOR, |found| {
        let end = found.get(0).map_or(0, |whole| whole.end());
        let next = whole[end..].chars().next().unwrap_or(' ');
        let named = found[0].ends_with(['室', '号', '房']);
        if !named && "楼层m㎡".contains(next) {
            return None;
        }
        let bare = found.name("flat").is_some() && found.name("unit").is_none() && found.name("end").is_none();
        if bare && "人名位户家个层多余年月日米辆台万元斤吨只岁分点时间余".contains(next) {
            return None;
        }
        Some("[门牌号]".into())
    });
}

/// Names after a role; the role stays.
fn names(text: &mut Cow<'_, str>) {
    replace(text, &NAMED, |found| {
        let name: Vec<char> = found[3].chars().collect();
        let given = *name.get(1)?;
        let word: String = name.iter().take(2).collect();
        if NOT_GIVEN.contains(given) || WORDS.contains(&word.as_str()) {
            return None;
        }
        let rest: String = match name.get(2) {
            Some(third) if AFTER_NAME.contains(*third) || given == '某' && *third != '某' => third.to_string(),
            _ => String::new(),
        };
        Some(format!("{}{}[姓名]{rest}", &found[1], &found[2]))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn masks_what_reaches_a_person_and_keeps_the_rest() {
        for (text, masked) in [
            ("有事打13812345678找我", "有事打[手机号]找我"),
            ("电话138-1234-5678,谢谢", "电话[手机号],谢谢"),
            ("１３８１２３４５６７８", "[手机号]"),
            ("+8613812345678", "+[手机号]"),
            ("身份证36010219900101123X请查", "身份证[证件号]请查"),
            ("车牌赣A12345闯红灯", "车牌[车牌]闯红灯"),
            ("赣A·D12345", "[车牌]"),
            ("住在幸福小区3栋2单元501室", "住在幸福小区[门牌号]"),
            ("5栋30人被困", "5栋30人被困"),
            ("9栋2单元电梯坏了", "9栋2单元电梯坏了"),
            ("熊孩子打闹", "熊孩子打闹"),
            ("写信到someone@example.com吧", "写信到[邮箱]吧"),
            ("卡号6222 0212 3456 7895", "卡号6222 0212 3456 7895"),
            ("卡号4111 1111 1111 1111", "卡号[银行卡]"),
            ("加微信:abc_12345详谈", "加微信:[微信号]详谈"),
            ("vx abc12345", "vx [微信号]"),
            ("老板张某跑了", "老板[姓名]跑了"),
            ("老师王明打人", "老师[姓名]打人"),
            ("老师说周末补课", "老师说周末补课"),
            ("司机马上停车", "司机马上停车"),
            ("孩子周末发烧", "孩子周末发烧"),
            ("儿子叫李小花,走丢了", "儿子叫[姓名],走丢了"),
            ("王小明(男,8岁)走失", "[姓名](男,8岁)走失"),
            ("拨打12345,110,0791-12345", "拨打12345,110,0791-12345"),
            ("2026-10-01 18:00 水位22.50米", "2026-10-01 18:00 水位22.50米"),
            ("", ""),
        ] {
            assert_eq!(mask(text), masked, "{text}");
            assert_eq!(mask(masked), masked, "again: {text}");
        }
    }

    proptest! {
        #[test]
        fn no_number_survives(
            before in "[a-z 水孩子老师,。]{0,6}",
            phone in "1[3-9][0-9]{9}",
            plate in "[赣京沪][A-H][0-9]{5}",
            after in "[水 ,。淹了]{0,6}",
            year in 1950u32..2020,
            tail in 1000u32..9999,
        ) {
            let id = format!("360102{year}0715{tail}");
            let mail = format!("a{tail}@mail.example.com");
            let text = format!("{before},{phone}{after},{plate},{after}身份证{id},{mail} {before}");
            let masked = mask(&text);
            for secret in [&phone, &plate, &id, &mail] {
                prop_assert!(!masked.contains(secret.as_str()), "{} in {}", secret, masked);
            }
        }

        #[test]
        fn masking_twice_changes_nothing(text in "[0-9一二三栋单元室号 \\-@.a-cVvx微信:赣A老师王\\[\\]]{0,80}") {
            let once = mask(&text);
            prop_assert_eq!(mask(&once), once);
        }

        #[test]
        fn never_panics(text in "\\PC{0,200}") {
            mask(&text);
        }
    }
}
