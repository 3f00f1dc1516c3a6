//! Names and addresses replaced by others, the same always by the same.

use serde_json::Value;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Values of these fields are words of Hawser's own.
const VOCABULARY: [&str; 16] = [
    "case",
    "cause",
    "confidence",
    "down_cause",
    "event",
    "kind",
    "mode",
    "name",
    "outcome",
    "reason",
    "role",
    "severity",
    "status",
    "trigger",
    "verdict",
    "what",
];

/// Knows what names and addresses are called in a report.
///
/// Of an IPv4 address the first three octets are replaced, of an IPv6 address everything, network and host apart: what was
/// in one network still is.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    /// By the name in lower case.
    names: HashMap<String, String>,
    /// Names that are more than one word, the longest first.
    phrases: Vec<(String, String)>,
    kinds: HashMap<String, usize>,
    v4: HashMap<[u8; 3], usize>,
    v6_networks: HashMap<[u8; 8], usize>,
    v6_hosts: HashMap<[u8; 8], usize>,
}

impl Redactor {
    /// A name that is not to be told: `kind` and a number are told in its place. An address needs none.
    pub(crate) fn name(&mut self, kind: &str, name: &str) {
        let key = name.to_lowercase();
        let hidden = !name.is_empty() && name != "default" && name.parse::<IpAddr>().is_err();
        if !hidden || self.names.contains_key(&key) {
            return;
        }
        let number = self.kinds.entry(kind.to_owned()).or_default();
        *number += 1;
        let token = format!("{kind}-{number}");
        if !name.chars().all(in_word) {
            self.phrases.push((name.to_owned(), token.clone()));
            self.phrases
                .sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        }
        self.names.insert(key, token);
    }

    /// Every value of a document, but its own words.
    pub(crate) fn json(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(list) => list.iter_mut().for_each(|value| self.json(value)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    if !(value.is_string() && VOCABULARY.contains(&key.as_str())) {
                        self.json(value);
                    }
                }
            }
            _ => {}
        }
    }

    /// Every name and address of a text.
    pub(crate) fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, token) in &self.phrases {
            text = text.replace(name, token);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let word = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
            let (run, behind) = rest.split_at(word);
            self.word(run, &mut out);
            let gap = behind.find(in_word).unwrap_or(behind.len());
            let (between, next) = behind.split_at(gap);
            out.push_str(between);
            rest = next;
        }
        out
    }

    /// A run without spaces: a name or an address, or several of these.
    fn word(&mut self, run: &str, out: &mut String) {
        if let Some(token) = self.names.get(&run.to_lowercase()) {
            return out.push_str(token);
        }
        if let Ok(address) = run.parse::<IpAddr>() {
            return out.push_str(&self.address(address).to_string());
        }
        if let Ok(socket) = run.parse::<SocketAddr>() {
            let address = self.address(socket.ip());
            return out.push_str(&SocketAddr::new(address, socket.port()).to_string());
        }
        for separator in [':', '-', '.'] {
            if let Some((first, rest)) = run.split_once(separator) {
                self.word(first, out);
                out.push(separator);
                return self.word(rest, out);
            }
        }
        out.push_str(run);
    }

    fn address(&mut self, address: IpAddr) -> IpAddr {
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            return address;
        }
        match address {
            IpAddr::V4(v4) if v4.is_broadcast() => address,
            IpAddr::V4(v4) => {
                let [a, b, c, host] = v4.octets();
                let [high, low] = number(&mut self.v4, [a, b, c]);
                Ipv4Addr::new(10, high, low, host).into()
            }
            IpAddr::V6(v6) => {
                let octets = v6.octets();
                let (mut network, mut host) = ([0; 8], [0; 8]);
                network.copy_from_slice(&octets[..8]);
                host.copy_from_slice(&octets[8..]);
                let network = u16::from_be_bytes(number(&mut self.v6_networks, network));
                let host = match host {
                    [0, 0, 0, 0, 0, 0, 0, 0] => 0,
                    _ => u16::from_be_bytes(number(&mut self.v6_hosts, host)),
                };
                Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host).into()
            }
        }
    }
}

/// Which one it is of those seen so far, from 1.
fn number<K: std::hash::Hash + Eq>(known: &mut HashMap<K, usize>, key: K) -> [u8; 2] {
    let next = known.len() + 1;
    let number = *known.entry(key).or_insert(next);
    (number as u16).to_be_bytes()
}

/// What names and addresses are made of.
fn in_word(c: char) -> bool {
    c.is_alphanumeric() || "._:@*-".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn redactor() -> Redactor {
        let mut redactor = Redactor::default();
        for name in ["test", "test-lab.example", "CN=gw, O=Bank", "192.0.2.9", ""] {
            redactor.name("identity", name);
        }
        redactor.name("template", "branch");
        redactor.name("tenant", "default");
        redactor
    }

    #[test]
    fn the_same_is_called_the_same() {
        let mut redactor = redactor();
        let told =
            redactor.text("test (120.208.142.17/8192) TEST, test-lab.example; 'CN=gw, O=Bank'");
        assert_eq!(
            told,
            "identity-1 (10.0.1.17/8192) identity-1, identity-2; 'identity-3'"
        );
        assert_eq!(
            redactor.text("172.16.19.0-172.16.19.255 120.208.142.18:500 0.0.0.0/0"),
            "10.0.2.0-10.0.2.255 10.0.1.18:500 0.0.0.0/0"
        );
        assert_eq!(
            redactor.text("[2400:cb00::7]:4500 2400:cb00::/64 00:25:46.539Z"),
            "[2001:db8:0:1::1]:4500 2001:db8:0:1::/64 00:25:46.539Z"
        );
        assert_eq!(
            redactor.text("templates.branch.dpd"),
            "templates.template-1.dpd"
        );
        assert_eq!(redactor.text("default tester"), "default tester");
    }

    #[test]
    fn words_of_our_own_stay() {
        let mut redactor = Redactor::default();
        redactor.name("identity", "up");
        let mut value = json!({
            "status": "up", "identity": "up", "list": [["remote", "up"]], "peer_up": 3,
        });
        redactor.json(&mut value);
        assert_eq!(
            value,
            json!({
                "status": "up", "identity": "identity-1", "list": [["remote", "identity-1"]], "peer_up": 3,
            })
        );
    }
}
