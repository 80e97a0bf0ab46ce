//! Notices into a Kafka topic, for programs of the city. In: a notice. Out: one record with the body of the standard
//! webhook, the incident as key and the notice's key as a header, and a verdict that is a yes only when every replica has it.

use super::guard::SEND_TIMEOUT;
use crate::duty::Verdict;
use crate::duty::event::Notice;
use crate::intake::kafka::{Outgoing, ProduceError, Producer};
use crate::notice::render;

/// Name and version of the value's shape.
const SCHEMA: &str = "alert/1";

/// The topic of notices and who writes to it.
#[derive(Clone, Debug)]
pub struct Alerts {
    producer: Producer,
    topic: String,
}

impl Alerts {
    /// Writes to `topic`, `yuqing.alerts` by default.
    pub fn new(producer: Producer, topic: &str) -> Alerts {
        Alerts { producer, topic: topic.to_owned() }
    }

    /// One attempt.
    pub async fn send(&self, notice: &Notice, base_url: Option<&str>) -> Verdict {
        let body = render::webhook(notice, base_url);
        let producer = self.producer.clone();
        let (topic, key, incident) = (self.topic.clone(), notice.key.clone(), notice.incident.clone());
        // A full buffer makes the writer wait: not on a thread that serves others.
        let put = tokio::task::spawn_blocking(move || {
            producer.send_told(Outgoing {
                topic: &topic,
                partition: None,
                key: &incident,
                headers: &[("yuqing-schema", SCHEMA), ("yuqing-key", &key)],
                value: Some(body.as_bytes()),
                timestamp: None,
            })
        });
        let unknown = |detail: &str| Verdict::Unknown { detail: detail.to_owned() };
        let told = async {
            match put.await {
                Err(_) => unknown("the writer broke off"),
                Ok(Err(fault)) => judge(fault),
                Ok(Ok(told)) => match told.await {
                    Err(_) => unknown("the writer was closed before the record was delivered"),
                    Ok(Err(fault)) => judge(fault),
                    Ok(Ok(_)) => Verdict::Accepted,
                },
            }
        };
        match tokio::time::timeout(SEND_TIMEOUT, told).await {
            Ok(verdict) => verdict,
            Err(_) => unknown("the cluster did not take the record in time; the writer goes on trying"),
        }
    }
}

fn judge(fault: ProduceError) -> Verdict {
    let detail = fault.to_string();
    match fault {
        ProduceError::TooLarge { .. } => Verdict::Refused { detail },
        ProduceError::Misconfigured { .. } => Verdict::Misconfigured { detail },
        ProduceError::Failed { .. } | ProduceError::Stopped(_) => Verdict::Retry { after_ms: None, detail },
    }
}
