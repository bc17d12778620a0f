//! The path below which clients see this server, when a reverse proxy adds one.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName};

/// The header in which a proxy names the path that it has removed.
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const MAX_LENGTH: usize = 256;

/// Empty, or a path such as `/bd`. Cheap to clone.
#[derive(Clone)]
pub struct BasePath(Arc<str>);

impl BasePath {
    /// Takes the value of `BASE_PATH`.
    pub fn new(path: &str) -> Self {
        Self(path.into())
    }

    /// Returns the path of a request's client. The header only decides where this client sends its next request, so that any
    /// sender may set it.
    pub fn of_request<'a>(&'a self, headers: &'a HeaderMap) -> &'a str {
        let forwarded = headers.get(FORWARDED_PREFIX).and_then(|value| value.to_str().ok());
        forwarded
            .map(|prefix| prefix.trim().trim_end_matches('/'))
            .filter(|prefix| is_path(prefix))
            .unwrap_or(&self.0)
    }
}

fn is_path(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    text.len() <= MAX_LENGTH
        && (text.is_empty() || text.starts_with('/'))
        && !text.contains("//")
        && !text.contains("..")
        && text.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn forwarded_prefix_replaces_base_path_if_it_is_a_path() {
        let base = BasePath::new("/base");
        for (header, expected) in [
            ("/bd", "/bd"),
            ("/bd/", "/bd"),
            ("/a/b-c", "/a/b-c"),
            ("/", ""),
            ("bd", "/base"),
            ("//evil.example", "/base"),
            ("https://evil.example", "/base"),
            ("/a\nb", "/base"),
            ("/a/../b", "/base"),
        ] {
            let headers = HeaderValue::from_str(header).map(|value| HeaderMap::from_iter([(FORWARDED_PREFIX, value)]));
            assert_eq!(base.of_request(&headers.unwrap_or_default()), expected, "{header:?}");
        }
        assert_eq!(base.of_request(&HeaderMap::new()), "/base");
    }
}
