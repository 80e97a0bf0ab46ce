//! The numbers of `rules.toml`. In: the text of the file. Out: [`Rules`], or every fault with file and line.

use crate::lexicon::Fault;
use crate::topic::rules::{FoldRules, HeatRules};
use serde::{Deserialize, Serialize};

/// Everything by which topics are folded, weighed and raised.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// How mentions fold.
    pub fold: FoldRules,
    /// How hot is hot.
    pub heat: HeatRules,
    /// What is raised.
    pub rule: RaiseRules,
    /// For measuring: every place counts as here.
    #[serde(skip)]
    pub any_place: bool,
    /// For measuring: heat alone raises, nothing else does.
    #[serde(skip)]
    pub heat_only: bool,
}

/// What is raised.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RaiseRules {
    /// Distinct sources from which an L2 with a place is raised.
    pub l2_sources: u32,
    /// The same where the place is only possible.
    pub l2_possible_sources: u32,
    /// Distinct sources from which something counts as verified.
    pub verified_sources: u32,
    /// Words of hazards that go on by themselves: told of by enough sources, they are L3.
    pub ongoing: Vec<String>,
    /// People or households from which one request speaks for a group.
    pub group: u32,
    /// Hours for which the announcement of a drill holds for those who pass it on.
    pub drill_hours: f64,
    /// Distinct sources from which old news calls for a clarification.
    pub clarify_sources: u32,
    /// Within so many minutes.
    pub clarify_minutes: u32,
}

impl Default for RaiseRules {
    fn default() -> RaiseRules {
        RaiseRules {
            l2_sources: 3,
            l2_possible_sources: 6,
            verified_sources: 3,
            ongoing: ["着火", "起火", "失火", "火势", "明火", "冒浓烟", "冒黑烟", "泄漏"].map(str::to_owned).into(),
            group: 10,
            drill_hours: 24.0,
            clarify_sources: 20,
            clarify_minutes: 30,
        }
    }
}

impl Rules {
    /// Reads the text of `rules.toml`; `file` is its name in faults.
    pub fn read(file: &str, text: &str) -> Result<Rules, Vec<Fault>> {
        let rules: Rules = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            vec![Fault { file: file.to_owned(), line, detail: error.message().to_owned() }]
        })?;
        let faults = rules.faults(file, text);
        if faults.is_empty() { Ok(rules) } else { Err(faults) }
    }

    fn faults(&self, file: &str, text: &str) -> Vec<Fault> {
        let (fold, heat, rule) = (&self.fold, &self.heat, &self.rule);
        let ranges = [
            ("fold", "window_hours", fold.window_hours, 0.1, 720.0),
            ("fold", "names_hours", fold.names_hours, 1.0, 8_784.0),
            ("fold", "near", fold.near, 0.3, 1.0),
            ("fold", "alike", fold.alike, 0.05, 1.0),
            ("fold", "alike_contradicted", fold.alike_contradicted, 0.05, 1.01),
            ("fold", "alike_message", fold.alike_message, 0.05, 1.0),
            ("fold", "merge", fold.merge, 0.1, 1.01),
            ("fold", "half_life_hours", fold.half_life_hours, 0.1, 1e6),
            ("fold", "message_half_life_hours", fold.message_half_life_hours, 0.1, 1e6),
            ("fold", "topics", fold.topics as f64, 100.0, 500_000.0),
            ("heat", "half_life_hours", heat.half_life_hours, 0.1, 1_000.0),
            ("heat", "growth", heat.growth, 0.0, 100.0),
            ("heat", "platform", heat.platform, 0.0, 100.0),
            ("heat", "engagement", heat.engagement, 0.0, 100.0),
            ("heat", "rank", heat.rank, 0.0, 100.0),
            ("heat", "hot", heat.hot, 0.1, 1_000.0),
            ("heat", "hot_sources", f64::from(heat.hot_sources), 1.0, 10_000.0),
            ("rule", "l2_sources", f64::from(rule.l2_sources), 1.0, 1_000.0),
            ("rule", "l2_possible_sources", f64::from(rule.l2_possible_sources), 1.0, 1_000.0),
            ("rule", "verified_sources", f64::from(rule.verified_sources), 1.0, 1_000.0),
            ("rule", "group", f64::from(rule.group), 2.0, 100_000.0),
            ("rule", "drill_hours", rule.drill_hours, 0.0, 720.0),
            ("rule", "clarify_sources", f64::from(rule.clarify_sources), 2.0, 20_000.0),
            ("rule", "clarify_minutes", f64::from(rule.clarify_minutes), 5.0, 1_440.0),
        ];
        let outside = ranges.iter().filter(|(_, _, value, least, most)| !(least..=most).contains(&value));
        let faults = outside.map(|(section, name, value, least, most)| Fault {
            file: file.to_owned(),
            line: line_of(text, section, name),
            detail: format!("{section}.{name} = {value}: must be between {least} and {most}"),
        });
        faults.collect()
    }
}

/// Line on which a section sets a name; 0 where it does not.
fn line_of(text: &str, section: &str, name: &str) -> usize {
    let mut within = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            within = header.split(']').next() == Some(section);
        } else if within && line.split('=').next().map(str::trim) == Some(name) {
            return number + 1;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_what_the_program_assumes() {
        let text = include_str!("../../dictionaries/rules.toml");
        assert_eq!(Rules::read("rules.toml", text), Ok(Rules::default()));
    }

    #[test]
    fn faults_name_the_line() {
        let unknown = Rules::read("rules.toml", "[fold]\nnear = 0.6\nfar = 1\n").expect_err("unknown name");
        assert_eq!(unknown[0].line, 3);
        let outside =
            Rules::read("rules.toml", "[heat]\nhot = 3.0\n[fold]\nnear = 7.0\nalike = 9.0\n").expect_err("outside");
        assert_eq!(outside.iter().map(|fault| fault.line).collect::<Vec<_>>(), [4, 5]);
        assert!(outside[0].to_string().starts_with("rules.toml:4: fold.near"));
    }
}
