//! Determines the client address of a request. A header that names the client counts only when a trusted proxy sent it.
//! `axum-client-ip` is not used: it trusts one header from every peer and knows no list of trusted networks.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use butt_dial_domain::{Code, Failure};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The networks of `TRUSTED_PROXIES`.
#[derive(Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// A trusted proxy sent a header that names no client. The request is refused: it must not count against the proxy, and with
/// it against all other clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadableClient;

impl From<UnreadableClient> for Failure {
    fn from(_: UnreadableClient) -> Self {
        Self::new(
            Code::InvalidArgument,
            "the client's address can't be read from X-Forwarded-For, Forwarded or X-Real-IP",
        )
    }
}

impl TrustedProxies {
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self(trusted)
    }

    /// Returns the client's address: the rightmost entry that is not a trusted proxy, of `X-Forwarded-For`, else of
    /// `Forwarded`, else of `X-Real-IP`.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> Result<IpAddr, UnreadableClient> {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return Ok(peer);
        }
        if headers.contains_key(FORWARDED_FOR) {
            let hops = values(headers, FORWARDED_FOR)?;
            return self.rightmost(peer, hops.iter().flat_map(|value| value.split(',')), address);
        }
        if headers.contains_key(FORWARDED) {
            let hops = values(headers, FORWARDED)?;
            return self.rightmost(peer, hops.iter().flat_map(|value| elements(value)), forwarded_for);
        }
        let real = values(headers, REAL_IP)?;
        self.rightmost(peer, real.into_iter(), address)
    }

    /// Follows the hops from the right, as long as the one before is trusted. A client can forge the others.
    fn rightmost<'a>(
        &self,
        peer: IpAddr,
        hops: impl Iterator<Item = &'a str>,
        read: fn(&str) -> Option<IpAddr>,
    ) -> Result<IpAddr, UnreadableClient> {
        let hops: Vec<&str> = hops.collect();
        let mut client = peer;
        for hop in hops.iter().rev() {
            if !self.trusts(client) {
                break;
            }
            client = read(hop).ok_or(UnreadableClient)?;
        }
        Ok(client)
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn values(headers: &HeaderMap, name: HeaderName) -> Result<Vec<&str>, UnreadableClient> {
    let values: Option<Vec<&str>> = headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
    values.ok_or(UnreadableClient)
}

/// Reads an address with or without a port: `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(address.to_canonical())
}

/// Splits a `Forwarded` header (RFC 7239) at the commas outside of quotes.
fn elements(value: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    value.split(move |c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    })
}

/// Reads the parameter `for` of an element. An element without it, and an obfuscated identifier, name no client.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let (_, node) = element
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    address(node.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client_of(peer: &str, headers: &[(HeaderName, &[u8])]) -> String {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value).unwrap()));
        match proxies.client_address(peer.parse().unwrap(), &headers.collect()) {
            Ok(address) => address.to_string(),
            Err(UnreadableClient) => "refused".into(),
        }
    }

    fn client(peer: &str, forwarded: &str) -> String {
        client_of(peer, &[(FORWARDED_FOR, forwarded.as_bytes())])
    }

    #[test]
    fn uses_forwarded_address_only_from_trusted_proxies() {
        assert_eq!(client("9.9.9.9", "1.2.3.4"), "9.9.9.9");
        assert_eq!(client("9.9.9.9", "nonsense"), "9.9.9.9");
        assert_eq!(client("10.0.0.1", "1.2.3.4"), "1.2.3.4");
        assert_eq!(client("::ffff:10.0.0.1", "1.2.3.4"), "1.2.3.4");
        assert_eq!(
            client("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2"),
            "1.2.3.4",
            "a client can forge entries on the left"
        );
        assert_eq!(client_of("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn reads_addresses_with_ports() {
        for (text, expected) in [
            ("9.9.9.1:4001", "9.9.9.1"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("2001:db8::7", "2001:db8::7"),
            ("6.6.6.6:1, 9.9.9.1:4001 ,10.0.0.2:80", "9.9.9.1"),
            ("::ffff:9.9.9.1", "9.9.9.1"),
        ] {
            assert_eq!(client("10.0.0.1", text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_unreadable_client_of_trusted_proxy() {
        for text in ["nonsense", "5.5.5.5, unknown", "", "9.9.9.1:port", "[9.9.9.1"] {
            assert_eq!(client("10.0.0.1", text), "refused", "{text}");
        }
        assert_eq!(client_of("10.0.0.1", &[(FORWARDED_FOR, b"\xff, 5.5.5.5")]), "refused");
        assert_eq!(client_of("10.0.0.1", &[(FORWARDED, b"for=unknown")]), "refused");
        assert_eq!(client_of("10.0.0.1", &[(FORWARDED, b"proto=https")]), "refused");
        assert_eq!(client_of("10.0.0.1", &[(REAL_IP, b"x")]), "refused");
    }

    #[test]
    fn reads_forwarded_and_real_ip() {
        let forwarded = |text: &str| client_of("10.0.0.1", &[(FORWARDED, text.as_bytes())]);
        assert_eq!(forwarded("for=1.2.3.4;proto=https;by=10.0.0.1"), "1.2.3.4");
        assert_eq!(forwarded("For=\"[2001:db8::1]:4711\""), "2001:db8::1");
        assert_eq!(forwarded("for=6.6.6.6, for=1.2.3.4, for=10.0.0.3"), "1.2.3.4");
        assert_eq!(client_of("10.0.0.1", &[(REAL_IP, b"1.2.3.4")]), "1.2.3.4");
        let all = [
            (FORWARDED, &b"for=2.2.2.2"[..]),
            (FORWARDED_FOR, b"1.1.1.1"),
            (REAL_IP, b"3.3.3.3"),
        ];
        assert_eq!(client_of("10.0.0.1", &all), "1.1.1.1");
    }
}
