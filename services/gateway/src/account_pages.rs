//! The pages behind the links of the installation's mails: the verification of an owner, and the acceptance of the terms. The
//! secret of a link is in the fragment of its URL, which browsers do not send; the page removes it and posts it. Mail scanners
//! that open links therefore use nothing up. Everything that an organization writes is set as text.

use std::{collections::HashMap, sync::LazyLock};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use butt_dial_accounts::Accounts;
use butt_dial_runtime::http::failure;
use std::sync::Arc;

use crate::{
    http_errors::method_not_allowed,
    page_style::{STYLE, source_of},
};

/// Shared by both pages: shows text, and continues after a verification.
const SHARED: &str = r#"
const at = id => document.getElementById(id);
const say = text => { at('status').textContent = text; };
const call = async (url, body) => {
  const init = body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(url, init);
  return [response.ok, await response.json()];
};
const finish = result => {
  document.querySelector('h1').textContent = 'Your organization is active';
  if (result.fragmentRedirectUrl) {
    say('Your e-mail address is confirmed. You are taken back in a moment.');
    setTimeout(() => location.replace(result.fragmentRedirectUrl), 3000);
  } else if (result.webhookNotified) {
    say('Your e-mail address is confirmed. You can close this page.');
  } else {
    say('Your e-mail address is confirmed. This is your team token. It is shown only once:');
    at('secret').textContent = result.teamToken;
  }
};
"#;
const VERIFY: &str = r#"
(async () => {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  history.replaceState(null, '', location.pathname);
  if (!token) { say('This link is not complete. Open the link of the mail again.'); return; }
  try {
    const [, brand] = await call('./api/orgs/branding-by-token?token=' + encodeURIComponent(token));
    const name = brand.productName || brand.orgName;
    if (name) at('name').textContent = name;
    if (brand.logoUrl) { at('logo').src = brand.logoUrl; at('logo').hidden = false; }
    if (brand.primaryColor) document.documentElement.style.setProperty('--brand', brand.primaryColor);
    if (brand.supportEmail) at('support').textContent = 'Questions? ' + brand.supportEmail;
  } catch { /* The page works without it. */ }
  try {
    const [ok, result] = await call('./api/orgs/verify', { token });
    if (!ok) { say('Not confirmed: ' + result.error + '. ' + (result.remediation || '')); return; }
    if (result.requiresOnboarding) { location.replace('onboarding?s=' + encodeURIComponent(result.onboardingSessionId)); return; }
    finish(result);
  } catch { say('The server does not answer. Reload this page from the link of the mail.'); }
})();
"#;
const ACCEPT: &str = r#"
at('accept').addEventListener('click', async () => {
  const { session, version } = at('accept').dataset;
  at('accept').disabled = true;
  try {
    const [ok, result] = await call('./api/orgs/onboarding/accept', { sessionId: session, version });
    if (ok) { at('terms').hidden = true; at('request').hidden = true; finish(result); return; }
    say('Not accepted: ' + result.error + '. ' + (result.remediation || ''));
  } catch { say('The server does not answer. Try again.'); }
  at('accept').disabled = false;
});
"#;

static VERIFY_SCRIPT: LazyLock<String> = LazyLock::new(|| format!("{SHARED}{VERIFY}"));
static ACCEPT_SCRIPT: LazyLock<String> = LazyLock::new(|| format!("{SHARED}{ACCEPT}"));

pub fn router(accounts: Arc<Accounts>) -> Router {
    let pages = Router::new()
        .route("/verify", get(verify))
        .route("/onboarding", get(onboarding))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(accounts);
    // The operation with this path has the fallback for other methods.
    pages.merge(Router::new().route("/api/orgs/verify", get(old_link)))
}

async fn verify() -> Response {
    page(
        StatusCode::OK,
        "Confirm your e-mail address",
        "<p id=\"status\">Your e-mail address is being confirmed.</p>",
        Some(&VERIFY_SCRIPT),
    )
}

async fn onboarding(State(accounts): State<Arc<Accounts>>, Query(query): Query<HashMap<String, String>>) -> Response {
    let session = query.get("s").map_or("", String::as_str);
    let found = match accounts.terms_of_session(session).await {
        Ok(found) => found,
        Err(reason) => return failure(&reason),
    };
    let Some((org, terms)) = found else {
        return page(
            StatusCode::NOT_FOUND,
            "This link is not valid",
            "<p>It was used, or has expired. Register again.</p>",
            None,
        );
    };
    let link = match &terms.url {
        Some(url) => format!(
            "<a href=\"{}\" rel=\"noopener noreferrer\" target=\"_blank\">terms</a>",
            escape(url)
        ),
        None => "terms".into(),
    };
    let body = format!(
        "<p id=\"request\">To activate {}, accept the {link} (version {}).</p>\
         <p id=\"terms\"><button id=\"accept\" data-session=\"{}\" data-version=\"{}\">Accept</button></p>\
         <p id=\"status\"></p>",
        escape(&org),
        escape(&terms.version),
        escape(session),
        escape(&terms.version)
    );
    page(StatusCode::OK, "Accept the terms", &body, Some(&ACCEPT_SCRIPT))
}

/// Links of former releases have the token in the query. The page uses it up, not this request, which mail scanners make too.
async fn old_link(Query(query): Query<HashMap<String, String>>) -> Response {
    let token = query.get("token").map_or("", String::as_str);
    let token: String = token.chars().filter(char::is_ascii_alphanumeric).collect();
    let headers = [
        (header::LOCATION, format!("../../verify#token={token}")),
        (HeaderName::from_static("deprecation"), "true".to_owned()),
        (
            HeaderName::from_static("sunset"),
            "Mon, 27 Jul 2026 00:00:00 GMT".to_owned(),
        ),
    ];
    (StatusCode::FOUND, headers).into_response()
}

fn page(status: StatusCode, title: &str, body: &str, script: Option<&str>) -> Response {
    let tag = script.map_or_else(String::new, |script| {
        format!("<script type=\"module\">{script}</script>")
    });
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><img id=\"logo\" alt=\"\" hidden><p id=\"name\"></p><h1>{title}</h1>{body}\
         <code id=\"secret\"></code><p id=\"support\"></p>{tag}</html>"
    );
    let scripts = script.map_or_else(|| "'none'".to_owned(), source_of);
    let policy = format!(
        "default-src 'none'; script-src {scripts}; style-src {}; img-src https:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        source_of(STYLE)
    );
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, Html(html)).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
