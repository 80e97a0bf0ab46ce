//! Words of the console: one Chinese word a thing, as its reader knows it.

use super::View;
use crate::assess::{Level, Verdict};
use crate::duty::view::{ClockState, IncidentState, IncidentView};
use crate::time::{Instant, Span};

/// Distinct sources under which lists say `<5` (public-trust rule 17).
pub(super) const FEW: u32 = 5;

/// Class and words of a level.
pub(super) fn level(level: Level) -> (&'static str, &'static str) {
    let class = match level {
        Level::L4 => "lv4",
        Level::L3 => "lv3",
        Level::L2 => "lv2",
        Level::L1 => "lv1",
        Level::L0 => "lv0",
    };
    (class, level.words())
}

/// How sure it is: a person's word before the machine's, an unknown place before many sources.
pub(super) fn sure(incident: &IncidentView) -> &'static str {
    if incident.state == IncidentState::Dismissed {
        incident.state.words()
    } else if incident.times.confirmed.is_some() {
        IncidentState::Confirmed.words()
    } else if incident.place.verdict == Verdict::Possible {
        "地点未核实"
    } else if incident.unverified {
        "未核实"
    } else {
        "多方印证"
    }
}

/// The rule's words, without what they said of its being unverified where that is no longer so.
pub(super) fn reason(incident: &IncidentView) -> String {
    let confirmed = incident.times.confirmed.is_some();
    let stale = |part: &&str| match *part {
        "未核实" | "来源不足且无官方发布" => confirmed || !incident.unverified,
        "地点未核实" => confirmed || incident.place.verdict == Verdict::Yes,
        _ => false,
    };
    let clause = |clause: &str| {
        let kept: Vec<&str> = clause.split('，').filter(|part| !stale(part)).collect();
        kept.join("，").replacen("由未核实转为多方印证", "多方印证", 1)
    };
    let clauses: Vec<String> = incident.reason.split('；').map(clause).filter(|clause| !clause.is_empty()).collect();
    clauses.join("；")
}

/// Why a clock runs from its start: the basis without the start, which stands beside it.
pub(super) fn basis(basis: &str) -> &str {
    let why = basis.split_once("起算：").map_or(basis, |(_, why)| why);
    why.strip_suffix("起算").unwrap_or(why)
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
        ClockState::Met => ("ok", state.words()),
        ClockState::Cancelled => ("", state.words()),
        ClockState::Exempted => ("s-free", state.words()),
        ClockState::Overdue => ("over", state.words()),
        ClockState::Running if left.0 <= 0 => ("over", ClockState::Overdue.words()),
        ClockState::Running if left < Span::minutes(30) => ("tight", "紧迫"),
        ClockState::Running if left < Span::minutes(60) => ("soon", "临近"),
        ClockState::Running => ("", state.words()),
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
        "cue" => "线索",
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

/// A length in one string; seconds only where it is under a minute.
pub(super) fn length_words(span: Span) -> String {
    let seconds = span.0.abs() / 1_000;
    if seconds < 60 {
        return if seconds == 0 { "不到 1 秒".to_owned() } else { format!("{seconds} 秒") };
    }
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
    fn what_is_confirmed_is_not_called_unverified_any_more() {
        let mut incident = crate::web::tests::made_up("I-1", "堤脚冒水");
        incident.reason =
            "L4 危及生命，地点未核实，一条可信信息即告警；来源不足且无官方发布，未核实；依据“堤脚”".into();
        incident.place.verdict = Verdict::Possible;
        assert_eq!((sure(&incident), reason(&incident)), ("地点未核实", incident.reason.clone()));
        incident.place.verdict = Verdict::Yes;
        assert_eq!(sure(&incident), "未核实");
        incident.unverified = false;
        assert_eq!(sure(&incident), "多方印证", "many sources are not a person's word");
        assert_eq!(reason(&incident), "L4 危及生命，一条可信信息即告警；依据“堤脚”");
        incident.reason = "由未核实转为多方印证：已有 3 个不同来源".into();
        assert_eq!(reason(&incident), "多方印证：已有 3 个不同来源");
        (incident.unverified, incident.place.verdict) = (true, Verdict::Possible);
        incident.reason = "L2 局部可控，地点未核实，未核实".into();
        incident.times.confirmed = incident.times.detected;
        assert_eq!((sure(&incident), reason(&incident).as_str()), ("已确认", "L2 局部可控"));
        incident.state = IncidentState::Dismissed;
        assert_eq!(sure(&incident), "不成立");
    }

    #[test]
    fn a_start_is_said_once() {
        assert_eq!(basis("自 02:03 起算：最早的可信提及"), "最早的可信提及");
        assert_eq!(basis("首条提及起算"), "首条提及");
        assert_eq!(length_words(Span::seconds(31)), "31 秒");
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
