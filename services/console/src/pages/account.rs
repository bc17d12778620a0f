//! The person's own account: where it is signed in, and the way out everywhere else.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_accounts::console::{SessionView, browser_name};
use butt_dial_domain::Failure;
use maud::{Markup, html};
use serde::Deserialize;

use super::{confirm, passkeys, sign_in::recovery_page};
use crate::{
    app::App,
    format::time,
    member::Member,
    page::{self, Place},
    parts::{self, Field, Tone},
    session::Posted,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    ended: Option<u64>,
    changed: bool,
}

/// `GET /account`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /account`: ends one session, or all others.
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let session = posted.member.session();
    let here = app.path("/account");
    match passkeys::act(&app, &posted, &here).await {
        Some(Ok(page)) => return page,
        Some(Err(failure)) => return render(&app, &posted.member, &Query::default(), Some(&failure)).await,
        None => {}
    }
    match posted.get("do") {
        "authenticator" => {
            let page = confirm::required(&app, &posted, &here, "set up an authenticator");
            return page.unwrap_or_else(|| Redirect::to(&app.path("/authenticator")).into_response());
        }
        "password" => return change_password(&app, &posted, &here).await,
        "codes" => {
            if let Some(page) = confirm::required(&app, &posted, &here, "get new recovery codes") {
                return page;
            }
            return match app.console().new_recovery_codes(session).await {
                Ok(codes) => recovery_page(&app, &codes, &here),
                Err(failure) => render(&app, &posted.member, &Query::default(), Some(&failure)).await,
            };
        }
        _ => {}
    }
    let ended = match posted.optional("session") {
        Some(id) => app.console().end_session(session, id).await.map(|()| 1),
        None => app.console().end_other_sessions(session).await,
    };
    match ended {
        Ok(ended) => Redirect::to(&app.path(&format!("/account?ended={ended}"))).into_response(),
        Err(failure) => render(&app, &posted.member, &Query::default(), Some(&failure)).await,
    }
}

async fn change_password(app: &App, posted: &Posted, here: &str) -> Response {
    if let Some(page) = confirm::required(app, posted, here, "change your password") {
        return page;
    }
    let password = posted.fields.get("password").cloned().unwrap_or_default();
    match app.console().change_password(posted.member.session(), password).await {
        Ok(()) => Redirect::to(&format!("{here}?changed=true")).into_response(),
        Err(failure) => render(app, &posted.member, &Query::default(), Some(&failure)).await,
    }
}

async fn render(app: &App, member: &Member, query: &Query, failure: Option<&Failure>) -> Response {
    let sessions = match app.console().list_sessions(member.session()).await {
        Ok(sessions) => sessions,
        Err(failure) => return page::member_failed(app, member, Place::Account, &failure),
    };
    let passkeys = match app.console().list_passkeys(member.session()).await {
        Ok(passkeys) => passkeys,
        Err(failure) => return page::member_failed(app, member, Place::Account, &failure),
    };
    let body = html! {
        (parts::head("My account", "", &html! {}))
        @if query.changed { (parts::note(Tone::Ok, &html! { p role="status" { "The password is changed, and other sessions have ended." } })) }
        @if let Some(ended) = query.ended { (parts::note(Tone::Ok, &html! { p role="status" { (ended) (if ended == 1 { " session has" } else { " sessions have" }) " ended." } })) }
        @if let Some(failure) = failure { (parts::failure(failure)) }
        section class="card" aria-labelledby="me" {
            h2 id="me" { (member.session().email) }
            dl class="facts" {
                @for membership in &member.session().memberships { dt { (membership.org_name) } dd { (membership.role.as_str()) } }
                @if member.session().is_operator { dt { "This installation" } dd { "operator" } }
            }
            p class="muted small" { "If you lose all ways in, run " code { "butt-dial console-key --recover " (member.session().email) } " on the machine of the server. It prints a link that is valid for an hour and replaces password, authenticator and passkeys." }
        }
        (passkeys::section(app, member, &passkeys))
        (table(app, member, &sessions))
        (secrets(app, member, failure))
    };
    page::member(app, member, Place::Account, "My account", &body)
}

fn secrets(app: &App, member: &Member, failure: Option<&Failure>) -> Markup {
    let (action, session) = (app.path("/account"), member.session());
    if !session.has_otp {
        return html! {
            section class="card" aria-labelledby="password-title" {
                h2 id="password-title" { "Password and authenticator" }
                p class="muted" { "You sign in with passkeys. A password with an authenticator app is a second way in, for devices without your passkeys." }
                form method="post" action=(action) {
                    (page::token(member))
                    button name="do" value="authenticator" { "Set up an authenticator" }
                }
            }
        };
    }
    html! {
        div class="grid wide" {
            section class="card" aria-labelledby="password-title" {
                h2 id="password-title" { "Password" }
                @if !session.has_password { p class="muted" { "You have none yet. With a password you can sign in without a passkey." } }
                form class="form" method="post" action=(action) {
                    (page::token(member))
                    (Field::new("password", "New password").kind("password").autocomplete("new-password").required().checked_by(failure)
                        .hint("At least 12 characters. A few words do well.").render())
                    div class="row" { button name="do" value="password" { (if session.has_password { "Change the password" } else { "Set the password" }) } }
                }
            }
            section class="card" aria-labelledby="codes-title" {
                h2 id="codes-title" { "Recovery codes" }
                p class="muted" { "Each signs you in once without the authenticator. New ones replace the old ones." }
                form method="post" action=(action) {
                    (page::token(member))
                    button name="do" value="codes" { "Make new recovery codes" }
                }
            }
        }
    }
}

fn table(app: &App, member: &Member, sessions: &[SessionView]) -> Markup {
    let now = app.clock().now();
    let action = app.path("/account");
    html! {
        section class="card flush" aria-labelledby="sessions" {
            div class="card-head" {
                h2 id="sessions" { "Signed in" }
                @if sessions.len() > 1 {
                    form method="post" action=(action) { (page::token(member)) button class="slim" { "Sign out everywhere else" } }
                }
            }
            div class="scroll" tabindex="0" role="region" aria-label="List of sessions" {
                table class="cards" {
                    thead { tr { th scope="col" { "Browser" } th scope="col" { "From" } th scope="col" { "Since" } th scope="col" { "Last seen" } th scope="col" { span class="hidden" { "Actions" } } } }
                    tbody {
                        @for session in sessions {
                            tr {
                                td data-label="Browser" { span { (browser_name(&session.browser)) @if session.is_this { " " (parts::badge(Tone::Ok, "this one")) } } }
                                td data-label="From" { (session.address) }
                                td data-label="Since" { (time(&session.created_at.to_rfc3339(), now)) }
                                td data-label="Last seen" { (time(&session.seen_at.to_rfc3339(), now)) }
                                td {
                                    @if !session.is_this {
                                        form method="post" action=(action) {
                                            (page::token(member))
                                            input type="hidden" name="session" value=(session.id);
                                            button class="slim danger" aria-label=(format!("Sign out {} from {}", browser_name(&session.browser), session.address)) { "Sign out" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
