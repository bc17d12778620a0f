//! Headers of every response that tell a browser what it must not do with it. A handler's own value takes precedence.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

const ALWAYS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];
/// The only page is the API documentation: its scripts are files of this program, its styles are inline.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);
/// Other responses load nothing.
const DATA_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// Responses contain messages, addresses and, of some operations, tokens.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Adds the headers that are missing.
pub(super) fn add(headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        add_missing(headers, name, value);
    }
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let (is_page, is_data) = (kind.starts_with(b"text/html"), kind.starts_with(b"application/json"));
    let policy = if is_page { PAGE_POLICY } else { DATA_POLICY };
    add_missing(headers, header::CONTENT_SECURITY_POLICY, policy);
    if is_data {
        add_missing(headers, header::CACHE_CONTROL, NO_STORE);
    }
}

fn add_missing(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_missing_headers_only() {
        let kind = |kind: &'static str| (header::CONTENT_TYPE, HeaderValue::from_static(kind));
        let mut page = HeaderMap::from_iter([kind("text/html; charset=utf-8")]);
        add(&mut page);
        assert_eq!(page["x-content-type-options"], "nosniff");
        assert_eq!(page["x-frame-options"], "DENY");
        assert_eq!(page["referrer-policy"], "no-referrer");
        assert!(
            page["content-security-policy"]
                .to_str()
                .unwrap()
                .starts_with("default-src 'self'")
        );
        assert!(!page.contains_key("cache-control"));

        let own = (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        for (sent, expected) in [(vec![], "no-store"), (vec![own], "private, no-store")] {
            let mut data = HeaderMap::from_iter(sent.into_iter().chain([kind("application/json")]));
            add(&mut data);
            assert_eq!(data["cache-control"], expected);
            assert!(
                data["content-security-policy"]
                    .to_str()
                    .unwrap()
                    .starts_with("default-src 'none'")
            );
        }
    }
}
