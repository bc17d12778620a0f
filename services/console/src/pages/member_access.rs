//! The page of one member, for administrators: where the member is signed in, and with which passkeys.

use axum::response::Response;
use butt_dial_domain::{Code, Failure};
use maud::{Markup, html};
use serde_json::{Value, json};

use crate::{
    app::App,
    format::{list, text, time},
    member::Member,
    page::{self, Place},
    parts, rights,
    session::Posted,
};

/// Returns the path of the page of a member.
pub fn link(app: &App, email: &str) -> String {
    let email: String = url::form_urlencoded::byte_serialize(email.as_bytes()).collect();
    app.path(&format!("/members?person={email}"))
}

/// `GET /members?person=`
pub async fn show(app: &App, member: &Member, email: &str) -> Response {
    match read(app, member, email).await {
        Ok((sessions, passkeys)) => {
            let body = html! {
                (parts::head(email, "", &html! { a class="button" href=(app.path("/members")) { "All members" } }))
                (sessions_table(app, member, email, &sessions))
                (passkeys_table(app, member, email, list(&passkeys, "passkeys")))
            };
            page::member(app, member, Place::Members, email, &body)
        }
        Err(failure) => page::member_failed(app, member, Place::Members, &failure),
    }
}

async fn read(app: &App, member: &Member, email: &str) -> Result<(Vec<Value>, Value), Failure> {
    if !rights::administers(member.role()) {
        return Err(rights::refusal(member.role()));
    }
    let org = member.inner.org.as_str();
    let of_person = json!({ "orgId": org, "email": email });
    let passkeys = app.call(member, "list_member_passkeys", of_person).await?;
    let sessions = app
        .call(member, "list_console_sessions", json!({ "orgId": org }))
        .await?;
    let own = list(&sessions, "sessions").iter();
    let own = own.filter(|session| text(session, "email").eq_ignore_ascii_case(email));
    Ok((own.cloned().collect(), passkeys))
}

/// Does what the forms of the page ask for.
pub async fn act(app: &App, posted: &Posted) -> Result<(), Failure> {
    let (org, email) = (posted.member.inner.org.as_str(), posted.get("email"));
    let (name, args) = match posted.get("do") {
        "end-session" => {
            let (sessions, _) = read(app, &posted.member, email).await?;
            let id = posted.get("session");
            // The rights depend on the person, so the session has to be of this one.
            if !sessions.iter().any(|session| text(session, "id") == id) {
                return Err(Failure::new(Code::NotFound, "this session has ended already"));
            }
            ("end_console_session", json!({ "orgId": org, "sessionId": id }))
        }
        "end-sessions" => ("end_member_sessions", json!({ "orgId": org, "email": email })),
        _ => {
            let id = posted.get("passkey");
            (
                "remove_member_passkey",
                json!({ "orgId": org, "email": email, "passkeyId": id }),
            )
        }
    };
    app.call(&posted.member, name, args).await?;
    Ok(())
}

fn sessions_table(app: &App, member: &Member, email: &str, sessions: &[Value]) -> Markup {
    let (now, action) = (app.clock().now(), app.path("/members"));
    html! {
        section class="card flush" aria-labelledby="sessions" {
            div class="card-head" {
                h2 id="sessions" { "Signed in" }
                @if !sessions.is_empty() {
                    form method="post" action=(action) {
                        (page::token(member))
                        input type="hidden" name="email" value=(email);
                        button class="slim danger" name="do" value="end-sessions" { "Sign out everywhere" }
                    }
                }
            }
            @if sessions.is_empty() {
                (parts::empty("Not signed in", "Sessions appear when the member signs in to this console.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of sessions" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Browser" } th scope="col" { "From" } th scope="col" { "Since" } th scope="col" { "Last seen" } th scope="col" { span class="hidden" { "Actions" } } } }
                        tbody {
                            @for session in sessions {
                                tr {
                                    td data-label="Browser" { (text(session, "browser")) }
                                    td data-label="From" { (text(session, "address")) }
                                    td data-label="Since" { (time(text(session, "createdAt"), now)) }
                                    td data-label="Last seen" { (time(text(session, "seenAt"), now)) }
                                    td {
                                        form method="post" action=(action) {
                                            (page::token(member))
                                            input type="hidden" name="email" value=(email);
                                            input type="hidden" name="session" value=(text(session, "id"));
                                            button class="slim danger" name="do" value="end-session" aria-label=(format!("Sign out {} from {}", text(session, "browser"), text(session, "address"))) { "Sign out" }
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

fn passkeys_table(app: &App, member: &Member, email: &str, passkeys: &[Value]) -> Markup {
    let now = app.clock().now();
    html! {
        section class="card flush" aria-labelledby="passkeys" {
            div class="card-head" { h2 id="passkeys" { "Passkeys" } }
            @if passkeys.is_empty() {
                (parts::empty("No passkey", "The member signs in with password and code.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of passkeys" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Name" } th scope="col" { "Since" } th scope="col" { "Last used" } th scope="col" { span class="hidden" { "Actions" } } } }
                        tbody {
                            @for passkey in passkeys {
                                tr {
                                    td data-label="Name" { (text(passkey, "name")) }
                                    td data-label="Since" { (time(text(passkey, "createdAt"), now)) }
                                    td data-label="Last used" { @match passkey["lastUsedAt"].as_str() { Some(at) => (time(at, now)), None => span class="muted" { "never" } } }
                                    td {
                                        form method="post" action=(app.path("/members")) {
                                            (page::token(member))
                                            input type="hidden" name="email" value=(email);
                                            input type="hidden" name="passkey" value=(text(passkey, "id"));
                                            button class="slim danger" name="do" value="remove-passkey" aria-label=(format!("Remove the passkey {}", text(passkey, "name"))) { "Remove" }
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
