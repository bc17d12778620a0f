//! The rules for browsers: headers of the pages, and the check that a request with effects comes from a page of
//! this program.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use butt_dial_runtime::http::RequestId;

use crate::{app::App, page, session};

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses requests with effects that another site caused, and adds the headers of all pages. Audit entries of a request get its
/// origin.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = match is_safe || is_own(request.headers(), app.public_host()) {
        true => {
            let address = session::client_address(request.extensions(), request.headers(), &app);
            let id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
            app.origin(address, id).scope(next.run(request)).await
        }
        false => {
            let text =
                "This request did not come from a page of this console. Open the page again and repeat what you did.";
            (StatusCode::FORBIDDEN, page::plain(&app, "Request refused", text)).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Returns whether a page of this program caused the request. Browsers say so; a client that says nothing is no browser that
/// could be misled, and still needs the token of a form.
fn is_own(headers: &HeaderMap, public_host: Option<&str>) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("invalid"));
    if let Some(site) = text(SITE) {
        return site == "same-origin";
    }
    let Some(origin) = text(header::ORIGIN) else {
        return true;
    };
    let host = origin.split_once("://").map(|(_, host)| host);
    let own = [text(header::HOST), public_host];
    host.is_some_and(|host| own.into_iter().flatten().any(|own| own.eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(headers: &[(HeaderName, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        is_own(&headers.collect(), Some("console.example"))
    }

    #[test]
    fn accepts_requests_of_own_pages_only() {
        for (site, expected) in [
            ("same-origin", true),
            ("same-site", false),
            ("cross-site", false),
            ("none", false),
        ] {
            assert_eq!(
                accepts(&[(SITE, site), (header::HOST, "a.example")]),
                expected,
                "{site}"
            );
        }
        let host = (header::HOST, "a.example:3100");
        for (origin, expected) in [
            ("http://a.example:3100", true),
            ("https://console.example", true),
            ("http://a.example", false),
            ("https://evil.example", false),
            ("null", false),
        ] {
            assert_eq!(accepts(&[(header::ORIGIN, origin), host.clone()]), expected, "{origin}");
        }
        assert!(accepts(&[host]));
    }
}
