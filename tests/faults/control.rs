//! The control: a small consumer with automatic commits, as many are written. In: a topic. Out: a file of the positions it has dealt with. Under
//! the same kills it must lose or repeat, or the rig proves nothing.

use crate::load::{Load, PARTITIONS, Plan};
use crate::{Ground, Options, Row};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Records dealt with at once.
const BATCH: usize = 500;

/// `--consume BOOTSTRAP TOPIC GROUP FILE`: never returns.
pub fn consume() {
    let words: Vec<String> = std::env::args().skip(2).collect();
    let [bootstrap, topic, group, file] = &words[..] else { panic!("--consume BOOTSTRAP TOPIC GROUP FILE") };
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("group.instance.id", "control")
        .set("session.timeout.ms", "3000")
        .set("auto.offset.reset", "earliest")
        .set("auto.commit.interval.ms", "300")
        .create()
        .expect("a consumer");
    consumer.subscribe(&[topic]).expect("subscribed");
    let mut out = std::fs::File::options().create(true).append(true).open(file).expect("a file");
    loop {
        let mut lines = String::new();
        let until = Instant::now() + Duration::from_millis(200);
        let mut count = 0;
        while count < BATCH && Instant::now() < until {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                lines.push_str(&format!("{} {}\n", message.partition(), message.offset()));
                count += 1;
            }
        }
        // What takes time in a real one.
        std::thread::sleep(Duration::from_millis(20));
        out.write_all(lines.as_bytes()).expect("written");
    }
}

/// The row.
pub fn row(ground: &Ground, options: &Options, name: &str) -> Row {
    let mut row = Row::new(name);
    row.control = true;
    let started = Instant::now();
    let plan = Plan::new(if options.quick { 10_000 } else { 30_000 }, 0);
    let (records, kills) = (plan.records, if options.quick { 8 } else { 20 });
    let topic = format!("mentions-{name}");
    ground.admin.make(&topic, PARTITIONS as i32, &[]);
    let folder = crate::house::folder();
    let file = folder.path().join("dealt");
    let start = || -> Child {
        let this = std::env::current_exe().expect("this program");
        let mut command = Command::new(this);
        command.args(["--consume", &ground.broker.bootstrap, &topic, name]).arg(&file);
        command.stderr(Stdio::null()).spawn().expect("the control starts")
    };
    let dealt = || std::fs::read(&file).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count() as u64);
    let mut load = Load::new(&ground.broker.bootstrap, &topic, plan);
    let mut child = start();
    for kill in 0..kills {
        let wanted = records * (kill + 1) / (kills + 2);
        let until = Instant::now() + Duration::from_secs(60);
        while dealt() < wanted && Instant::now() < until {
            load.write((dealt() + 3_000).saturating_sub(load.delivered()));
            std::thread::sleep(Duration::from_millis(37));
        }
        row.wanted += 1;
        row.hits += u64::from(matches!(child.try_wait(), Ok(None)) && child.kill().is_ok());
        let _ = child.wait();
        child = start();
    }
    while load.write(10_000) {}
    load.flush();
    // Done when nothing more has come for a while.
    let mut last = (dealt(), Instant::now());
    while last.1.elapsed() < Duration::from_secs(6) {
        std::thread::sleep(Duration::from_millis(100));
        let now = dealt();
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    let _ = (child.kill(), child.wait());
    let mut seen = vec![0u64; records as usize];
    let text = std::fs::read_to_string(&file).expect("what it dealt with");
    for line in text.lines() {
        let mut numbers = line.split(' ').filter_map(|word| word.parse::<u64>().ok());
        if let (Some(part), Some(offset)) = (numbers.next(), numbers.next()) {
            seen[(offset * PARTITIONS + part) as usize] += 1;
        }
    }
    row.records = records;
    row.lost = seen.iter().filter(|&&count| count == 0).count() as u64;
    row.twice = seen.iter().map(|&count| count.saturating_sub(1)).sum();
    row.seconds = started.elapsed().as_secs_f64();
    row
}
