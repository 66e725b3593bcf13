//! `[client_key]`: how clients are told apart, and whose word is believed about their address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::error::Fault;
use super::settings::Settings;

/// How clients are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey {
    /// By what.
    pub source: ClientKeySource,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
}

/// What tells clients apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKeySource {
    /// The address that they call from.
    Address,
    /// This header, in small letters; the address where it is missing.
    Header(String),
}

/// An address, or all addresses that begin like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl ClientKey {
    pub(super) fn read(settings: &Settings) -> Result<Self, Fault> {
        let source = match settings.text("client_key.header") {
            "" => ClientKeySource::Address,
            name if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') => {
                ClientKeySource::Header(name.to_ascii_lowercase())
            }
            name => {
                return Err(settings.fault("client_key.header", format_args!("`{name}` is no header's name")));
            }
        };
        let proxies = settings.texts("client_key.trusted_proxies").iter().map(|text| text.parse());
        let trusted_proxies = proxies
            .collect::<Result<_, String>>()
            .map_err(|problem| settings.fault("client_key.trusted_proxies", problem))?;
        Ok(Self { source, trusted_proxies })
    }

    /// Whether this address is a proxy that is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

impl Network {
    /// Whether an address is of this network. An IPv4 address that is written as IPv6 is the same address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(own.to_bits().into(), other.to_bits().into(), 32 - self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128 - self.bits),
            _ => false,
        }
    }
}

/// Whether two numbers are the same but for their last bits.
fn same(one: u128, other: u128, free: u32) -> bool {
    (one ^ other).checked_shr(free).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no address or network; write it like `10.0.0.0/8`");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        match bits.unwrap_or(most) {
            bits if bits <= most => Ok(Self { address, bits }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_that_begin_like_it() {
        fn check(network: &str, address: &str, holds: bool) {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), holds, "{network} {address}");
        }
        check("10.0.0.0/8", "10.255.1.2", true);
        check("10.0.0.0/8", "11.0.0.0", false);
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check("10.0.0.1", "10.0.0.1", true);
        check("10.0.0.1", "10.0.0.2", false);
        check("0.0.0.0/0", "1.2.3.4", true);
        check("0.0.0.0/0", "::1", false);
        check("::/0", "::1", true);
        check("fd00::/8", "fd12::1", true);
        check("fd00::/8", "fe12::1", false);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "a", "10.0.0.0/-1", "10.0.0.0/"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
