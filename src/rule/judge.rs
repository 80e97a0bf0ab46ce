//! The rules themselves: what one more mention makes of its topic. In: the topic, the mention and its reading, heat. Out: a
//! [`Call`] with its reason in Chinese. Changes nothing.

use super::settings::Rules;
use super::watch::Withheld;
use crate::assess::{ClaimKind, Class, Level, Noise, Reading, What};
use crate::mention::{Kind, Mention};
use crate::time::{Instant, Span};
use crate::topic::{Heat, Joined, Topic, is_credible, surety};

/// What is to be done about a topic.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Call {
    /// Put it before people.
    Raise(Level, String),
    /// It stands before people and has changed.
    Change(Level, String),
    /// Old news told by many.
    Clarify(String),
    /// It stands before people; nothing new.
    Standing,
    /// Not to be put before people.
    Withhold(Withheld),
}

/// Everything a call rests on.
pub(super) struct Case<'a> {
    pub(super) topic: &'a Topic,
    pub(super) mention: &'a Mention,
    pub(super) reading: &'a Reading,
    pub(super) joined: Joined,
    pub(super) heat: Heat,
    pub(super) now: Instant,
    pub(super) rules: &'a Rules,
}

/// Surety from which a place is ours, and from which it may be.
const SURE: u8 = 3;
const POSSIBLE: u8 = 2;

impl Case<'_> {
    /// What is to be done.
    pub(super) fn call(&self) -> Call {
        if self.rules.heat_only {
            return self.by_heat_alone();
        }
        if let Some(reason) = self.clarify() {
            return Call::Clarify(reason);
        }
        let noise = self.noise();
        if self.topic.raised.is_some() {
            return if self.topic.refuted || noise.is_some() { Call::Standing } else { self.change() };
        }
        if let Some(noise) = noise {
            return Call::Withhold(noise);
        }
        if self.topic.refuted {
            return Call::Withhold(Withheld::Refuted);
        }
        if self.topic.facts.first.is_none() {
            return self.discover().unwrap_or(Call::Withhold(Withheld::Noise));
        }
        match self.level() {
            Level::L3 | Level::L4 => self.grave(),
            Level::L2 => self.contained(),
            Level::L1 => self.unknown().unwrap_or(Call::Withhold(Withheld::CaseQueue)),
            Level::L0 => self.unknown().unwrap_or(Call::Withhold(Withheld::Quiet)),
        }
    }

    /// Why this mention decides nothing, whatever its topic.
    fn noise(&self) -> Option<Withheld> {
        let said = &self.reading.assessment;
        match said.noise {
            Some(Noise::Drill) => return Some(Withheld::Drill),
            Some(Noise::OldNews) => return Some(Withheld::OldNews),
            Some(_) => return Some(Withheld::Noise),
            None => {}
        }
        if said.what == What::Clarification {
            return Some(Withheld::Refuted);
        }
        if self.joined.is_retelling() {
            let held = Span((self.rules.rule.drill_hours * 3_600_000.0) as i64);
            if self.topic.drill.is_some_and(|at| self.now - at <= held) {
                return Some(Withheld::Drill);
            }
            if self.topic.old_news {
                return Some(Withheld::OldNews);
            }
        }
        None
    }

    fn by_heat_alone(&self) -> Call {
        match (self.topic.raised, self.is_hot()) {
            (Some(_), _) => Call::Standing,
            (None, true) => Call::Raise(self.topic.facts.level, format!("仅凭热度：{}", self.heat_words())),
            (None, false) => Call::Withhold(Withheld::Quiet),
        }
    }

    fn clarify(&self) -> Option<String> {
        let rule = &self.rules.rule;
        let minutes = rule.clarify_minutes;
        let told = self.topic.pulse.within(self.now, Span::minutes(i64::from(minutes)));
        (self.topic.old_news && !self.topic.clarified && told >= rule.clarify_sources)
            .then(|| format!("旧闻重提：{minutes} 分钟内 {told} 个不同来源转述往事，建议澄清，不计时限"))
    }

    fn surety(&self) -> u8 {
        let placed = self.topic.facts.placed.as_ref().map_or(0, |placed| surety(&placed.place));
        if self.rules.any_place { SURE } else { placed }
    }

    /// Level of the topic; one request that speaks for a group is at least contained.
    fn level(&self) -> Level {
        let own = self.topic.facts.level;
        match own {
            Level::L1 if self.group().is_some() => Level::L2,
            Level::L2 if self.goes_on() => Level::L3,
            _ => own,
        }
    }

    /// Whether enough sources tell of a hazard that is still going on, and this one does not say that it is over.
    fn goes_on(&self) -> bool {
        let rule = &self.rules.rule;
        let causes = &self.reading.assessment.causes;
        let told = |words: &str| rule.ongoing.iter().any(|word| words.contains(word.as_str()));
        let over = causes.iter().any(|cause| cause.rule == "closing");
        self.topic.pulse.sources() >= rule.verified_sources && !over && causes.iter().any(|cause| told(&cause.words))
    }

    fn grave(&self) -> Call {
        let level = self.level();
        let name = level_words(level);
        let place = match self.surety() {
            SURE => "地点在本市",
            POSSIBLE => "地点未核实",
            _ => return Call::Withhold(Withheld::Elsewhere),
        };
        let unverified = if self.is_verified() { "" } else { "；来源不足且无官方发布，未核实" };
        let why = if self.topic.facts.level < level {
            "多个来源称险情仍在持续"
        } else {
            "一条可信信息即告警"
        };
        Call::Raise(level, format!("{name}，{place}，{why}{unverified}{}", self.words()))
    }

    fn contained(&self) -> Call {
        let rule = &self.rules.rule;
        let sources = self.topic.pulse.sources();
        let (place, needed) = match self.surety() {
            SURE => ("地点在本市", rule.l2_sources),
            POSSIBLE => ("地点未核实", rule.l2_possible_sources),
            _ => return Call::Withhold(Withheld::Elsewhere),
        };
        let why = if let Some(people) = self.group() {
            format!("一条诉求涉及 {people} 人（户），按群体诉求处理")
        } else if self.is_listed() {
            "已上热榜的敏感类别事件".to_owned()
        } else if sources >= needed {
            format!("{sources} 个不同来源")
        } else if self.heat.total >= self.rules.heat.hot {
            self.heat_words()
        } else {
            return Call::Withhold(Withheld::Digest);
        };
        Call::Raise(Level::L2, format!("{}，{place}，{why}{}", level_words(Level::L2), self.words()))
    }

    /// Credible mentions below L2: known classes stay in the case queue, unknown bursts are told, deaths on a hot list too.
    fn unknown(&self) -> Option<Call> {
        if self.surety() == SURE && self.is_listed() {
            let level = Level::L2;
            return Some(Call::Raise(
                level,
                format!("{}，地点在本市，已上热榜的突发事件{}", level_words(level), self.words()),
            ));
        }
        if self.topic.facts.classes.is_empty() { self.discover() } else { None }
    }

    /// Whether a hot list shows an event of a sensitive class: what stands there is already wide.
    fn is_listed(&self) -> bool {
        let facts = &self.topic.facts;
        let sensitive = facts.classes.keys().any(|class| {
            matches!(class, Class::Nd | Class::Ad | Class::Ph | Class::So | Class::Food | Class::Med | Class::Edu)
        });
        let emergency =
            facts.classes.keys().any(|class| matches!(class, Class::Nd | Class::Ad | Class::Ph | Class::So));
        let deaths = facts.claims.iter().any(|claim| claim.kind == ClaimKind::Deaths && claim.value != Some(0.0));
        let witness = self.mention.kind == Kind::Listing && is_credible(self.reading) && self.surety() == SURE;
        witness && (deaths || (sensitive && facts.level >= Level::L2) || (emergency && facts.level >= Level::L1))
    }

    /// Heat without known words.
    fn discover(&self) -> Option<Call> {
        let somewhere = self.topic.somewhere.as_ref().map_or(0, |placed| surety(&placed.place));
        let place = match if self.rules.any_place { SURE } else { somewhere } {
            SURE => "地点在本市",
            POSSIBLE => "地点未核实",
            _ => return None,
        };
        let reason = || format!("发现未知突增：{place}，{}", self.heat_words());
        self.is_hot().then(|| Call::Raise(Level::L2, reason()))
    }

    fn change(&self) -> Call {
        let Some(told) = self.topic.raised else { return Call::Standing };
        let level = self.level().max(told.level);
        let mut why = Vec::new();
        if level > told.level {
            why.push(format!("级别由 {} 升至 {}", level_words(told.level), level_words(level)));
        }
        let placed = self.topic.facts.placed.as_ref().map_or(0, |placed| surety(&placed.place));
        if placed > told.surety && placed >= POSSIBLE {
            why.push(if placed == SURE { "地点已明确在本市" } else { "地点可能在本市" }.to_owned());
        }
        if !told.verified && self.is_verified() {
            let sources = self.topic.pulse.sources();
            let by = if self.topic.official {
                "已有官方发布".to_owned()
            } else {
                format!("已有 {sources} 个不同来源")
            };
            why.push(format!("由未核实转为多方印证：{by}"));
        }
        if why.is_empty() { Call::Standing } else { Call::Change(level, why.join("；")) }
    }

    /// Whether enough sources, or an office, say so.
    pub(super) fn is_verified(&self) -> bool {
        self.topic.official || self.topic.pulse.sources() >= self.rules.rule.verified_sources
    }

    fn is_hot(&self) -> bool {
        let heat = &self.rules.heat;
        self.heat.total >= heat.hot && self.topic.pulse.sources() >= heat.hot_sources
    }

    fn heat_words(&self) -> String {
        let parts = self.heat.parts;
        format!(
            "热度 {:.1}（突增 {:.1}，增长 {:.1}，广度 {:.1}），{} 个不同来源",
            self.heat.total,
            parts.burst,
            parts.growth,
            parts.width,
            self.topic.pulse.sources()
        )
    }

    fn words(&self) -> String {
        let terms = self.topic.facts.told.as_ref().map(|told| told.terms.as_slice()).unwrap_or_default();
        if terms.is_empty() { String::new() } else { format!("；依据“{}”", terms.join("”“")) }
    }

    /// How many people or households one mention speaks for, where that makes a group.
    fn group(&self) -> Option<u32> {
        if !is_credible(self.reading) {
            return None;
        }
        let said = &self.reading.assessment;
        let households = said.claims.iter().filter(|claim| claim.kind == ClaimKind::Households);
        let households = households.filter_map(|claim| claim.value).fold(0.0, f64::max) as u32;
        let wages = said.classes.iter().any(|class| class.class == Class::Wage);
        let people = if wages { people_in(&self.mention.text) } else { 0 };
        Some(households.max(people)).filter(|&people| people >= self.rules.rule.group)
    }
}

fn level_words(level: Level) -> &'static str {
    match level {
        Level::L0 => "L0 无须处理",
        Level::L1 => "L1 个别诉求",
        Level::L2 => "L2 局部可控",
        Level::L3 => "L3 险情持续",
        Level::L4 => "L4 危及生命",
    }
}

/// What may stand after a number for it to count people.
const PEOPLE: [&str; 14] =
    ["人", "工人", "工友", "农民工", "员工", "职工", "业主", "户", "村民", "民工", "兄弟", "教师", "老师", "骑手"];

/// The greatest number of people that a text names: `30个人`, `二十多名工人`, `上百人`.
fn people_in(text: &str) -> u32 {
    let chars: Vec<char> = text.chars().collect();
    let is_number = |c: &char| c.is_ascii_digit() || "一二三四五六七八九十百千几数上两".contains(*c);
    let mut most = 0;
    let mut at = 0;
    while at < chars.len() {
        let length = chars[at..].iter().take_while(|c| is_number(c)).count();
        if length == 0 {
            at += 1;
            continue;
        }
        let number = &chars[at..at + length];
        at += length;
        let rest: String = chars[at..].iter().take(6).collect();
        let rest = rest.trim_start_matches(['多', '余', '来', '几']).trim_start_matches(['个', '名', '位']);
        if PEOPLE.iter().any(|people| rest.starts_with(people)) {
            most = most.max(number_of(number));
        }
    }
    most
}

/// Digits, or Chinese numerals up to the thousands; 几, 数 and 上 read as little as they can mean.
fn number_of(chars: &[char]) -> u32 {
    let (mut total, mut digit, mut plain) = (0u32, 0u32, 0u32);
    for c in chars {
        let unit = match c {
            '十' => 10,
            '百' => 100,
            '千' => 1_000,
            _ => 0,
        };
        if unit > 0 {
            total = total.saturating_add(digit.max(plain).max(1).saturating_mul(unit));
            (digit, plain) = (0, 0);
        } else if let Some(value) = c.to_digit(10) {
            plain = plain.saturating_mul(10).saturating_add(value);
        } else {
            digit = match c {
                '两' | '几' | '数' => 2,
                '上' => 1,
                _ => "一二三四五六七八九".chars().position(|known| known == *c).map_or(0, |at| at as u32 + 1),
            };
        }
    }
    total.saturating_add(digit.max(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_counted_in_digits_and_numerals() {
        assert_eq!(people_in("老板欠我们30个人两个月工资"), 30);
        assert_eq!(people_in("拖欠二十多名工人的钱"), 20);
        assert_eq!(people_in("上百人的工资"), 100);
        assert_eq!(people_in("三百五十户没有拿到"), 350);
        assert_eq!(people_in("30个工作日没有答复，拖了3个月，我一个人来的"), 1);
    }
}
