//! Requests to addresses that clients chose: callbacks and media. They never reach a private network (server-side request
//! forgery): every address is checked when the connection is made, so that DNS rebinding has no effect. Redirects are not
//! followed, and no proxy is used.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The ports of public web servers. Other ports are for private installations.
const PORTS: [u16; 3] = [443, 80, 8443];

/// Why an address is refused. The text is for the client that chose it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error("this is not a URL")]
    NotUrl,
    #[error("an https URL is needed")]
    NotHttps,
    #[error("a URL must not contain a user or a password")]
    HasCredentials,
    #[error("only the ports 443, 80 and 8443 are allowed")]
    Port,
    #[error("addresses of private networks are not allowed (an operator can: ALLOW_PRIVATE_CALLBACKS=true)")]
    Private,
}

/// An HTTP client with the checks. Cheap to clone.
#[derive(Clone)]
pub struct Egress {
    /// Created on first use: reading the system's certificates would take a fifth of the program's start.
    client: Arc<OnceLock<Option<reqwest::Client>>>,
    allow_private: bool,
}

impl Egress {
    pub fn new(allow_private: bool) -> Self {
        Self {
            client: Arc::default(),
            allow_private,
        }
    }

    /// Returns the client for URLs that `check` accepted. `None`: it could not be created; the reason is logged.
    pub fn client(&self) -> Option<&reqwest::Client> {
        self.client.get_or_init(|| self.build()).as_ref()
    }

    fn build(&self) -> Option<reqwest::Client> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT);
        if !self.allow_private {
            builder = builder.dns_resolver(Arc::new(PublicResolver));
        }
        let built = builder.build();
        built
            .inspect_err(|error| tracing::error!(%error, "egress client not created"))
            .ok()
    }

    /// Checks a URL, and parses it.
    pub fn check(&self, url: &str) -> Result<Url, Forbidden> {
        let url = Url::parse(url).map_err(|_| Forbidden::NotUrl)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Forbidden::HasCredentials);
        }
        match url.scheme() {
            "https" => {}
            "http" if self.allow_private => {}
            _ => return Err(Forbidden::NotHttps),
        }
        if self.allow_private {
            return Ok(url);
        }
        if !url.port_or_known_default().is_some_and(|port| PORTS.contains(&port)) {
            return Err(Forbidden::Port);
        }
        // Names are resolved when the connection is made. IP addresses are checked here.
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(name)) if name.eq_ignore_ascii_case("localhost") => return Err(Forbidden::Private),
            Some(Host::Domain(_)) => None,
            None => return Err(Forbidden::NotUrl),
        };
        match address {
            Some(address) if !is_public(address) => Err(Forbidden::Private),
            _ => Ok(url),
        }
    }
}

/// Resolves names, and drops every address that is not public.
struct PublicResolver;

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Forbidden::Private.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Returns whether the address is publicly routable (IANA special-purpose registries; the lists of Smokescreen and Svix).
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, ..)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // The only allocated global unicast block (RFC 4291, section 2.4; IANA's address space registry).
    let is_global = first & 0xe000 == 0x2000;
    let is_special = (first, second) == (0x2001, 0x0db8)
        || first & 0xfff0 == 0x3ff0
        || first == 0x2002
        // Teredo embeds any IPv4 address.
        || (first, second) == (0x2001, 0);
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public() -> Egress {
        Egress::new(false)
    }

    #[test]
    fn refuses_private_addresses() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "2001::1",
            "3fff::1",
            "100::1",
            "5f00::1",
            "::127.0.0.1",
            "fec0::1",
            "4000::1",
            "1fff::1",
            "8000::1",
            "64:ff9b:1::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "100.63.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "8.8.8.8",
            "2606:4700::1111",
            "2a00::1",
            "3000::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn checks_urls_in_every_notation() {
        let egress = public();
        for (url, reason) in [
            ("not a url", Forbidden::NotUrl),
            ("http://example.com/", Forbidden::NotHttps),
            ("file:///etc/passwd", Forbidden::NotHttps),
            ("https://user:pass@example.com/", Forbidden::HasCredentials),
            ("https://example.com:22/", Forbidden::Port),
            ("https://localhost/", Forbidden::Private),
            ("https://127.0.0.1/", Forbidden::Private),
            ("https://2130706433/", Forbidden::Private),
            ("https://0x7f.1/", Forbidden::Private),
            ("https://[::ffff:10.0.0.1]/", Forbidden::Private),
            ("https://169.254.169.254/latest/meta-data", Forbidden::Private),
        ] {
            assert_eq!(egress.check(url), Err(reason), "{url}");
        }
        assert!(egress.check("https://example.com/hook?a=b").is_ok());
        assert!(Egress::new(true).check("http://127.0.0.1:9/x").is_ok());
    }

    #[tokio::test]
    async fn refuses_name_that_resolves_to_loopback() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let egress = public();
        let error = egress
            .client()
            .unwrap()
            .get("https://localhost.localdomain./")
            .send()
            .await
            .unwrap_err();
        assert!(error.is_connect(), "{error:?}");
    }
}
