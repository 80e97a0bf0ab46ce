//! The Chinese words of duty's states, reasons and history lines: one word a thing, as the console shows them.

use crate::assess::Level;
use crate::duty::Verdict;
use crate::duty::apply::FIRST_NOTICE;
use crate::duty::event::{Event, Reason};
use crate::duty::facts::{DANGER, DIAL};
use crate::duty::state::Incident;
use crate::duty::view::{ClockState, IncidentState};
use crate::rule::Finding;

impl Level {
    /// `L4 危及生命`.
    pub fn words(self) -> &'static str {
        match self {
            Level::L0 => "L0 无须处理",
            Level::L1 => "L1 个别诉求",
            Level::L2 => "L2 局部可控",
            Level::L3 => "L3 险情持续",
            Level::L4 => "L4 危及生命",
        }
    }
}

impl Reason {
    /// Why a notice is sent.
    pub fn words(self) -> &'static str {
        match self {
            Reason::New => "新",
            Reason::Worse => "加重",
            Reason::Reminder => "提醒",
            Reason::Escalation => "升级",
            Reason::Resolved => "解除",
            Reason::Digest => "汇总",
        }
    }
}

impl IncidentState {
    /// `待接`, `已接`, …
    pub fn words(self) -> &'static str {
        match self {
            IncidentState::Raised => "待接",
            IncidentState::Acknowledged => "已接",
            IncidentState::Confirmed => "已确认",
            IncidentState::Dismissed => "不成立",
            IncidentState::Answered => "已回应",
            IncidentState::Closed => "已办结",
        }
    }
}

impl ClockState {
    /// `计时中`, `超时`, …
    pub fn words(self) -> &'static str {
        match self {
            ClockState::Running => "计时中",
            ClockState::Overdue => "超时",
            ClockState::Met => "已完成",
            ClockState::Cancelled => "已取消",
            ClockState::Exempted => "豁免",
        }
    }
}

/// `首发` for `first_notice`; a kind without a word of its own stays as it is.
fn clock_words(kind: &str) -> &str {
    if kind == FIRST_NOTICE { "首发" } else { kind }
}

/// One line of history for people; `incident` as it stands after the event.
pub(crate) fn words(incident: &Incident, event: &Event) -> String {
    match event {
        Event::IncidentRaised { .. } if incident.restricted() => format!("{DANGER}。{DIAL}"),
        Event::IncidentChanged { .. } if incident.restricted() => "有新的提及".to_owned(),
        Event::IncidentRaised { finding, .. } => found("机器发现", finding),
        Event::IncidentChanged { finding, .. } => found("机器更新", finding),
        Event::TopicsMerged { from, into } => format!("话题 {from} 并入 {into}"),
        Event::Acknowledged { by, until, .. } => {
            format!("{by} 接手，{} 前有效；催叫停止，时限照计", until.hour_minute())
        }
        Event::AcknowledgementExpired { .. } => "接手到期，没有结论，重新叫人".to_owned(),
        Event::Confirmed { by, occurred, reason, .. } => {
            let at = occurred.map(|at| format!("，事发 {}", at.hour_minute())).unwrap_or_default();
            format!("{by} 确认属实{at}{}", because(reason))
        }
        Event::Dismissed { by, reason, .. } => format!("{by} 判为不成立{}", because(reason)),
        Event::ClockStarted { kind, due, basis, .. } => {
            format!("{}时限：{} 前，{basis}", clock_words(kind), due.hour_minute())
        }
        Event::ClockNear { kind, due, .. } => format!("{}紧迫，{} 前", clock_words(kind), due.hour_minute()),
        Event::ClockOverdue { kind, due, .. } => {
            format!("{}超时，应在 {} 前", clock_words(kind), due.hour_minute())
        }
        Event::ClockCancelled { kind, reason, .. } => format!("{}时限取消：{reason}", clock_words(kind)),
        Event::EscalationPlanned { steps, .. } => {
            let steps: Vec<String> =
                steps.iter().map(|step| format!("{} {}", step.at.hour_minute(), names(&step.officers))).collect();
            format!("定好叫人顺序：{}", steps.join("；"))
        }
        Event::Escalated { step, officers, reason, .. } => {
            format!("第 {} 级：{}（{reason}）", step + 1, names(officers))
        }
        Event::NoticeDecided { notice } => {
            let whom = notice.officer.as_deref().unwrap_or("群组");
            format!("通知 {}：{}，{whom}，{}", notice.key, notice.reason.words(), notice.channel)
        }
        Event::NoticeAttempted { key, attempt, verdict, next } => {
            let next = next.map(|at| format!("，{} 再试", at.hour_minute())).unwrap_or_default();
            format!("通知 {key} 第 {attempt} 次：{}{next}", verdict_words(verdict))
        }
        Event::Searched { by, .. } => format!("{by} 检索"),
        Event::SaltDestroyed { day } => format!("{day} 的来源键盐已销毁"),
        Event::Started { version } => format!("程序启动 {version}"),
    }
}

fn found(who: &str, finding: &Finding) -> String {
    format!("{who}：{}，{}。{}", finding.level.words(), finding.title, finding.reason)
}

fn because(reason: &str) -> String {
    if reason.trim().is_empty() { String::new() } else { format!("：{}", reason.trim()) }
}

fn names(officers: &[String]) -> String {
    if officers.is_empty() { "无人".to_owned() } else { officers.join("、") }
}

fn verdict_words(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "已受理",
        Verdict::Retry { .. } => "再试",
        Verdict::Refused { .. } => "拒收",
        Verdict::Misconfigured { .. } => "配置有误",
        Verdict::Unknown { .. } => "结果不明",
    }
}
