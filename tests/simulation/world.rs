//! One seed makes a world: a handful of planted events with their witnesses, noise, refused, deleted and doubled records, spread
//! over partitions that lag behind one another. Texts are written by us, about nobody real.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use yuqing::assess::{Reader, Reading};
use yuqing::intake::Body;
use yuqing::mention::{Counts, Kind, Mention, Parent, RefusalCode, Refused, SourceKey};
use yuqing::rule::settings::Rules;
use yuqing::run::tables;
use yuqing::settings::read_dictionaries;
use yuqing::time::{Day, Instant, Span};

/// The compiled dictionaries, once for all worlds.
pub static TABLES: LazyLock<(Arc<Reader>, Rules)> = LazyLock::new(|| {
    let sources = read_dictionaries(std::path::Path::new("dictionaries"), false).expect("dictionaries are there");
    let tables = tables::load(&sources).expect("dictionaries are sound");
    (Arc::new(tables.reader), tables.rules)
});

/// What each text says; few are different.
static READ: LazyLock<Mutex<BTreeMap<String, Reading>>> = LazyLock::new(Mutex::default);

/// A splitmix64: the same worlds on every machine.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// True in so many of a thousand.
    pub fn in_thousand(&mut self, n: usize) -> bool {
        self.below(1_000) < n
    }

    pub fn seconds(&mut self, below: usize) -> Span {
        Span::seconds(self.below(below.max(1)) as i64)
    }
}

/// What one kind of event is told in; `{t}` is the township.
pub struct Script {
    pub texts: &'static [&'static str],
    /// Sources without which it is not raised.
    pub least: usize,
    /// Whether some witnesses tell of worse than others.
    pub rising: bool,
    pub person: bool,
}

pub const SCRIPTS: &[Script] = &[
    Script {
        texts: &[
            "{t}一栋居民楼着火了，有三个人被困在楼上，快来救人",
            "{t}居民楼起火，浓烟很大，楼上还有两个人被困没下来",
            "看到{t}那边楼房着火了，有人被困在里面喊救命，消防车还没到",
        ],
        least: 1,
        rising: false,
        person: false,
    },
    Script {
        texts: &[
            "{t}联圩堤脚冒水泡，泡泉一个接一个，村里的人都跑出来看，请赶快派人来",
            "{t}联圩大堤出现管涌，堤脚一直冒水泡，巡堤的人在喊人",
            "在{t}堤上看到泡泉了，堤脚冒水泡，水越冒越大",
        ],
        least: 1,
        rising: false,
        person: false,
    },
    Script {
        texts: &[
            "{t}停水两天了，几百户居民没有水用，物业说不清楚什么时候恢复",
            "求助！{t}停水两天了，几百户居民没有水用，物业说不清楚什么时候恢复",
            "{t}停水两天了，几百户居民没有水用，物业说不清楚什么时候恢复，急",
        ],
        least: 3,
        rising: false,
        person: false,
    },
    Script {
        texts: &[
            "{t}一家店铺着火了，正在冒黑烟，大家绕行",
            "{t}那家店铺着火了，一直在冒黑烟，路也堵了",
            "{t}一家店铺着火了，里面有两个人被困，快来救人",
        ],
        least: 1,
        rising: true,
        person: false,
    },
    Script {
        texts: &["{t}某工地老板拖欠我们30个人两个月工资，过年怎么办"], least: 1, rising: false, person: false
    },
    Script { texts: &["{t}有人在天台要轻生，谁去救救他"], least: 1, rising: false, person: true },
];

pub const TOWNSHIPS: &[&str] = &["蒋巷镇", "扬子洲镇", "文港镇", "万埠镇", "长堎街道", "青云谱镇", "向塘镇"];

const NOISE: &[&str] = &[
    "今天路边的桂花开了，散步很舒服",
    "中午吃了一碗瓦罐汤，味道不错",
    "周末去看画展，人不算多，慢慢逛",
    "地铁上有人让座，心里暖暖的",
    "晚上的音乐喷泉很好看，下次还来",
    "新买的自行车很轻，骑起来很快",
];

/// What people say beside an event without telling what it is; each is used for one event.
const ASIDE: &[&str] = &[
    "{t}那边怎么停了这么多车，路口站满了看热闹的人",
    "刚路过{t}，一大群人围在路边，不知道在看什么东西",
    "{t}这会儿好多人往一个方向跑，有谁知道是怎么回事吗",
];

/// One planted event.
#[derive(Debug)]
pub struct Planted {
    pub ids: Vec<String>,
    pub rising: bool,
    pub person: bool,
}

/// One record of the stream.
#[derive(Clone)]
pub struct Sent {
    /// From when the broker has it.
    pub arrives: Instant,
    pub body: Body,
    pub reading: Option<Box<Reading>>,
}

/// Everything that a seed makes.
pub struct World {
    pub start: Instant,
    pub planted: Vec<Planted>,
    pub partitions: Vec<Vec<Sent>>,
    /// First offset of each partition.
    pub base: Vec<u64>,
    /// Ids deleted at their source.
    pub deleted: Vec<String>,
    /// When the last record has arrived.
    pub last: Instant,
}

/// A record before it is laid into a partition.
struct Raw {
    at: Instant,
    key: String,
    body: Body,
}

fn mention(id: String, text: String, created: Instant, collected: Instant, source: u64) -> Mention {
    Mention {
        id,
        platform: "weibo".to_owned(),
        kind: Kind::Post,
        text,
        summary: None,
        created_at: created,
        collected_at: collected,
        url: None,
        source: Some(SourceKey(source)),
        official: None,
        parent: None,
        to: Vec::new(),
        counts: Counts::default(),
        listing: None,
        place: None,
        media: Vec::new(),
    }
}

/// What a mention says, read once for each text.
pub fn read(mention: &Mention) -> Reading {
    let mut read = READ.lock().expect("no reader dies");
    let mut reading = read.entry(mention.text.clone()).or_insert_with(|| TABLES.0.read(mention)).clone();
    reading.assessment.id.clone_from(&mention.id);
    reading
}

impl World {
    /// The world of a seed.
    pub fn of(seed: u64) -> World {
        let mut rng = Rng(seed ^ 0x5eed);
        let start = Day(20_800).start() + Span::hours(5) + rng.seconds(15 * 3_600);
        let (mut raws, planted) = World::plant(&mut rng, start);
        World::noise(&mut rng, start, &mut raws);
        let deleted = World::delete(&mut rng, &mut raws);
        World::double(&mut rng, &mut raws, &deleted);
        let count = 1 + rng.below(6);
        let mut partitions: Vec<Vec<Sent>> = vec![Vec::new(); count];
        raws.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
        let mut lag = vec![Span::millis(0); count];
        for raw in raws {
            // The key of a record says its partition; a double may have been sent elsewhere.
            let hash = raw.key.bytes().fold(seed, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
            let partition = (hash % count as u64) as usize;
            if rng.in_thousand(60) {
                lag[partition] = if rng.in_thousand(500) { Span::millis(0) } else { rng.seconds(1_800) };
            }
            let before = partitions[partition].last().map_or(start, |sent| sent.arrives);
            let reading = match &raw.body {
                Body::Mention(mention) => Some(Box::new(read(mention))),
                _ => None,
            };
            let arrives = before.max(raw.at + lag[partition]);
            partitions[partition].push(Sent { arrives, body: raw.body, reading });
        }
        let base = (0..count).map(|_| if rng.in_thousand(300) { rng.below(50) as u64 } else { 0 }).collect();
        let last = partitions.iter().flatten().map(|sent| sent.arrives).max().unwrap_or(start);
        World { start, planted, partitions, base, deleted, last }
    }

    /// The same records in one partition, none late, each once.
    pub fn calm(&self) -> World {
        let mut all: Vec<Sent> = self.partitions.iter().flatten().cloned().collect();
        let at = |sent: &Sent| match &sent.body {
            Body::Mention(mention) => mention.collected_at,
            _ => sent.arrives,
        };
        all.sort_by_key(at);
        let mut met = std::collections::BTreeSet::new();
        all.retain(|sent| !matches!(&sent.body, Body::Mention(mention) if !met.insert(mention.id.clone())));
        let last = all.iter().map(|sent| sent.arrives).max().unwrap_or(self.start);
        World {
            start: self.start,
            planted: Vec::new(),
            partitions: vec![all],
            base: vec![0],
            deleted: self.deleted.clone(),
            last,
        }
    }

    /// What its planted witnesses say, and where.
    pub fn tell(&self) {
        let ids: Vec<&String> = self.planted.iter().flat_map(|planted| &planted.ids).collect();
        for (partition, records) in self.partitions.iter().enumerate() {
            for (n, sent) in records.iter().enumerate() {
                let (arrives, offset) = (sent.arrives, self.base[partition] + n as u64);
                match &sent.body {
                    Body::Mention(one) if ids.contains(&&one.id) => {
                        let (source, at) = (one.source.map_or(0, |source| source.0), one.collected_at);
                        eprintln!(
                            "{partition}/{offset} {arrives}: {} by {source} at {at} {:?} {}",
                            one.id, one.kind, one.text
                        );
                    }
                    Body::Deleted { id } => eprintln!("{partition}/{offset} {arrives}: {id} is deleted"),
                    _ => {}
                }
            }
        }
    }

    fn plant(rng: &mut Rng, start: Instant) -> (Vec<Raw>, Vec<Planted>) {
        let (mut raws, mut planted) = (Vec::new(), Vec::new());
        let mut townships = TOWNSHIPS.to_vec();
        // Texts that differ by the place alone are copies to the folding: each script is played once.
        let mut scripts: Vec<&Script> = SCRIPTS.iter().collect();
        for event in 0..3 + rng.below(SCRIPTS.len() - 2) {
            let township = townships.swap_remove(rng.below(townships.len()));
            let script = scripts.swap_remove(rng.below(scripts.len()));
            let begins = start + rng.seconds(80 * 60);
            let count = if script.person { 1 } else { script.least.max(2) + rng.below(5) };
            // Where topics are tied together below, all tell it in the same words: so that every order comes to one topic.
            let aside = ASIDE.get(event).filter(|_| !script.person && !script.rising);
            let mut ids: Vec<String> = Vec::new();
            let mut source = 0;
            for witness in 0..count {
                let collected = begins + if witness == 0 { Span::millis(0) } else { rng.seconds(2_400) };
                let late = if rng.in_thousand(200) { rng.seconds(1_800) } else { rng.seconds(60) };
                // The last text of a script that rises is the worst; one witness tells it for certain.
                let text = if witness == 0 || aside.is_some() {
                    script.texts.len() - 1
                } else {
                    rng.below(script.texts.len())
                };
                source += u64::from(witness < script.least || !rng.in_thousand(150));
                let id = format!("weibo:e{event}-{witness}");
                let text = script.texts[text].replace("{t}", township);
                let author = event as u64 * 1_000 + source;
                let mut one = mention(id.clone(), text, collected - late, collected, author);
                if witness > 0 && aside.is_none() && rng.in_thousand(200) {
                    one.kind = Kind::Repost;
                    one.parent = Some(Parent { id: ids[0].clone() });
                }
                ids.push(id.clone());
                raws.push(Raw { at: collected, key: id, body: Body::Mention(Box::new(one)) });
            }
            if let Some(aside) = aside {
                // Said before, and said again under the first witness's post: two topics turn out to be one, and which of them was
                // there first depends on the order of the partitions.
                let text = aside.replace("{t}", township);
                for (n, collected) in
                    [begins - rng.seconds(600), begins - Span::minutes(5) + rng.seconds(1_200)].into_iter().enumerate()
                {
                    let id = format!("weibo:a{event}-{n}");
                    let author = 500_000 + event as u64;
                    let mut one = mention(id.clone(), text.clone(), collected, collected, author);
                    one.parent = (n > 0).then(|| Parent { id: ids[0].clone() });
                    raws.push(Raw { at: collected, key: id, body: Body::Mention(Box::new(one)) });
                }
            }
            planted.push(Planted { ids, rising: script.rising, person: script.person });
        }
        (raws, planted)
    }

    fn noise(rng: &mut Rng, start: Instant, raws: &mut Vec<Raw>) {
        for n in 0..40 + rng.below(110) {
            let at = start + rng.seconds(2 * 3_600);
            let id = format!("weibo:n{n}");
            let body = if rng.in_thousand(50) {
                let code = *rng.pick(&[RefusalCode::NotJson, RefusalCode::MissingId, RefusalCode::BadTime]);
                let refused = Refused { line: n as u64, id: None, code, detail: code.name().to_owned() };
                Body::Refused { refused, head: format!("{{\"n\":{n}"), at }
            } else {
                let text = format!("{}{}", rng.pick(NOISE), rng.below(40));
                Body::Mention(Box::new(mention(id.clone(), text, at - rng.seconds(600), at, 1_000_000 + n as u64)))
            };
            raws.push(Raw { at, key: id, body });
        }
    }

    /// Some mentions are taken back by their authors later; never the first of an event.
    fn delete(rng: &mut Rng, raws: &mut Vec<Raw>) -> Vec<String> {
        let mut deleted = Vec::new();
        let mut more = Vec::new();
        for raw in raws.iter().filter(|raw| matches!(raw.body, Body::Mention(_))) {
            if rng.in_thousand(30) {
                deleted.push(raw.key.clone());
                let at = raw.at + Span::minutes(1) + rng.seconds(3_600);
                more.push(Raw { at, key: raw.key.clone(), body: Body::Deleted { id: raw.key.clone() } });
            }
        }
        raws.extend(more);
        deleted
    }

    /// Some records come twice, at times with higher counts; what was not deleted may come again in another partition.
    fn double(rng: &mut Rng, raws: &mut Vec<Raw>, deleted: &[String]) {
        let mut more = Vec::new();
        for raw in raws.iter() {
            let Body::Mention(mention) = &raw.body else { continue };
            if !rng.in_thousand(120) {
                continue;
            }
            let mut again = mention.clone();
            let at = raw.at + rng.seconds(1_200);
            let body = match rng.below(3) {
                0 => Body::Mention(again),
                1 => {
                    again.counts.likes = 1 + rng.below(50) as u64;
                    Body::Mention(again)
                }
                _ => Body::Counts { id: mention.id.clone(), counts: Counts { likes: 40, ..Counts::default() } },
            };
            let elsewhere = !deleted.contains(&raw.key) && rng.in_thousand(300);
            let key = if elsewhere { format!("{}-again", raw.key) } else { raw.key.clone() };
            more.push(Raw { at, key, body });
        }
        raws.extend(more);
    }

    /// The offset after the last record of a partition.
    pub fn end(&self, partition: usize) -> u64 {
        self.base[partition] + self.partitions[partition].len() as u64
    }
}

/// A mention that says nothing yet.
pub fn noise_of_nobody() -> Mention {
    let at = Day(20_800).start();
    mention("weibo:0".to_owned(), String::new(), at, at, 0)
}
