//! Notices leave the house: one file a channel, each with its settings, its code, its verdict and its tests.
//!
//! In: the settings' tables as read, then notices one attempt at a time. Out: a [`Verdict`] an attempt, decided by the
//! channel from the receiver's answer. Retrying, falling over and remembering are duty's.

mod answer;
pub mod guard;
pub mod kafka;
pub mod raw;
#[cfg(test)]
mod receiver;
pub mod standard_webhook;
pub mod wecom;

use crate::assess::Level;
use crate::duty::Verdict;
use crate::duty::event::Notice;
use crate::time::{Instant, Span};
use guard::{Fault, Network};
pub use raw::{ChannelRaw, OutletRaw};
use reqwest::Url;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// One configured channel.
struct Channel {
    kind: Kind,
    levels: Vec<Level>,
    officer: Option<String>,
    /// Times of the attempts of the last minute, where the receiver bounds them.
    sent: Mutex<VecDeque<Instant>>,
}

/// The closed list of channels that are built.
enum Kind {
    Wecom(wecom::Wecom),
    StandardWebhook(standard_webhook::StandardWebhook),
    /// Connected by [`Channels::connect_kafka`].
    Kafka(Option<kafka::Alerts>),
}

/// All configured channels, by name. Addresses and secrets are never shown.
pub struct Channels {
    channels: BTreeMap<String, Channel>,
    listed: Vec<Network>,
    public_url: Option<String>,
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.channels.keys()).finish()
    }
}

impl Kind {
    fn url(&self) -> Option<&Url> {
        match self {
            Kind::Wecom(bot) => Some(&bot.url),
            Kind::StandardWebhook(endpoint) => Some(&endpoint.url),
            Kind::Kafka(_) => None,
        }
    }

    /// Attempts a minute that the receiver takes.
    fn per_minute(&self) -> Option<usize> {
        match self {
            Kind::Wecom(_) => Some(wecom::PER_MINUTE),
            Kind::StandardWebhook(_) | Kind::Kafka(_) => None,
        }
    }
}

impl Channels {
    /// Checks the settings' tables; every fault at once, each with the channel it is about.
    pub fn check(raw: Vec<ChannelRaw>, outlet: OutletRaw) -> Result<Channels, Vec<String>> {
        raw::check(raw, outlet)
    }

    /// Names of the channels, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.channels.keys().map(String::as_str)
    }

    /// Names of the channels that take notices of `level`, in order.
    pub fn for_level(&self, level: Level) -> Vec<&str> {
        let takes = self.channels.iter().filter(|(_, channel)| channel.levels.contains(&level));
        takes.map(|(name, _)| name.as_str()).collect()
    }

    /// Levels that a channel takes.
    pub fn levels(&self, name: &str) -> &[Level] {
        self.channels.get(name).map(|channel| channel.levels.as_slice()).unwrap_or_default()
    }

    /// The officer a channel belongs to; `None` for a group or hub.
    pub fn officer(&self, name: &str) -> Option<&str> {
        self.channels.get(name)?.officer.as_deref()
    }

    /// Where people reach the console.
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// Whether a channel writes to Kafka, so that [`Channels::connect_kafka`] must follow.
    pub fn need_kafka(&self) -> bool {
        self.channels.values().any(|channel| matches!(channel.kind, Kind::Kafka(_)))
    }

    /// Gives the channels of kind `kafka` their topic.
    pub fn connect_kafka(&mut self, alerts: &kafka::Alerts) {
        for channel in self.channels.values_mut() {
            if let Kind::Kafka(link) = &mut channel.kind {
                *link = Some(alerts.clone());
            }
        }
    }

    /// One attempt to send `notice` over the channel `name`. Never fails and ends within [`guard::SEND_TIMEOUT`] and the
    /// time of a look-up; the verdict is everything there is to know.
    pub async fn send(&self, name: &str, notice: &Notice, now: Instant) -> Verdict {
        let Some(channel) = self.channels.get(name) else {
            return Verdict::Misconfigured { detail: format!("no channel is named {name:?}") };
        };
        if let Some(after_ms) = channel.over_budget(now) {
            let detail = "the receiver's budget of this minute is spent".to_owned();
            return Verdict::Retry { after_ms: Some(after_ms), detail };
        }
        let Some(url) = channel.kind.url() else { return self.written(&channel.kind, notice).await };
        let client = match guard::client(url, &self.listed).await {
            Ok(client) => client,
            Err(fault @ Fault::Unresolved) => return Verdict::Retry { after_ms: None, detail: fault.to_string() },
            Err(fault) => return Verdict::Misconfigured { detail: fault.to_string() },
        };
        match &channel.kind {
            Kind::Wecom(bot) => bot.send(&client, notice, now, self.public_url()).await,
            Kind::StandardWebhook(endpoint) => endpoint.send(&client, notice, now, self.public_url()).await,
            kind @ Kind::Kafka(_) => self.written(kind, notice).await,
        }
    }

    async fn written(&self, kind: &Kind, notice: &Notice) -> Verdict {
        match kind {
            Kind::Kafka(Some(alerts)) => alerts.send(notice, self.public_url()).await,
            _ => Verdict::Misconfigured { detail: "the settings have no [kafka]".to_owned() },
        }
    }
}

impl Channel {
    /// Counts an attempt; where the minute's budget is spent, how many milliseconds until there is room.
    fn over_budget(&self, now: Instant) -> Option<i64> {
        let most = self.kind.per_minute()?;
        // A panic elsewhere leaves at worst one attempt uncounted.
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        while sent.front().is_some_and(|at| now - *at >= Span::minutes(1)) {
            sent.pop_front();
        }
        if sent.len() < most {
            sent.push_back(now);
            return None;
        }
        sent.front().map(|at| (*at + Span::minutes(1) - now).0.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::receiver::{Receiver, kind_of};
    use super::*;
    use crate::notice::render::tests::notice;

    fn channels(receiver: &Receiver, allow: &str) -> Channels {
        let text = format!(
            "[[channels]]\nname = \"duty-bot\"\nkind = \"wecom\"\nurl = \"{}\"\nlevels = [\"L3\", \"L4\"]\n\
             [outlet]\nallow_networks = [{allow}]\npublic_url = \"https://yuqing.example\"",
            receiver.url().as_str().replace("127.0.0.1", "localhost")
        );
        let tables: raw::tests::Tables = toml::from_str(&text).expect("settings");
        Channels::check(tables.channels, tables.outlet).expect("channels")
    }

    #[tokio::test]
    async fn a_notice_goes_by_name_to_a_pinned_address() {
        let receiver = Receiver::start(200, "", r#"{"errcode":0,"errmsg":"ok"}"#).await;
        let channels = channels(&receiver, "\"127.0.0.0/8\", \"::1\"");
        assert_eq!(channels.for_level(Level::L4), ["duty-bot"]);
        assert!(channels.for_level(Level::L2).is_empty());
        assert_eq!(channels.send("duty-bot", &notice(), Instant::default()).await, Verdict::Accepted);
        assert!(receiver.heard().await.contains("https://yuqing.example/incidents/I-1001-01"));
        assert_eq!(kind_of(&channels.send("nobody", &notice(), Instant::default()).await), "misconfigured");
        assert!(!format!("{channels:?}").contains("key="), "an address holds the bot's key");
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_when_it_is_resolved() {
        let receiver = Receiver::start(200, "", r#"{"errcode":0}"#).await;
        let channels = channels(&receiver, "\"10.0.0.0/8\"");
        let verdict = channels.send("duty-bot", &notice(), Instant::default()).await;
        assert_eq!(kind_of(&verdict), "misconfigured");
        assert_eq!(receiver.waiting().await, 0);
    }

    #[tokio::test]
    async fn a_bot_is_asked_twenty_times_a_minute() {
        let receiver = Receiver::start(200, "", r#"{"errcode":0}"#).await;
        let channels = channels(&receiver, "\"127.0.0.0/8\", \"::1\"");
        let at = |second: i64| Instant::from_millis(second * 1_000);
        for second in 0..20 {
            assert_eq!(channels.send("duty-bot", &notice(), at(second)).await, Verdict::Accepted);
        }
        assert_eq!(kind_of(&channels.send("duty-bot", &notice(), at(45)).await), "retry 15000");
        assert_eq!(receiver.waiting().await, 20);
        assert_eq!(channels.send("duty-bot", &notice(), at(60)).await, Verdict::Accepted);
    }
}
