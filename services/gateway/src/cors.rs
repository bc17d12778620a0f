//! Pages in browsers that may call this server (CORS): those of this machine, such as the MCP Inspector, and those of
//! `CORS_ALLOWED_ORIGINS`.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// How long a browser may keep the answer to a preflight.
const MAX_AGE: Duration = Duration::from_secs(600);
const METHODS: [Method; 6] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];
/// Headers of responses that a page may read.
const EXPOSED: [HeaderName; 5] = [
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("x-request-id"),
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
];

/// The allowed origins. Cheap to clone.
#[derive(Clone)]
pub struct CorsOrigins(Arc<Vec<String>>);

impl CorsOrigins {
    /// Takes origins such as `https://app.example.com`. `*`: any origin.
    pub fn new(origins: &[String]) -> Self {
        Self(Arc::new(origins.to_vec()))
    }

    pub fn allow(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        is_local(origin)
            || self
                .0
                .iter()
                .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }

    /// Answers preflight requests, before authentication, and adds the headers to responses. Requests carry their token in a
    /// header, so that no origin needs credentials.
    pub fn layer(&self) -> CorsLayer {
        let origins = self.clone();
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(move |origin, _| origins.allow(origin)))
            .allow_methods(METHODS)
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(EXPOSED)
            .max_age(MAX_AGE)
    }
}

/// Returns whether the page was loaded from this machine, on any port.
fn is_local(origin: &str) -> bool {
    let authority = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
        .and_then(|authority| authority.parse::<http::uri::Authority>().ok());
    authority.is_some_and(|authority| matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_local_and_configured_origins() {
        let origins = CorsOrigins::new(&["https://app.example.com".to_owned()]);
        let allow = |origin: &'static str| origins.allow(&HeaderValue::from_static(origin));
        for origin in [
            "http://localhost:6274",
            "http://127.0.0.1",
            "https://[::1]:8443",
            "https://app.example.com",
        ] {
            assert!(allow(origin), "{origin}");
        }
        for origin in [
            "https://evil.example",
            "null",
            "http://localhost.evil.example",
            "http://127.0.0.1@evil.example",
            "http://app.example.com",
            "https://app.example.com.evil.example",
        ] {
            assert!(!allow(origin), "{origin}");
        }
        let any = CorsOrigins::new(&["*".to_owned()]);
        assert!(any.allow(&HeaderValue::from_static("https://anywhere.example")));
    }
}
