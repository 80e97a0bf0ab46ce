//! What the server is told to do that may lose what was committed. In: its settings. Out: advice for `yuqing doctor`.

use super::lane::Fault;
use super::{Postgres, StoreError};

/// A setting that may lose data.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Advice {
    /// Its name.
    pub setting: String,
    /// What it is.
    pub value: String,
    /// What may happen, and what it should be.
    pub why: &'static str,
}

/// Name, the one value that is safe, and why. What is not a setting of a server of that age is passed over.
const SAFE: &[(&str, &str, &str)] = &[
    ("fsync", "on", "a power cut can destroy the whole database; set fsync = on"),
    ("full_page_writes", "on", "a power cut can leave torn pages; set full_page_writes = on"),
    (
        "synchronous_commit",
        "on, remote_apply",
        "our sessions ask for `on` by themselves, other programs on this server lose commits; set synchronous_commit = on",
    ),
    ("zero_damaged_pages", "off", "damaged pages are silently emptied; set zero_damaged_pages = off"),
    ("ignore_checksum_failure", "off", "damaged pages are silently read; set ignore_checksum_failure = off"),
];

impl Postgres {
    /// Settings of the server that lose data, worst first; empty where all is well.
    pub fn advise(&self) -> Result<Vec<Advice>, StoreError> {
        let mut advice = self.reader.read(|on| {
            let mut advice = Vec::new();
            for (name, safe, why) in SAFE {
                // What the server gives a session that asks for nothing, not what ours asked for.
                let sql = "SELECT CASE WHEN source = 'session' THEN reset_val ELSE setting END FROM pg_settings WHERE name = $1";
                let Some(row) = on.first(sql, &[name])? else { continue };
                let value: String = row.try_get(0)?;
                if !safe.split(", ").any(|safe| safe == value) {
                    advice.push(Advice { setting: (*name).to_owned(), value, why });
                }
            }
            let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind = 'r' AND c.relpersistence <> 'p' AND n.nspname = current_schema() ORDER BY 1";
            for row in on.query(sql, &[])? {
                let (setting, value) = (format!("table {}", row.try_get::<_, String>(0)?), "unlogged".to_owned());
                advice.push(Advice { setting, value, why: "it is emptied by a crash; ALTER TABLE … SET LOGGED" });
            }
            Ok::<_, Fault>(advice)
        })?;
        if self.door.is_open_to_see() {
            let why = "what goes over the network can be read and changed on the way; add sslmode=require to the url";
            advice.push(Advice { setting: "sslmode".to_owned(), value: "disable".to_owned(), why });
        }
        Ok(advice)
    }
}
