//! The settings' tables `[[channels]]` and `[outlet]` as they are read, and their check. In: tables. Out: [`Channels`], or
//! every fault in words, each with the channel it is about and never with an address or a secret.

use super::guard::{self, Network};
use super::{Channel, Channels, Kind, standard_webhook, wecom};
use crate::assess::Level;
use crate::notice::render;
use reqwest::Url;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;

/// Channels of one installation: more than a city has officers with a receiver of their own.
const CHANNELS: usize = 200;
/// Bytes of a secret's file: the longest secret has 94.
const SECRET_FILE_BYTES: u64 = 4_096;
/// Room in a link for the path of an incident's page.
const PATH_BYTES: usize = 128;
/// Kinds of the contract that are not built yet.
const PLANNED: [&str; 5] = ["dingtalk", "feishu", "sms-aliyun", "smtp", "alertmanager"];

/// One `[[channels]]` table.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelRaw {
    /// Name, unique.
    pub name: String,
    /// `wecom`, `standard-webhook`, `kafka`.
    pub kind: String,
    /// Address of the receiver; of a bot it holds the key.
    pub url: Option<String>,
    /// Levels it takes; L2 to L4 where left out.
    pub levels: Option<Vec<Level>>,
    /// `whsec_…`.
    pub secret: Option<String>,
    /// A file that holds the secret.
    pub secret_file: Option<PathBuf>,
    /// The officer whose receiver it is.
    pub officer: Option<String>,
}

impl fmt::Debug for ChannelRaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelRaw").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The `[outlet]` table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutletRaw {
    /// Private and loopback networks that receivers may be in.
    pub allow_networks: Vec<String>,
    /// Where people reach the console; links in notices begin with it.
    pub public_url: Option<String>,
}

pub(super) fn check(raw: Vec<ChannelRaw>, outlet: OutletRaw) -> Result<Channels, Vec<String>> {
    let mut faults = Vec::new();
    let mut listed = Vec::new();
    for text in &outlet.allow_networks {
        match text.parse::<Network>() {
            Ok(network) => listed.push(network),
            Err(fault) => faults.push(format!("outlet.allow_networks: {fault}")),
        }
    }
    let public_url = outlet.public_url.map(|url| public(&url)).transpose().unwrap_or_else(|fault| {
        faults.push(fault);
        None
    });
    if raw.len() > CHANNELS {
        faults.push(format!("channels: {} are more than {CHANNELS}", raw.len()));
    }
    let mut channels = BTreeMap::new();
    for table in raw.into_iter().take(CHANNELS) {
        let name = table.name.clone();
        let plain = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.');
        if name.is_empty() || name.chars().count() > 64 || !name.chars().all(plain) {
            faults.push(format!("channel {name:?}: a name has 1 to 64 letters, digits, '-', '_' or '.'"));
            continue;
        }
        match channel(table, &listed) {
            Ok(_) if channels.contains_key(&name) => faults.push(format!("channel {name:?}: the name is given twice")),
            Ok(channel) => {
                channels.insert(name, channel);
            }
            Err(found) => faults.extend(found.into_iter().map(|fault| format!("channel {name:?}: {fault}"))),
        }
    }
    if faults.is_empty() { Ok(Channels { channels, listed, public_url }) } else { Err(faults) }
}

fn public(text: &str) -> Result<String, String> {
    let fault = |why: &str| format!("outlet.public_url: {why}");
    let url = Url::parse(text).map_err(|_| fault("not an address such as \"https://yuqing.example\""))?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
        return Err(fault("http or https, without query and fragment"));
    }
    let text = url.as_str().trim_end_matches('/').to_owned();
    if text.len() + PATH_BYTES > render::LINK_BYTES { Err(fault("too long for a link in a notice")) } else { Ok(text) }
}

fn channel(table: ChannelRaw, listed: &[Network]) -> Result<Channel, Vec<String>> {
    let mut faults = Vec::new();
    let levels = table.levels.clone().unwrap_or_else(|| vec![Level::L2, Level::L3, Level::L4]);
    if levels.is_empty() || levels.contains(&Level::L0) {
        faults.push("levels is a list of L1 to L4".to_owned());
    }
    let kind = match table.kind.as_str() {
        "wecom" => wecom_of(&table, listed),
        "standard-webhook" => webhook_of(&table, listed),
        "kafka" if table.url.is_some() || table.secret.is_some() || table.secret_file.is_some() => {
            Err("kafka has its address and secrets in [kafka]".to_owned())
        }
        "kafka" => Ok(Kind::Kafka(None)),
        planned if PLANNED.contains(&planned) => Err(format!("kind {planned:?} is not built yet")),
        other => Err(format!("kind {other:?} is none of wecom, standard-webhook, kafka")),
    };
    match kind {
        Ok(kind) if faults.is_empty() => Ok(Channel { kind, levels, officer: table.officer, sent: Mutex::default() }),
        Ok(_) => Err(faults),
        Err(fault) => {
            faults.push(fault);
            Err(faults)
        }
    }
}

fn wecom_of(table: &ChannelRaw, listed: &[Network]) -> Result<Kind, String> {
    if table.secret.is_some() || table.secret_file.is_some() {
        return Err("a wecom bot has no secret besides its url".to_owned());
    }
    Ok(Kind::Wecom(wecom::Wecom { url: receiver(table, listed)? }))
}

fn webhook_of(table: &ChannelRaw, listed: &[Network]) -> Result<Kind, String> {
    let secret = match (&table.secret, &table.secret_file) {
        (Some(secret), None) => secret.clone(),
        (None, Some(path)) => read_secret(path)?,
        (None, None) => return Err("secret or secret_file is missing".to_owned()),
        (Some(_), Some(_)) => return Err("secret and secret_file are both given".to_owned()),
    };
    let signer = standard_webhook::signer(&secret)?;
    Ok(Kind::StandardWebhook(standard_webhook::StandardWebhook { url: receiver(table, listed)?, signer }))
}

fn read_secret(path: &std::path::Path) -> Result<String, String> {
    let told = |why: String| format!("secret_file {}: {why}", path.display());
    let size = std::fs::metadata(path).map_err(|error| told(error.to_string()))?.len();
    if size > SECRET_FILE_BYTES {
        return Err(told("too long for a secret".to_owned()));
    }
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(|error| told(error.to_string()))
}

fn receiver(table: &ChannelRaw, listed: &[Network]) -> Result<Url, String> {
    let text = table.url.as_deref().ok_or("url is missing")?;
    let url = Url::parse(text).map_err(|error| format!("url: {error}"))?;
    guard::check(&url, listed).map_err(|fault| format!("url: {fault}"))?;
    Ok(url)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[derive(Deserialize)]
    pub(crate) struct Tables {
        #[serde(default)]
        pub(crate) channels: Vec<ChannelRaw>,
        #[serde(default)]
        pub(crate) outlet: OutletRaw,
    }

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    fn faults(text: &str) -> Vec<String> {
        let tables: Tables = toml::from_str(text).expect(text);
        check(tables.channels, tables.outlet).err().unwrap_or_default()
    }

    #[test]
    fn the_contracts_example_is_taken() {
        let text = format!(
            "[[channels]]\nname = \"duty-bot\"\nkind = \"wecom\"\nurl = \"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k\"\n\
             levels = [\"L2\", \"L3\", \"L4\"]\n[[channels]]\nname = \"city-hub\"\nkind = \"standard-webhook\"\n\
             url = \"http://127.0.0.1:9000/hook\"\nsecret = \"{SECRET}\"\nofficer = \"li\"\n\
             [outlet]\nallow_networks = [\"127.0.0.0/8\"]\npublic_url = \"https://yuqing.example/\""
        );
        let tables: Tables = toml::from_str(&text).expect("tables");
        let channels = check(tables.channels, tables.outlet).expect("channels");
        assert_eq!(channels.names().collect::<Vec<_>>(), ["city-hub", "duty-bot"]);
        assert_eq!(channels.public_url(), Some("https://yuqing.example"));
        assert_eq!((channels.officer("city-hub"), channels.officer("duty-bot")), (Some("li"), None));
        assert_eq!(channels.for_level(Level::L2), ["city-hub", "duty-bot"]);
    }

    #[test]
    fn every_fault_is_told_with_its_channel() {
        let text = "[[channels]]\nname = \"a\"\nkind = \"dingtalk\"\nurl = \"https://x.example\"\n\
                    [[channels]]\nname = \"b\"\nkind = \"pigeon\"\n\
                    [[channels]]\nname = \"c\"\nkind = \"wecom\"\nlevels = []\n\
                    [[channels]]\nname = \"d\"\nkind = \"standard-webhook\"\nurl = \"https://x.example\"\n\
                    [[channels]]\nname = \"e\"\nkind = \"wecom\"\nurl = \"https://10.0.0.1/?key=tiger\"\n\
                    [[channels]]\nname = \"\"\nkind = \"wecom\"\n\
                    [outlet]\nallow_networks = [\"ten\"]\npublic_url = \"yuqing\"";
        let faults = faults(text);
        let wants = [
            "allow_networks",
            "public_url",
            "\"a\": kind \"dingtalk\" is not built",
            "\"b\": kind \"pigeon\"",
            "\"c\": levels",
            "\"c\": url is missing",
            "\"d\": secret",
            "\"e\": url: address 10.0.0.1",
            "\"\": a name",
        ];
        for want in wants {
            assert!(faults.iter().any(|fault| fault.contains(want)), "{want} in {faults:#?}");
        }
        assert_eq!(faults.len(), wants.len());
        assert!(!faults.iter().any(|fault| fault.contains("tiger")));
    }

    #[test]
    fn kafka_has_its_address_elsewhere() {
        let one = "[[channels]]\nname = \"bus\"\nkind = \"kafka\"\n";
        let tables: Tables = toml::from_str(one).expect("tables");
        assert!(check(tables.channels, tables.outlet).expect("channels").need_kafka());
        for more in ["url = \"https://x.example\"", "secret = \"tiger\""] {
            let faults = faults(&format!("{one}{more}"));
            assert!(faults.len() == 1 && faults[0].contains("[kafka]") && !faults[0].contains("tiger"), "{faults:?}");
        }
    }

    #[test]
    fn names_are_unique_and_fields_known() {
        let one = "[[channels]]\nname = \"a\"\nkind = \"wecom\"\nurl = \"https://x.example\"\n";
        assert_eq!(faults(&one.repeat(2)), ["channel \"a\": the name is given twice"]);
        assert!(toml::from_str::<Tables>(&format!("{one}colour = \"red\"")).is_err());
        assert!(toml::from_str::<Tables>("[outlet]\nallow = []").is_err());
    }

    #[test]
    fn a_secret_may_stand_in_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, format!("{SECRET}\n")).expect("written");
        let table = |path: &std::path::Path| {
            format!(
                "[[channels]]\nname = \"hub\"\nkind = \"standard-webhook\"\nurl = \"https://x.example\"\nsecret_file = {path:?}"
            )
        };
        assert_eq!(faults(&table(&path)), Vec::<String>::new());
        assert!(faults(&table(&folder.path().join("none")))[0].contains("secret_file"));
        assert!(
            !format!("{:?}", toml::from_str::<Tables>(&table(&path)).expect("tables").channels[0])
                .contains("x.example")
        );
    }
}
