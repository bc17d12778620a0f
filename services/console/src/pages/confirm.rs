//! The proof before actions with consequences: password or code again. The form of the action is kept and repeated after it.

use axum::{
    extract::{Query, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use butt_dial_accounts::console::Proof;
use butt_dial_domain::Failure;
use maud::html;
use serde::Deserialize;

use super::sign_in::safe_next;
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
    let proof = Proof {
        password: posted.fields.get(PASSWORD).cloned().unwrap_or_default(),
        code: posted.get(CODE).to_owned(),
    };
    let to = safe_next(&app, &target.to);
    match app
        .console()
        .confirm(posted.member.session(), proof, &posted.member.client)
        .await
    {
        Ok(()) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Err(failure) => form(&app, &posted, &to, "continue", Some(&failure)),
    }
}

fn form(app: &App, posted: &Posted, to: &str, what: &str, failure: Option<&Failure>) -> Response {
    let target: String = url::form_urlencoded::byte_serialize(to.as_bytes()).collect();
    let body = html! {
        div class="card" {
            h1 { "Confirm that it is you" }
            p class="muted" { "To " (what) ", give a code of your authenticator or your password. It counts for 15 minutes." }
            @if let Some(failure) = failure { (parts::failure(failure)) }
            form class="form" method="post" action=(app.path(&format!("/confirm?to={target}"))) {
                input type="hidden" name=(TOKEN) value=(posted.member.token);
                @for (name, value) in &posted.fields {
                    @if name != TOKEN && name != PASSWORD && name != CODE { input type="hidden" name=(name) value=(value); }
                }
                (Field::new(CODE, "Code of the authenticator").autocomplete("one-time-code").render())
                (Field::new(PASSWORD, "Or your password").kind("password").autocomplete("current-password").render())
                div class="row" {
                    button class="primary" { "Confirm" }
                    a class="button" href=(app.base()) { "Cancel" }
                }
            }
        }
    };
    let status = failure.map_or(StatusCode::OK, page::status_of);
    (status, Html(page::open(app, "Confirm", &body).into_string())).into_response()
}
