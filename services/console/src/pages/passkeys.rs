//! Passkeys: the ceremonies that browsers begin, and the list of a person.

use axum::{
    Json,
    extract::State,
    response::{Html, IntoResponse, Redirect, Response},
};
use butt_dial_accounts::console::PasskeyView;
use butt_dial_domain::{Code, Failure};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{
    confirm,
    passkey_forms::{ANSWER, main_button, needs_scripts},
};
use crate::{
    app::App,
    format::time,
    member::Member,
    page,
    parts::{self, Field, Tone},
    session::{OpenForm, Posted, Visitor, has_token},
};

/// `POST /passkey`: begins a ceremony. The browser gets its options as JSON.
pub async fn begin(State(app): State<App>, visitor: Visitor, form: OpenForm) -> Response {
    match begun(&app, &visitor, &form).await {
        Ok(options) => Json(options).into_response(),
        Err(failure) => {
            let body = json!({ "message": parts::sentence(&failure.message) });
            (page::status_of(&failure), Json(body)).into_response()
        }
    }
}

async fn begun(app: &App, visitor: &Visitor, form: &OpenForm) -> Result<Value, Failure> {
    let (site, client) = (app.require_site()?, &form.client);
    let own = || match &visitor.session {
        Some((session, token)) if has_token(token, &form.fields) => Ok(session),
        _ => Err(Failure::new(Code::AuthForbidden, "your session has ended")),
    };
    let console = app.console();
    match form.get("for") {
        "sign-in" => console.begin_sign_in(site, client).await,
        "claim" => {
            console
                .begin_claim(form.get("key"), form.get("email"), site, client)
                .await
        }
        "invitation" => console.begin_invitation(form.get("invitation"), site, client).await,
        "add" => console.begin_passkey(own()?, site, client).await,
        "confirm" => console.begin_proof(own()?, site, client).await,
        _ => Err(Failure::new(Code::InvalidArgument, "the form is not known")),
    }
}

/// Does what the forms of the list ask for. `None`: it is another form.
pub async fn act(app: &App, posted: &Posted, here: &str) -> Option<Result<Response, Failure>> {
    let what = match posted.get("do") {
        "new-passkey" | "add-passkey" => "add a passkey",
        "remove-passkey" => "remove a passkey",
        _ => return None,
    };
    if let Some(page) = confirm::required(app, posted, here, what) {
        return Some(Ok(page));
    }
    Some(change(app, posted, here).await)
}

async fn change(app: &App, posted: &Posted, here: &str) -> Result<Response, Failure> {
    let (console, session, site) = (app.console(), posted.member.session(), app.require_site()?);
    match posted.get("do") {
        "new-passkey" => return Ok(new_page(app, posted, here)),
        "add-passkey" => {
            console
                .add_passkey(session, posted.get("name"), posted.get(ANSWER), site)
                .await?;
        }
        _ => console.remove_passkey(session, posted.get("passkey"), site).await?,
    }
    Ok(Redirect::to(here).into_response())
}

/// Renders the page on which the browser makes the passkey.
fn new_page(app: &App, posted: &Posted, here: &str) -> Response {
    let body = html! {
        div class="card" {
            h1 { "Add a passkey" }
            p class="muted" { "Your browser asks where to keep it: on this device, on your phone, in a password manager, or on a security key." }
            form class="form" method="post" action=(here) {
                (page::token(&posted.member))
                input type="hidden" name="do" value="add-passkey";
                (Field::new("name", "Name").value(posted.get("name")).required().hint("Helps you to tell your passkeys apart.").render())
                (main_button(app, "add", "Create the passkey"))
                (needs_scripts())
                a class="button" href=(here) { "Cancel" }
            }
        }
    };
    Html(page::open(app, "Add a passkey", &body).into_string()).into_response()
}

/// Renders the passkeys of a person, and the form that adds one.
pub fn section(app: &App, member: &Member, passkeys: &[PasskeyView]) -> Markup {
    let (now, here) = (app.clock().now(), app.path("/account"));
    html! {
        section class="card flush" id="passkeys" aria-labelledby="passkeys-title" {
            div class="card-head" { h2 id="passkeys-title" { "Passkeys" } }
            @if passkeys.is_empty() {
                (parts::empty("No passkey yet", "A passkey signs you in with your fingerprint, face or PIN, without password and code.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of passkeys" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Name" } th scope="col" { "Since" } th scope="col" { "Last used" } th scope="col" { span class="hidden" { "Actions" } } } }
                        tbody {
                            @for passkey in passkeys {
                                tr {
                                    td data-label="Name" {
                                        span {
                                            (passkey.name)
                                            @if app.site().is_none_or(|site| site.id() != passkey.host) { " " (parts::badge(Tone::Warn, &format!("for {} only", passkey.host))) }
                                            @else if passkey.is_synchronized { " " (parts::badge(Tone::Plain, "synchronized")) }
                                        }
                                    }
                                    td data-label="Since" { (time(&passkey.created_at.to_rfc3339(), now)) }
                                    td data-label="Last used" { @match passkey.last_used_at { Some(at) => (time(&at.to_rfc3339(), now)), None => span class="muted" { "never" } } }
                                    td {
                                        form method="post" action=(here) {
                                            (page::token(member))
                                            input type="hidden" name="passkey" value=(passkey.id);
                                            button class="slim danger" name="do" value="remove-passkey" aria-label=(format!("Remove the passkey {}", passkey.name)) { "Remove" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if app.site().is_some() {
                form class="card-foot row" method="post" action=(here) {
                    (page::token(member))
                    label class="hidden" for="passkey-name" { "Name of a new passkey" }
                    input class="short" id="passkey-name" name="name" maxlength="60" placeholder="Name, such as Laptop" autocomplete="off";
                    button name="do" value="new-passkey" { "Add a passkey" }
                }
            } @else {
                p class="card-foot small muted" { "Browsers have passkeys for a public address with a name and https only. This installation has none: see WEBHOOK_BASE_URL." }
            }
        }
    }
}
