//! Where notices may go: no receiver in a private, loopback or otherwise special network unless the settings list it.
//!
//! In: an address of a receiver and the listed networks. Out: a client that can reach nothing else: the name is resolved
//! once, every address checked, and the connection pinned to them; no proxy, no redirect, no second look-up.

use reqwest::Url;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Once;
use std::time::Duration;

/// Time for one attempt, from connecting to the last byte of the answer.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for connecting: what has not connected by then was not sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a look-up of a name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

static CRYPTO: Once = Once::new();

/// Why a receiver is not reached.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// Neither http nor https, no host, or a password in the address.
    #[error("not an http or https address of a host")]
    Address,
    /// An address in a special network that is not listed.
    #[error("address {0} is in a private or special network that outlet.allow_networks does not list")]
    Network(IpAddr),
    /// Without TLS to a network that is not listed.
    #[error("plain http is for networks that outlet.allow_networks lists; use https")]
    Plain,
    /// The name has no address now.
    #[error("the receiver's name could not be resolved")]
    Unresolved,
    /// No client could be made.
    #[error("no client could be made: {0}")]
    Client(String),
}

/// A network in the form `10.0.0.0/8` or `fd00::/8`; a lone address is a network of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let fault = || format!("{text:?} is no network such as \"10.0.0.0/8\" or \"fd00::/8\"");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| fault())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => prefix.parse().map_err(|_| fault())?,
            Some(_) => return Err(fault()),
            None => bits,
        };
        if prefix > bits { Err(fault()) } else { Ok(Network { address, prefix }) }
    }
}

impl Network {
    /// Whether `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.prefix);
                net.to_bits().checked_shr(shift).unwrap_or(0) == ip.to_bits().checked_shr(shift).unwrap_or(0)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.prefix);
                net.to_bits().checked_shr(shift).unwrap_or(0) == ip.to_bits().checked_shr(shift).unwrap_or(0)
            }
            _ => false,
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Network {
    Network { address: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), prefix }
}

const fn v6(a: u16, b: u16, prefix: u8) -> Network {
    Network { address: IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0)), prefix }
}

/// The special networks of the IANA registries; of IPv6 everything outside 2000::/3 besides these.
const SPECIAL: [Network; 20] = [
    v4(0, 0, 0, 8),
    v4(10, 0, 0, 8),
    v4(100, 64, 0, 10),
    v4(127, 0, 0, 8),
    v4(169, 254, 0, 16),
    v4(172, 16, 0, 12),
    v4(192, 0, 0, 24),
    v4(192, 0, 2, 24),
    v4(192, 88, 99, 24),
    v4(192, 168, 0, 16),
    v4(198, 18, 0, 15),
    v4(198, 51, 100, 24),
    v4(203, 0, 113, 24),
    v4(224, 0, 0, 4),
    v4(240, 0, 0, 4),
    v6(0x2001, 0, 23),
    v6(0x2001, 0xdb8, 32),
    v6(0x2002, 0, 16),
    v6(0x3fff, 0, 20),
    v6(0x3ffe, 0, 16),
];
const GLOBAL_V6: Network = v6(0x2000, 0, 3);

/// Whether a notice may go to `address`.
pub fn allowed(address: IpAddr, listed: &[Network]) -> bool {
    let address = address.to_canonical();
    is_listed(address, listed) || !special(address)
}

fn is_listed(address: IpAddr, listed: &[Network]) -> bool {
    listed.iter().any(|network| network.contains(address.to_canonical()))
}

fn special(address: IpAddr) -> bool {
    SPECIAL.iter().any(|network| network.contains(address)) || (address.is_ipv6() && !GLOBAL_V6.contains(address))
}

/// What can be told of an address without a look-up: its scheme, its host, and a literal's network.
pub fn check(url: &Url, listed: &[Network]) -> Result<(), Fault> {
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::Address);
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(Fault::Address)?;
    match literal(host) {
        Some(address) => admit(url, address, listed),
        None => Ok(()),
    }
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn admit(url: &Url, address: IpAddr, listed: &[Network]) -> Result<(), Fault> {
    if !allowed(address, listed) {
        return Err(Fault::Network(address));
    }
    if url.scheme() == "http" && !is_listed(address, listed) {
        return Err(Fault::Plain);
    }
    Ok(())
}

/// Resolves the host of `url` and checks every address; one bad address refuses them all.
pub async fn resolve(url: &Url, listed: &[Network]) -> Result<Vec<SocketAddr>, Fault> {
    check(url, listed)?;
    let host = url.host_str().ok_or(Fault::Address)?;
    let port = url.port_or_known_default().ok_or(Fault::Address)?;
    if let Some(address) = literal(host) {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((host, port))).await;
    let addresses: Vec<SocketAddr> = found.map_err(|_| Fault::Unresolved)?.map_err(|_| Fault::Unresolved)?.collect();
    if addresses.is_empty() {
        return Err(Fault::Unresolved);
    }
    for address in &addresses {
        admit(url, address.ip(), listed)?;
    }
    Ok(addresses)
}

/// A client for one attempt that connects to the checked addresses of `url` only.
pub async fn client(url: &Url, listed: &[Network]) -> Result<reqwest::Client, Fault> {
    let addresses = resolve(url, listed).await?;
    CRYPTO.call_once(|| {
        // Already installed by another part of the process is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .timeout(SEND_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(0)
        .user_agent(concat!("yuqing/", env!("CARGO_PKG_VERSION")));
    if let Some(host) = url.host_str() {
        builder = builder.resolve_to_addrs(host, &addresses);
    }
    if url.scheme() == "http" {
        // No certificate is ever asked for: a machine without roots can still send to a listed network.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| Fault::Client(error.without_url().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Vec<Network> {
        list.iter().map(|text| text.parse().expect("a network")).collect()
    }

    #[tokio::test]
    async fn special_receivers_are_refused_in_every_spelling() {
        let refused = [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://127.255.255.254:8443/x",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://0/",
            "https://0.0.0.0/",
            "https://10.0.0.1/",
            "https://10.255.255.255/",
            "https://172.16.0.1/",
            "https://172.31.255.255/",
            "https://192.168.1.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/",
            "https://100.100.100.200/",
            "https://192.0.0.1/",
            "https://198.18.0.1/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
            "https://[::1]/",
            "https://[::]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://[fc00::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://[ff02::1]/",
            "https://[2001:db8::1]/",
            "https://localhost/",
            "https://①②⑦.0.0.1/",
            "http://8.8.8.8/",
            "ftp://8.8.8.8/",
            "file:///etc/hostname",
            "https://user:pass@8.8.8.8/",
        ];
        for text in refused {
            let url = Url::parse(text).expect(text);
            let fault = resolve(&url, &[]).await.expect_err(text);
            assert!(matches!(fault, Fault::Network(_) | Fault::Plain | Fault::Address), "{text}: {fault}");
        }
    }

    #[tokio::test]
    async fn public_and_listed_receivers_are_reached() {
        let listed = networks(&["127.0.0.0/8", "fd00::/8"]);
        for text in ["https://8.8.8.8/", "https://[2606:4700::1111]/", "http://127.0.0.1:8080/", "http://[fd12::9]/"] {
            let url = Url::parse(text).expect(text);
            let found = resolve(&url, &listed).await.expect(text);
            assert_eq!(found.len(), 1, "{text}");
        }
        let other = Url::parse("http://10.0.0.1/").expect("a URL");
        assert_eq!(resolve(&other, &listed).await, Err(Fault::Network(IpAddr::from([10, 0, 0, 1]))));
        let mapped = Url::parse("http://[::ffff:127.0.0.1]/").expect("a URL");
        assert!(resolve(&mapped, &listed).await.is_ok());
    }

    #[test]
    fn networks_are_read_and_bounded() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let list = networks(&["10.1.2.0/23", "0.0.0.0/0", "::/0", "192.0.2.7"]);
        assert!(list[0].contains(ip("10.1.3.255")) && !list[0].contains(ip("10.1.4.0")));
        assert!(list[1].contains(ip("255.1.1.1")) && !list[1].contains(ip("::1")));
        assert!(list[2].contains(ip("ffff::1")));
        assert!(list[3].contains(ip("192.0.2.7")) && !list[3].contains(ip("192.0.2.6")));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "host/8"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
