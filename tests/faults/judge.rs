//! The oracle: compares a trial that has ended with what was written. In: the numbered records, the broker's topics, the store's tables. Out: what is
//! lost, twice or strange, in the trial's row.

use crate::load::PARTITIONS;
use crate::trial::{LOOK, Trial};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use yuqing::ledger::Store as _;
use yuqing::ledger::postgres::Postgres;

impl Trial<'_> {
    /// Compares everything with what was written.
    pub fn judge(&mut self) {
        if self.single || self.web.is_some() {
            self.found();
        }
        if !self.single {
            self.published();
        }
        self.letters();
        self.incidents();
        if let Some(worst) = self.takeovers.iter().max() {
            self.row.note(&format!("{} takeovers, longest {:.1} s", self.takeovers.len(), worst.as_secs_f64()));
        }
        match Postgres::open(&self.ground.server.url(&self.database)).and_then(|store| store.verify()) {
            Ok(entries) => self.row.note(&format!("chain whole, {entries} entries")),
            Err(error) => self.row.fail(&format!("the chain does not verify: {error}")),
        }
        let mut fell: BTreeMap<i32, u64> = BTreeMap::new();
        for proc in self.workers.iter().chain(&self.desks).chain(&self.web) {
            proc.fell.iter().for_each(|code| *fell.entry(*code).or_default() += 1);
            if let Some(line) = proc.said().lines().find(|line| line.contains("panicked")) {
                self.row.fail(&format!("{}: {line}", proc.name));
            }
        }
        if !fell.is_empty() {
            self.row.note(&format!("ended by themselves and were restarted (exit code: times): {fell:?}"));
        }
    }

    /// Every good record is found by searching, once; a witness of a person in danger is kept out of the index.
    fn found(&mut self) {
        let Some(token) = self.token.clone() else { return self.row.fail("the door could not be opened") };
        // It may have been started anew a moment ago.
        let opening = Instant::now() + Duration::from_secs(30);
        let addr = loop {
            match self.web.as_ref().unwrap_or(&self.desks[0]).told("addr") {
                Some(addr) => break addr,
                None if Instant::now() > opening => return self.row.fail("the door did not open again"),
                None => std::thread::sleep(LOOK),
            }
        };
        let witnesses = 4 * self.load.plan.events;
        let calm = self.load.plan.records - self.load.plan.bad() - witnesses;
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let ask = || async {
            let url = format!("http://{addr}/api/v1/search?q=*&limit=1&purpose=rig");
            let answer = crate::house::client().get(url).bearer_auth(&token).send().await.ok()?;
            answer.json::<Value>().await.ok()?["total"].as_u64()
        };
        let until = Instant::now() + Duration::from_secs(30);
        let mut total = 0;
        while total < calm && Instant::now() < until {
            total = runtime.block_on(ask()).unwrap_or(0);
            std::thread::sleep(LOOK);
        }
        self.row.note(&format!("found by searching {total}, of them calm {calm}"));
        self.row.lost += calm.saturating_sub(total);
        self.row.twice += total.saturating_sub(calm + witnesses);
    }

    /// Every record stands in the assessed topic, as what it is.
    fn published(&mut self) {
        let plan = self.load.plan.clone();
        let mut seen: Vec<u8> = vec![0; plan.records as usize];
        let (mut strange, mut wrong) = (0u64, 0u64);
        self.eye.all(&self.ground.broker.bootstrap, &self.assessed, |_, _, value| {
            let line: Value = value.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
            let (part, offset) = (line["position"][1].as_u64(), line["position"][2].as_u64());
            let (Some(part), Some(offset)) = (part, offset) else {
                strange += 1;
                return;
            };
            let number = offset * PARTITIONS + part;
            let Some(count) = seen.get_mut(number as usize) else {
                strange += 1;
                return;
            };
            *count = count.saturating_add(1);
            let same = match plan.id(number) {
                Some(id) => line["type"] == "assessment" && line["id"] == id.as_str(),
                None => {
                    let code = plan.code(number);
                    line["type"] == "refused" && (code.is_none() || line["code"].as_str() == code)
                }
            };
            wrong += u64::from(!same);
        });
        self.row.lost += seen.iter().filter(|&&count| count == 0).count() as u64;
        self.row.again += seen.iter().map(|&count| u64::from(count.saturating_sub(1))).sum::<u64>();
        if strange + wrong > 0 {
            self.row.fail(&format!("{strange} records nobody wrote, {wrong} that are not what was written"));
        }
    }

    /// Every bad record stands in the store's dead letters once.
    fn letters(&mut self) {
        let plan = self.load.plan.clone();
        while self.eye.read_on() && self.eye.letters.len() < plan.bad() as usize {
            let before = self.eye.letters.len();
            self.eye.read_on();
            if self.eye.letters.len() == before {
                break;
            }
        }
        let (mut lost, mut twice) = (0, 0);
        for number in (0..plan.records).filter(|&number| plan.id(number).is_none()) {
            let key = (self.mentions.clone(), (number % PARTITIONS) as i64, (number / PARTITIONS) as i64);
            match self.eye.letters.get(&key).map_or(0, Vec::len) {
                0 => lost += 1,
                count => twice += count as u64 - 1,
            }
        }
        if self.eye.letters.len() as u64 > plan.bad() {
            self.row.fail("dead letters of records that were not bad");
        }
        self.row.lost += lost;
        self.row.twice += twice;
    }

    /// Every planted event raised one incident; every command was applied once.
    fn incidents(&mut self) {
        let mut of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut others = 0;
        for (incident, ids) in self.raised() {
            let events: BTreeSet<&str> =
                ids.iter().filter_map(|id| id.strip_prefix("weibo:f")?.split('-').next()).collect();
            match events.first() {
                Some(event) => {
                    of.entry((*event).to_owned()).or_default().insert(incident);
                }
                None => others += 1,
            }
        }
        let planted = self.load.plan.events;
        let once = of.values().filter(|incidents| incidents.len() == 1).count() as u64;
        if once != planted || others > 0 {
            self.row.fail(&format!("{planted} events planted, raised {of:?} and {others} others"));
        }
        let acknowledged = self.acknowledged();
        let distinct: BTreeSet<&String> = acknowledged.iter().collect();
        if distinct.len() != self.asked.len() {
            self.row.lost += (self.asked.len() - distinct.len().min(self.asked.len())) as u64;
            self.row.note(&format!("commands given {}, applied {}", self.asked.len(), distinct.len()));
        }
        self.row.twice += (acknowledged.len() - distinct.len()) as u64;
        self.row.note(&format!("incidents {once}/{planted}, commands {}/{}", acknowledged.len(), self.asked.len()));
    }
}
