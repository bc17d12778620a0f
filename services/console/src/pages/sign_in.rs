//! Sign-in, the claim of the installation, and the set-up of the authenticator. The pages look the same whether the installation
//! has an owner or not.

use std::collections::HashMap;

use axum::{
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use butt_dial_accounts::console::{Credentials, Session};
use butt_dial_domain::Failure;
use maud::{Markup, PreEscaped, html};
use qrcodegen::{QrCode, QrCodeEcc};

use super::passkey_forms::{self, ANSWER};
use crate::{
    app::App,
    member::TOKEN,
    page,
    parts::{self, Field},
    session::{self, OpenForm, Visitor, refused_token},
};

/// `GET /sign-in`
pub async fn form(State(app): State<App>, visitor: Visitor, Query(query): Query<HashMap<String, String>>) -> Response {
    if visitor.session.is_some() {
        return Redirect::to(app.base()).into_response();
    }
    let next = query.get("next").map_or("", String::as_str);
    sign_in_page(&app, "", next, None)
}

/// `POST /sign-in`
pub async fn sign_in(State(app): State<App>, headers: HeaderMap, form: OpenForm) -> Response {
    let next = form.get("next").to_owned();
    let signed = match form.get(ANSWER) {
        "" => app.console().sign_in(credentials(&form), &form.client).await,
        answer => match app.require_site() {
            Ok(site) => app.console().sign_in_with_passkey(answer, site, &form.client).await,
            Err(failure) => Err(failure),
        },
    };
    match signed {
        Ok(session) => signed_in(&app, &headers, &session, &safe_next(&app, &next)),
        Err(failure) => sign_in_page(&app, form.get("email"), &next, Some(&failure)),
    }
}

fn credentials(form: &OpenForm) -> Credentials {
    Credentials {
        email: form.get("email").to_owned(),
        password: form.password(),
        code: form.get("code").to_owned(),
    }
}

fn sign_in_page(app: &App, email: &str, next: &str, failure: Option<&Failure>) -> Response {
    let body = html! {
        div class="card" {
            h1 { "Sign in" }
            @if let Some(failure) = failure { (parts::failure(failure)) }
            form class="form" method="post" action=(app.path("/sign-in")) {
                input type="hidden" name="next" value=(next);
                (Field::new("email", "E-mail address").kind("email").value(email).autocomplete("username").required().render())
                (Field::new("password", "Password").kind("password").autocomplete("current-password").required().render())
                (Field::new("code", "Code").autocomplete("one-time-code")
                    .hint("Six digits of your authenticator app, or a recovery code. Leave it empty before you have set one up.").render())
                button class="primary" { "Sign in" }
                (passkey_forms::or(app))
                (passkey_forms::button(app, "sign-in", "Sign in with a passkey"))
            }
        }
        div class="card" {
            h2 { "First time here?" }
            p { "The person who installed Butt-Dial becomes its owner with the set-up key that the program printed at its first start." }
            p { a class="button" href=(app.path("/claim")) { "Set up this installation" } }
        }
    };
    let status = failure.map_or(StatusCode::OK, page::status_of);
    (status, Html(page::open(app, "Sign in", &body).into_string())).into_response()
}

/// `GET /claim`
pub async fn claim_form(State(app): State<App>, visitor: Visitor) -> Response {
    if visitor.session.is_some() {
        return Redirect::to(app.base()).into_response();
    }
    claim_page(&app, "", "", None)
}

/// `POST /claim`
pub async fn claim(State(app): State<App>, headers: HeaderMap, form: OpenForm) -> Response {
    let (key, email) = (form.get("key"), form.get("email"));
    let claimed = match passkey_forms::way_in(&app, &form) {
        Ok(way) => app.console().claim(key, email, way, &form.client).await,
        Err(failure) => Err(failure),
    };
    match claimed {
        Ok(session) => signed_in(&app, &headers, &session, &after_first_way(&app, &form)),
        Err(failure) => claim_page(&app, key, email, Some(&failure)),
    }
}

/// Returns the page after a new way in: a password needs an authenticator.
pub fn after_first_way(app: &App, form: &OpenForm) -> String {
    match form.get(ANSWER) {
        "" => app.path("/authenticator"),
        _ => app.path("/setup"),
    }
}

fn claim_page(app: &App, key: &str, email: &str, failure: Option<&Failure>) -> Response {
    let body = html! {
        div class="card" {
            div class="tight" {
                p class="small muted" { "Step 1 of 2" }
                h1 { "Set up this installation" }
                p class="muted" { "You become its owner. Others join by your invitation." }
            }
            @if let Some(failure) = failure { (parts::failure(failure)) }
            form class="form" method="post" action=(app.path("/claim")) {
                (Field::new("key", "Set-up key").value(key).required().checked_by(failure)
                    .hint("Printed by the program at its first start. To see it again, run: butt-dial console-key").render())
                (Field::new("email", "Your e-mail address").kind("email").value(email).autocomplete("username").required().checked_by(failure).render())
                (Field::new("password", "New password").kind("password").autocomplete("new-password").required().checked_by(failure)
                    .hint("At least 12 characters. A few words that do not belong together are easy to remember and hard to guess.").render())
                button class="primary" { "Continue" }
                (passkey_forms::or(app))
                (passkey_forms::button(app, "claim", "Use a passkey instead"))
            }
            p class="small" { "Set up already? " a href=(app.path("/sign-in")) { "Sign in" } }
        }
    };
    let status = failure.map_or(StatusCode::OK, page::status_of);
    (status, Html(page::open(app, "Set up", &body).into_string())).into_response()
}

/// `GET /authenticator`
pub async fn authenticator_form(State(app): State<App>, visitor: Visitor) -> Response {
    authenticator_page(&app, &visitor, None)
}

/// `POST /authenticator`
pub async fn authenticator(State(app): State<App>, visitor: Visitor, form: OpenForm) -> Response {
    let Some((session, token)) = &visitor.session else {
        return Redirect::to(&app.path("/sign-in")).into_response();
    };
    if let Some(refused) = refused_token(token, &form.fields, &app) {
        return refused;
    }
    match app.console().confirm_otp(session, form.get("code"), &form.client).await {
        Ok(codes) => recovery_page(
            &app,
            &codes,
            &app.path(if session.has_passkey { "/account" } else { "/setup" }),
        ),
        Err(failure) => authenticator_page(&app, &visitor, Some(&failure)),
    }
}

fn authenticator_page(app: &App, visitor: &Visitor, failure: Option<&Failure>) -> Response {
    let Some((session, token)) = &visitor.session else {
        return Redirect::to(&app.path("/sign-in")).into_response();
    };
    let Ok(setup) = app.console().otp_setup(session) else {
        return Redirect::to(app.base()).into_response();
    };
    let body = html! {
        div class="card" {
            div class="tight" {
                @if !session.has_passkey { p class="small muted" { "Step 2 of 2" } }
                h1 { "Add an authenticator" }
                p class="muted" { "Scan the picture with an app such as Aegis, 1Password or Google Authenticator. It shows a new code every 30 seconds." }
            }
            @if let Some(failure) = failure { (parts::failure(failure)) }
            (qr_code(&setup.url))
            details class="small" {
                summary { "I can't scan it" }
                p { "Type this key into the app:" }
                (parts::copyable("otp-secret", &setup.secret))
            }
            form class="form" method="post" action=(app.path("/authenticator")) {
                input type="hidden" name=(TOKEN) value=(token);
                (Field::new("code", "Code of the app").autocomplete("one-time-code").required().checked_by(failure).render())
                button class="primary" { "Confirm" }
            }
        }
    };
    let status = failure.map_or(StatusCode::OK, page::status_of);
    (
        status,
        Html(page::open(app, "Add an authenticator", &body).into_string()),
    )
        .into_response()
}

/// Shows the recovery codes, once.
pub fn recovery_page(app: &App, codes: &[String], next: &str) -> Response {
    let body = html! {
        div class="card" {
            h1 { "Keep these recovery codes" }
            p { "Each signs you in once if you lose your device. They are not shown again. Print them, or keep them where you keep passwords." }
            ul class="codes" id="codes" { @for code in codes { li { (code) } } }
            div class="row" {
                a class="button primary" href=(next) { "I have kept them" }
                button type="button" class="slim" data-copy="codes" { "Copy" }
            }
        }
    };
    Html(page::open(app, "Recovery codes", &body).into_string()).into_response()
}

/// `POST /sign-out`
pub async fn sign_out(State(app): State<App>, posted: session::Posted) -> Response {
    if let Err(failure) = app.console().sign_out(posted.member.session()).await {
        return page::failed(&app, &failure);
    }
    let mut response = Redirect::to(&app.path("/sign-in")).into_response();
    for cookie in session::removed_cookies() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// `POST /organization`: chooses the organization that the pages show.
pub async fn choose_organization(State(app): State<App>, posted: session::Posted) -> Response {
    match app
        .console()
        .choose_org(posted.member.session(), posted.get("org"))
        .await
    {
        Ok(()) => Redirect::to(app.base()).into_response(),
        Err(failure) => page::failed(&app, &failure),
    }
}

/// Signs the browser in and sends it on.
pub fn signed_in(app: &App, headers: &HeaderMap, session: &Session, next: &str) -> Response {
    let cookie = session::cookie(session, headers, app);
    let mut response = Redirect::to(next).into_response();
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// Returns a path of the console; anything else becomes its first page.
pub fn safe_next(app: &App, next: &str) -> String {
    let rest = next.strip_prefix(app.base());
    let is_safe =
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) && !next.contains(['\\', '\r', '\n']);
    if is_safe {
        next.to_owned()
    } else {
        app.base().to_owned()
    }
}

fn qr_code(url: &str) -> Markup {
    let Ok(code) = QrCode::encode_text(url, QrCodeEcc::Medium) else {
        return html! {};
    };
    let size = code.size();
    let mut path = String::new();
    for y in 0..size {
        for x in 0..size {
            if code.get_module(x, y) {
                path.push_str(&format!("M{x} {y}h1v1h-1z"));
            }
        }
    }
    html! {
        div class="qr" {
            svg viewBox=(format!("0 0 {size} {size}")) role="img" aria-label="QR code for the authenticator app" shape-rendering="crispEdges" {
                path d=(PreEscaped(path)) fill="#000" {}
            }
        }
    }
}
