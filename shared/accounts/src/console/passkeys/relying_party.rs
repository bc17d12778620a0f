//! The site that passkeys are bound to: the host of the public address. Browsers offer a passkey at its host only, so a change of
//! the host makes the former passkeys useless.

use url::{Host, Url};

/// The site of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    id: String,
    origin: String,
}

impl RelyingParty {
    /// Returns the site of the public address. Without one, it is this machine. `None`: browsers have no passkeys there, because it
    /// has no name, or no https.
    pub fn of(public: Option<&Url>, port: u16) -> Option<Self> {
        let Some(url) = public else {
            return Some(Self {
                id: "localhost".into(),
                origin: format!("http://localhost:{port}"),
            });
        };
        let Some(Host::Domain(host)) = url.host() else {
            return None;
        };
        let is_secure = url.scheme() == "https" || host == "localhost" || host.ends_with(".localhost");
        is_secure.then(|| Self {
            id: host.to_owned(),
            origin: url.origin().ascii_serialization(),
        })
    }

    /// Returns the host.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the origin of the pages, such as `https://console.example`.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn site_is_the_host_of_the_public_address() {
        let of = |url: &str| {
            let site = RelyingParty::of(Some(&Url::parse(url).unwrap()), 3100)?;
            Some((site.id().to_owned(), site.origin().to_owned()))
        };
        let site = |id: &str, origin: &str| Some((id.to_owned(), origin.to_owned()));
        assert_eq!(of("https://a.example/bd"), site("a.example", "https://a.example"));
        assert_eq!(
            of("https://a.example:8443"),
            site("a.example", "https://a.example:8443")
        );
        assert_eq!(of("http://localhost:3200"), site("localhost", "http://localhost:3200"));
        assert_eq!(of("http://a.example"), None, "no https");
        assert_eq!(of("https://192.0.2.1"), None, "no name");
        let machine = RelyingParty::of(None, 3100).unwrap();
        assert_eq!((machine.id(), machine.origin()), ("localhost", "http://localhost:3100"));
    }
}
