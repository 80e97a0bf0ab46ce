//! What about the cluster may lose data. In: the settings and the positions that the store has. Out: advice in words, the
//! grave first, for `yuqing doctor`.

use super::super::SourceError;
use super::client::{ASK, Ears, asker, ends_of, failed, words};
use super::config::KafkaConfig;
use crate::ledger::Positions;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use std::collections::BTreeMap;

/// What records must be kept for: every sink has passed them, and seven days more.
const KEPT_DAYS: i64 = 7;
/// Copies that survive the loss of one broker while another is being mended.
const COPIES: usize = 3;

/// One thing that may lose data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Advice {
    /// Whether data may be lost by one fault.
    pub grave: bool,
    /// Topic, partition or broker.
    pub about: String,
    /// What is so, and what to do.
    pub text: String,
}

/// Asks the cluster about its topics and how far the readers are. `stored` are the desk's positions; a partition that is
/// not named there is taken from the group's.
pub fn inspect(config: &KafkaConfig, stored: &Positions) -> Result<Vec<Advice>, SourceError> {
    let settings = config.reader("doctor", 1).map_err(|fault| failed("settings", fault))?;
    let mut settings = settings;
    settings.set("group.id", &config.group);
    let asker = asker(&settings)?;
    let metadata = asker.fetch_metadata(None, ASK).map_err(|error| failed("asking for the cluster", words(&error)))?;
    let brokers = metadata.brokers().len();
    let mut found = Found::default();
    if brokers < COPIES {
        let text = format!("{brokers} broker(s): a lost disk is lost data; run {COPIES} with replication {COPIES}");
        found.note(false, "cluster", text);
    }
    let ours = [&config.assessed, &config.alerts, &config.dispatches, &config.dead_letters];
    let names: Vec<&String> = config.topics.iter().chain(ours).collect();
    let mut there = Vec::new();
    for name in names {
        match metadata.topics().iter().find(|topic| topic.name() == name) {
            Some(topic) => {
                copies(&mut found, topic, brokers);
                there.push(name.as_str());
            }
            None if config.topics.contains(name) => {
                found.note(true, name, "the topic is not there: nothing can be read; make it".into());
            }
            None => found.note(false, name, "the topic is not there yet: make it before the first record".into()),
        }
    }
    for (name, table) in described(config, &there)? {
        topic_settings(&mut found, &name, &table, config.topics.contains(&name), brokers);
    }
    for topic in metadata.topics().iter().filter(|topic| config.topics.iter().any(|name| name == topic.name())) {
        for partition in topic.partitions() {
            lag(&mut found, &asker, topic.name(), partition.id(), stored)?;
        }
    }
    found.0.sort_by(|a, b| b.grave.cmp(&a.grave).then_with(|| a.cmp(b)));
    Ok(found.0)
}

/// What [`ensure_topics`] found and made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ensured {
    /// Topics made just now.
    pub made: Vec<String>,
    /// Partitions of the topic of assessed mentions.
    pub partitions: i32,
}

/// Makes the topics that this house writes, where they are missing, with the broker's own replication: that of assessed mentions
/// with as many partitions as the topics of mentions have at most, the others with one.
pub fn ensure_topics(config: &KafkaConfig) -> Result<Ensured, SourceError> {
    let settings = config.reader("topics", 1).map_err(|fault| failed("settings", fault))?;
    let metadata =
        asker(&settings)?.fetch_metadata(None, ASK).map_err(|error| failed("asking for the cluster", words(&error)))?;
    let has = |name: &str| {
        let found = metadata.topics().iter().find(|topic| topic.name() == name);
        found.map(|topic| i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX)).filter(|count| *count > 0)
    };
    // Until there are mentions nobody knows how many partitions what they say will have.
    let most = config.topics.iter().filter_map(|name| has(name)).max();
    let most = most.ok_or_else(|| failed("looking for topics", format!("there is no {:?}: make it", config.topics)))?;
    let wanted = [(&config.assessed, most), (&config.alerts, 1), (&config.dispatches, 1), (&config.dead_letters, 1)];
    let missing: Vec<_> = wanted.iter().filter(|(name, _)| has(name).is_none()).collect();
    let partitions = has(&config.assessed).unwrap_or(most);
    if missing.is_empty() {
        return Ok(Ensured { made: Vec::new(), partitions });
    }
    let settings = config.base("topics").map_err(|fault| failed("settings", fault))?;
    let admin: AdminClient<DefaultClientContext> =
        AdminClient::from_config(&settings).map_err(|error| failed("opening", words(&error)))?;
    let topics: Vec<_> =
        missing.iter().map(|(name, count)| NewTopic::new(name, *count, TopicReplication::Fixed(-1))).collect();
    let fault = |detail: String| failed("making topics", detail);
    let ask = || -> Result<_, SourceError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().build().map_err(|error| fault(error.to_string()))?;
        let options = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
        runtime.block_on(admin.create_topics(&topics, &options)).map_err(|error| fault(words(&error)))
    };
    // A thread of its own: the caller may be in a runtime already.
    let answers = std::thread::scope(|scope| scope.spawn(ask).join()).map_err(|_| fault("no answer".into()))??;
    let mut made = Vec::new();
    for answer in answers {
        match answer {
            Ok(name) => made.push(name),
            // Another process of the house was quicker.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, error)) => return Err(fault(format!("{name}: {error}"))),
        }
    }
    Ok(Ensured { made, partitions })
}

#[derive(Default)]
struct Found(Vec<Advice>);

impl Found {
    fn note(&mut self, grave: bool, about: &str, text: String) {
        self.0.push(Advice { grave, about: about.to_owned(), text });
    }
}

fn copies(found: &mut Found, topic: &MetadataTopic, brokers: usize) {
    let least = topic.partitions().iter().map(|one| one.replicas().len()).min().unwrap_or(0);
    if brokers >= COPIES && least < COPIES {
        found.note(true, topic.name(), format!("replication is {least} on {brokers} brokers; raise it to {COPIES}"));
    }
    let short = topic.partitions().iter().filter(|one| one.isr().len() < one.replicas().len()).count();
    if short > 0 {
        found.note(true, topic.name(), format!("{short} partition(s) have copies that lag behind or are down"));
    }
    let headless = topic.partitions().iter().filter(|one| one.leader() < 0).count();
    if headless > 0 {
        found.note(true, topic.name(), format!("{headless} partition(s) have no leader: nothing is read or written"));
    }
}

type Table = BTreeMap<String, String>;

/// Settings of topics as they hold, whoever set them.
fn described(config: &KafkaConfig, topics: &[&str]) -> Result<Vec<(String, Table)>, SourceError> {
    let settings = config.base("doctor").map_err(|fault| failed("settings", fault))?;
    let admin: AdminClient<DefaultClientContext> =
        AdminClient::from_config(&settings).map_err(|error| failed("opening", words(&error)))?;
    let wanted: Vec<ResourceSpecifier<'_>> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let fault = |detail: String| failed("asking for the settings of topics", detail);
    let ask = || -> Result<_, SourceError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().build().map_err(|error| fault(error.to_string()))?;
        let options = AdminOptions::new().request_timeout(Some(ASK));
        runtime.block_on(admin.describe_configs(&wanted, &options)).map_err(|error| fault(words(&error)))
    };
    // A thread of its own: the caller may be in a runtime already.
    let answers = std::thread::scope(|scope| scope.spawn(ask).join()).map_err(|_| fault("no answer".into()))??;
    let mut tables = Vec::new();
    for (topic, answer) in topics.iter().zip(answers) {
        let answer: ConfigResource = answer.map_err(|error| fault(error.to_string()))?;
        let table = answer.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
        tables.push(((*topic).to_owned(), table));
    }
    Ok(tables)
}

fn topic_settings(found: &mut Found, topic: &str, table: &Table, read: bool, brokers: usize) {
    let number = |name: &str| table.get(name).and_then(|value| value.parse::<i64>().ok());
    if let Some(safe) = number("min.insync.replicas").filter(|safe| *safe < 2) {
        let text = format!("min.insync.replicas is {safe}: a record may be acknowledged by one disk; set it to 2");
        found.note(brokers > 1, topic, text);
    }
    if table.get("unclean.leader.election.enable").is_some_and(|value| value == "true") {
        let text = "unclean.leader.election.enable is true: a broker that lags may lead and drop what others had";
        found.note(true, topic, format!("{text}; set it to false"));
    }
    let policy = table.get("cleanup.policy").map_or("delete", String::as_str);
    if read && policy.contains("compact") {
        let text = "cleanup.policy is compact: an earlier record of a key may go before it is read, and one without \
                    a key is refused; set it to delete";
        found.note(true, topic, text.to_owned());
    }
    if policy.contains("delete") {
        let kept = number("retention.ms").unwrap_or(-1);
        if (0..KEPT_DAYS * 86_400_000).contains(&kept) {
            let hours = kept as f64 / 3_600_000.0;
            let text = format!("retention.ms keeps {hours:.1} hours; what recovers reads back: keep {KEPT_DAYS} days");
            found.note(read, topic, text);
        }
        if let Some(bytes) = number("retention.bytes").filter(|bytes| *bytes >= 0) {
            let text = format!("retention.bytes is {bytes}: a busy day shortens what is kept; set it to -1");
            found.note(read, topic, text);
        }
    }
}

fn lag(
    found: &mut Found,
    asker: &BaseConsumer<Ears>,
    topic: &str,
    partition: i32,
    stored: &Positions,
) -> Result<(), SourceError> {
    let (low, high) = ends_of(asker, topic, partition)?;
    let ours = stored.iter().find(|one| one.partition == partition && one.stream == topic).map(|one| one.offset);
    let Some(at) = ours.or_else(|| committed(asker, topic, partition)) else { return Ok(()) };
    let about = format!("{topic}/{partition}");
    let behind = high.saturating_sub(at);
    if at > high {
        let text = format!("read up to {at}, but it ends at {high}: it was truncated, or deleted and made anew");
        found.note(true, &about, text);
    } else if at < low {
        found.note(true, &about, format!("records {at} to {low} are gone before they were read"));
    } else if low > 0 && behind * 2 > high - low {
        let text = format!("{behind} records behind, more than half of what is kept: reading must be made faster");
        found.note(true, &about, text);
    }
    Ok(())
}

fn committed(asker: &BaseConsumer<Ears>, topic: &str, partition: i32) -> Option<u64> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let list = asker.committed_offsets(list, ASK).ok()?;
    match list.find_partition(topic, partition)?.offset() {
        Offset::Offset(at) => u64::try_from(at).ok(),
        _ => None,
    }
}
