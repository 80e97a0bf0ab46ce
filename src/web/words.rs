//! Words of the console: one Chinese word a thing, as its reader knows it.

use super::View;
use crate::assess::{Class, Level, Verdict};
use crate::duty::view::{ClockState, IncidentState, IncidentView};
use crate::time::{Instant, Span};

/// Distinct sources under which lists say `<5` (public-trust rule 17).
pub(super) const FEW: u32 = 5;

pub(super) fn level(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::L4 => ("lv4", "L4 危及生命"),
        Level::L3 => ("lv3", "L3 险情持续"),
        Level::L2 => ("lv2", "L2 局部可控"),
        Level::L1 => ("lv1", "L1 个别诉求"),
        Level::L0 => ("lv0", "L0 无须处理"),
    }
}

pub(super) fn state(state: IncidentState) -> &'static str {
    match state {
        IncidentState::Raised => "待接",
        IncidentState::Acknowledged => "已接",
        IncidentState::Confirmed => "已确认",
        IncidentState::Dismissed => "不成立",
        IncidentState::Answered => "已回应",
        IncidentState::Closed => "已办结",
    }
}

/// How sure it is.
pub(super) fn sure(incident: &IncidentView) -> &'static str {
    if incident.times.confirmed.is_some() {
        "已确认"
    } else if incident.place.verdict == Verdict::Possible {
        "地点未核实"
    } else {
        "未核实"
    }
}

pub(super) fn class(class: Class) -> &'static str {
    match class {
        Class::Nd => "自然灾害",
        Class::Ad => "事故灾难",
        Class::Ph => "公共卫生",
        Class::So => "社会治安",
        Class::House => "住房与物业",
        Class::Wage => "劳动与工资",
        Class::Edu => "教育",
        Class::Med => "医疗卫生服务",
        Class::Trans => "交通出行",
        Class::Env => "生态环境与市容",
        Class::Util => "公用事业",
        Class::Cons => "消费者权益",
        Class::Food => "食品安全",
        Class::Conduct => "政务服务与作风",
    }
}

pub(super) fn clock(kind: &str) -> &str {
    match kind {
        "first_notice" => "首发",
        "platform_parity" | "parity" => "多平台一致",
        "repost" => "转发",
        "reply" => "回复",
        "feedback" => "反馈",
        "verification" => "待核实",
        "follow_up" => "续报",
        other => other,
    }
}

/// Class and word of a clock: 临近 under 60 minutes, 紧迫 under 30.
pub(super) fn clock_state(state: ClockState, left: Span) -> (&'static str, &'static str) {
    match state {
        ClockState::Met => ("ok", "已完成"),
        ClockState::Cancelled => ("", "已终止"),
        ClockState::Exempted => ("s-free", "豁免"),
        ClockState::Overdue => ("over", "超时"),
        ClockState::Running if left.0 <= 0 => ("over", "超时"),
        ClockState::Running if left < Span::minutes(30) => ("tight", "紧迫"),
        ClockState::Running if left < Span::minutes(60) => ("soon", "临近"),
        ClockState::Running => ("", "计时中"),
    }
}

pub(super) fn notice_reason(reason: &str) -> &str {
    match reason {
        "new" => "新",
        "worse" => "加重",
        "reminder" => "提醒",
        "escalation" => "升级",
        "resolved" => "解除",
        "digest" => "汇总",
        other => other,
    }
}

pub(super) fn notice_state(state: &str) -> &str {
    match state {
        "pending" => "待发",
        "retry" => "再试",
        "accepted" => "已受理",
        "refused" => "拒收",
        "misconfigured" => "配置有误",
        "unknown" => "结果不明",
        other => other,
    }
}

pub(super) fn cause_part(part: &str) -> &str {
    match part {
        "level" => "级别",
        "class" => "类",
        "noise" => "反证",
        "place" => "地点",
        "request" => "诉求",
        "claim" => "数字",
        "negation" => "否定",
        other => other,
    }
}

pub(super) fn mention_kind(kind: &str) -> &str {
    match kind {
        "post" => "原帖",
        "repost" => "转发",
        "comment" => "评论",
        "message" => "来信",
        "listing" => "热榜",
        other => other,
    }
}

/// Name for people of a code.
pub(super) fn name<'a>(view: &'a View, code: &'a str) -> &'a str {
    view.names.get(code).map_or(code, String::as_str)
}

/// Where it is, to the township.
pub(super) fn place(view: &View, incident: &IncidentView) -> String {
    let district = incident.place.district.as_deref().map(|code| name(view, code));
    let parts: Vec<&str> = district.into_iter().chain(incident.place.township.as_deref()).collect();
    match incident.place.verdict {
        _ if !parts.is_empty() => parts.join(" "),
        Verdict::Yes => "本市，区县未定".to_owned(),
        Verdict::Related => "外地，影响本市".to_owned(),
        _ => "地点未定".to_owned(),
    }
}

/// Counts under five are not told on lists.
pub(super) fn few(sources: u32) -> String {
    if sources < FEW { "来源 <5".to_owned() } else { format!("{sources} 个来源") }
}

/// `03:58`, with the day where it is another one.
pub(super) fn when(at: Instant, now: Instant) -> String {
    if at.day() == now.day() { at.hour_minute() } else { format!("{} {}", date(at), at.hour_minute()) }
}

/// `10月1日`.
pub(super) fn date(at: Instant) -> String {
    let day = at.shanghai();
    format!("{}月{}日", day.month(), day.day())
}

/// `10月1日 周四`.
pub(super) fn weekday(at: Instant) -> String {
    let name = ["一", "二", "三", "四", "五", "六", "日"][(at.hour_of_week() / 24).min(6) as usize];
    format!("{} 周{name}", date(at))
}

/// A length as numbers with their units, never as `26:18`: days and hours, hours and minutes, minutes and seconds.
pub(super) fn length(span: Span, seconds_too: bool) -> Vec<(String, &'static str)> {
    let all = span.0.abs() / 1_000;
    let (days, hours, minutes, seconds) = (all / 86_400, all / 3_600 % 24, all / 60 % 60, all % 60);
    let parts = if days > 0 {
        vec![(days, "天"), (hours, "时")]
    } else if hours > 0 {
        vec![(hours, "时"), (minutes, "分")]
    } else if seconds_too {
        vec![(minutes, "分"), (seconds, "秒")]
    } else {
        vec![(minutes, "分")]
    };
    parts.into_iter().map(|(number, unit)| (number.to_string(), unit)).collect()
}

/// A length in one string.
pub(super) fn length_words(span: Span) -> String {
    length(span, false).into_iter().map(|(number, unit)| format!("{number} {unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_name_their_units() {
        let words = |span| length(span, true).into_iter().map(|(n, u)| format!("{n}{u}")).collect::<String>();
        assert_eq!(words(Span::seconds(26 * 60 + 18)), "26分18秒");
        assert_eq!(words(Span::minutes(110)), "1时50分");
        assert_eq!(words(Span::hours(50)), "2天2时");
        assert_eq!(length_words(Span::minutes(-14)), "14 分");
    }

    #[test]
    fn clocks_change_their_word_at_sixty_and_thirty_minutes() {
        let word = |left| clock_state(ClockState::Running, left).1;
        assert_eq!(word(Span::minutes(60)), "计时中");
        assert_eq!(word(Span::minutes(59)), "临近");
        assert_eq!(word(Span::minutes(29)), "紧迫");
        assert_eq!(word(Span::millis(0)), "超时");
        assert_eq!(few(4), "来源 <5");
        assert_eq!(few(5), "5 个来源");
    }
}
