//! How far the workers are that write what is read here. In: the topics of mentions and the workers' group. Out: which partitions they have
//! said everything of, so that the others need not wait for these, and must wait for those.

use super::super::SourceError;
use super::client::{ASK, Ears, asker, ends_of, failed, hear, words};
use super::config::KafkaConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};

/// Asks for the progress of a group over the topics that it reads.
pub(super) struct Upstream {
    asker: BaseConsumer<Ears>,
    topics: Vec<String>,
    /// Partitions of the topic that the group writes: a record keeps its number, modulo these.
    outputs: i32,
}

impl Upstream {
    /// Connects; `outputs` are the partitions of the topic that the group writes.
    pub(super) fn open(config: &KafkaConfig, outputs: i32) -> Result<Upstream, SourceError> {
        let settings = config.reader("upstream", 1).map_err(|fault| failed("settings", fault))?;
        let mut settings = settings;
        settings.set("group.id", &config.group);
        Ok(Upstream { asker: asker(&settings)?, topics: config.topics.clone(), outputs: outputs.max(1) })
    }

    /// Of these partitions, those whose group has said everything that was there when it was asked.
    pub(super) fn drained(&self, wanted: &BTreeSet<i32>) -> Result<BTreeSet<i32>, SourceError> {
        let doing = "asking how far the workers are";
        hear(&self.asker);
        let mut asked = TopicPartitionList::new();
        let mut ends = BTreeMap::new();
        for topic in &self.topics {
            for number in super::client::partitions_of(&self.asker, topic, ASK)? {
                if wanted.contains(&(number % self.outputs)) {
                    asked.add_partition(topic, number);
                    ends.insert((topic.clone(), number), ends_of(&self.asker, topic, number)?);
                }
            }
        }
        let told = self.asker.committed_offsets(asked, ASK).map_err(|error| failed(doing, words(&error)))?;
        let mut drained = wanted.clone();
        for one in told.elements() {
            let key = (one.topic().to_owned(), one.partition());
            let Some((low, high)) = ends.get(&key) else { continue };
            let done = match one.offset() {
                Offset::Offset(next) => next.max(0) as u64 >= *high,
                _ => low == high,
            };
            if !done {
                drained.remove(&(one.partition() % self.outputs));
            }
        }
        Ok(drained)
    }
}
