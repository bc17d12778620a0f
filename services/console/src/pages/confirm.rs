//! The proof before actions with consequences: password, code or passkey again. The form of the action is kept and repeated after it.

use axum::{
    extract::{Query, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use butt_dial_accounts::console::Proof;
use butt_dial_domain::Failure;
use maud::html;
use serde::Deserialize;

use super::{passkey_forms, sign_in::safe_next};
use crate::{
    app::App,
    member::TOKEN,
    page,
    parts::{self, Field},
    session::Posted,
};

/// Fields of this page, which the action does not get.
const PASSWORD: &str = "_password";
const CODE: &str = "_code";

#[derive(Deserialize)]
pub struct Target {
    /// The path of the action.
    to: String,
}

/// Returns the page that asks for the proof, unless there is a fresh one.
pub fn required(app: &App, posted: &Posted, to: &str, what: &str) -> Option<Response> {
    match app.console().is_confirmed(posted.member.session()) {
        true => None,
        false => Some(form(app, posted, to, what, None)),
    }
}

/// `POST /confirm`: checks the proof and sends the browser to the action, with the fields of its form.
pub async fn confirm(State(app): State<App>, Query(target): Query<Target>, posted: Posted) -> Response {
    let to = safe_next(&app, &target.to);
    match check(&app, &posted).await {
        Ok(()) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Err(failure) => form(&app, &posted, &to, "continue", Some(&failure)),
    }
}

async fn check(app: &App, posted: &Posted) -> Result<(), Failure> {
    let (session, client) = (posted.member.session(), &posted.member.client);
    if let Some(answer) = posted.optional(passkey_forms::ANSWER) {
        let site = app.require_site()?;
        return app.console().confirm_with_passkey(session, answer, site, client).await;
    }
    let proof = Proof {
        password: posted.fields.get(PASSWORD).cloned().unwrap_or_default(),
        code: posted.get(CODE).to_owned(),
    };
    app.console().confirm(session, proof, client).await
}

fn form(app: &App, posted: &Posted, to: &str, what: &str, failure: Option<&Failure>) -> Response {
    let target: String = url::form_urlencoded::byte_serialize(to.as_bytes()).collect();
    let session = posted.member.session();
    let (code, password) = (session.has_otp, session.has_password);
    let ways = [
        (code, "give a code of your authenticator"),
        (password, "your password"),
        (session.has_passkey, "use a passkey"),
    ];
    let ways: Vec<&str> = ways.into_iter().filter(|(has, _)| *has).map(|(_, way)| way).collect();
    let fields = [TOKEN, PASSWORD, CODE, passkey_forms::ANSWER];
    let body = html! {
        div class="card" {
            h1 { "Confirm that it is you" }
            p class="muted" { "To " (what) ", " (ways.join(" or ")) ". It counts for 15 minutes." }
            @if let Some(failure) = failure { (parts::failure(failure)) }
            form class="form" method="post" action=(app.path(&format!("/confirm?to={target}"))) {
                input type="hidden" name=(TOKEN) value=(posted.member.form_token);
                @for (name, value) in &posted.fields {
                    @if !fields.contains(&name.as_str()) { input type="hidden" name=(name) value=(value); }
                }
                @if code { (Field::new(CODE, "Code of the authenticator").autocomplete("one-time-code").render()) }
                @if password { (Field::new(PASSWORD, if code { "Or your password" } else { "Your password" }).kind("password").autocomplete("current-password").render()) }
                @if code || password {
                    div class="row" {
                        button class="primary" { "Confirm" }
                        a class="button" href=(app.base()) { "Cancel" }
                    }
                    @if session.has_passkey {
                        (passkey_forms::or(app))
                        (passkey_forms::button(app, "confirm", "Confirm with a passkey"))
                    }
                } @else {
                    (passkey_forms::main_button(app, "confirm", "Confirm with a passkey"))
                    (passkey_forms::needs_scripts())
                    a class="button" href=(app.base()) { "Cancel" }
                }
            }
        }
    };
    let status = failure.map_or(StatusCode::OK, page::status_of);
    (status, Html(page::open(app, "Confirm", &body).into_string())).into_response()
}
