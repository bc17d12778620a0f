//! The members of the organization: people with roles. They join by a link.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{Html, IntoResponse, Redirect, Response},
};
use butt_dial_accounts::{Role, console::InvitationView, parse_role};
use butt_dial_domain::{Code, Failure};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{confirm, member_access};
use crate::{
    app::App,
    format::{list, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Field, Tone},
    rights,
    session::Posted,
};

const ROLES: [(&str, &str); 5] = [
    ("viewer", "Viewer: sees everything, changes nothing"),
    ("operator", "Operator: messages, calls and agents' status"),
    ("billing", "Billing: spend and limits"),
    ("admin", "Administrator: everything but owners"),
    ("owner", "Owner: everything"),
];

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    /// The address of one of them.
    person: String,
}

/// `GET /members`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    match query.person.trim() {
        "" => render(&app, &member, None).await,
        person => member_access::show(&app, &member, person).await,
    }
}

/// `POST /members`
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let (member, here) = (&posted.member, app.path("/members"));
    if !rights::administers(member.role()) {
        return page::member_failed(&app, member, Place::Members, &rights::refusal(member.role()));
    }
    if let Some(page) = confirm::required(&app, &posted, &here, "change the members") {
        return page;
    }
    let (console, org) = (app.console(), &member.inner.org);
    let outcome = match posted.get("do") {
        "invite" => match parse_role(posted.get("role")) {
            Ok(role) => console
                .invite(member.session(), org, posted.get("email"), role)
                .await
                .map(Some),
            Err(failure) => Err(failure),
        },
        "withdraw" => console
            .withdraw(member.session(), org, posted.get("invitation"))
            .await
            .map(|()| None),
        "role" => change_role(&app, &posted).await.map(|()| None),
        "remove" => remove(&app, &posted).await.map(|()| None),
        "end-session" | "end-sessions" | "remove-passkey" => match guard_owners(&app, &posted, None).await {
            Ok(()) => member_access::act(&app, &posted).await.map(|()| None),
            Err(failure) => Err(failure),
        },
        _ => Err(Failure::new(Code::InvalidArgument, "the form is not known")),
    };
    match outcome {
        Ok(None) if matches!(posted.get("do"), "end-session" | "end-sessions" | "remove-passkey") => {
            Redirect::to(&member_access::link(&app, posted.get("email"))).into_response()
        }
        Ok(None) => Redirect::to(&here).into_response(),
        Ok(Some(secret)) => {
            let link = app.link(&format!("/invitation/{secret}"));
            let body = html! {
                div class="card" {
                    h1 { "Invitation for " (posted.get("email")) }
                    p { "Give this link to the person, over a channel that you trust. It is valid once, for three days, and shown only here." }
                    (parts::copyable("link", &link))
                    div class="row" { a class="button primary" href=(here) { "Done" } }
                }
            };
            Html(page::open(&app, "Invitation", &body).into_string()).into_response()
        }
        Err(failure) => render(&app, member, Some((&posted, &failure))).await,
    }
}

async fn change_role(app: &App, posted: &Posted) -> Result<(), Failure> {
    let role = parse_role(posted.get("role"))?;
    guard_owners(app, posted, Some(role)).await?;
    let org = posted.member.inner.org.as_str();
    let args = json!({ "orgId": org, "email": posted.get("email"), "role": posted.get("role") });
    app.call(&posted.member, "add_member", args).await?;
    Ok(())
}

async fn remove(app: &App, posted: &Posted) -> Result<(), Failure> {
    guard_owners(app, posted, None).await?;
    let args = json!({ "orgId": posted.member.inner.org.as_str(), "email": posted.get("email") });
    app.call(&posted.member, "remove_member", args).await?;
    Ok(())
}

/// Fails when a person who is no owner makes an owner, or changes one.
async fn guard_owners(app: &App, posted: &Posted, role: Option<Role>) -> Result<(), Failure> {
    let member = &posted.member;
    if member.role() == Role::Owner {
        return Ok(());
    }
    let args = json!({ "orgId": member.inner.org.as_str() });
    let found = app.call(member, "list_members", args).await?;
    let known = list(&found, "members")
        .iter()
        .find(|other| text(other, "email") == posted.get("email"));
    let is_owner = known.is_some_and(|other| text(other, "role") == "owner");
    match is_owner || role == Some(Role::Owner) {
        true => Err(Failure::new(
            Code::AuthForbidden,
            "only an owner makes, changes or removes owners",
        )),
        // A new member joins by an invitation only, which proves the address.
        false if known.is_none() => Err(Failure::new(Code::NotFound, "the organization has no such member")),
        false => Ok(()),
    }
}

async fn render(app: &App, member: &Member, failed: Option<(&Posted, &Failure)>) -> Response {
    let found = app
        .call(member, "list_members", json!({ "orgId": member.inner.org.as_str() }))
        .await;
    let invitations = match rights::administers(member.role()) {
        true => app.console().list_invitations(&member.inner.org).await,
        false => Ok(Vec::new()),
    };
    let body = html! {
        (parts::head("Members", "People who may use this console for the organization.", &html! {}))
        @if let Some((_, failure)) = failed { (parts::failure(failure)) }
        @match &found {
            Ok(found) => (table(app, member, list(found, "members"))),
            Err(failure) => (parts::failure(failure)),
        }
        @match &invitations {
            Ok(invitations) => @if !invitations.is_empty() { (invited(app, member, invitations)) },
            Err(failure) => (parts::failure(failure)),
        }
        @if rights::administers(member.role()) { (invite(app, member, failed)) }
    };
    page::member(app, member, Place::Members, "Members", &body)
}

fn table(app: &App, member: &Member, rows: &[Value]) -> Markup {
    let now = app.clock().now();
    let action = app.path("/members");
    html! {
        section class="card flush" aria-label="Members" {
            div class="scroll" tabindex="0" role="region" aria-label="List of members" {
                table class="cards" {
                    thead { tr { th scope="col" { "Person" } th scope="col" { "Role" } th scope="col" { "Since" } th scope="col" { span class="hidden" { "Actions" } } } }
                    tbody {
                        @for row in rows {
                            @let email = text(row, "email");
                            @let role = text(row, "role").replace("org-admin", "admin");
                            tr {
                                td data-label="Person" {
                                    @if rights::administers(member.role()) { a href=(member_access::link(app, email)) { (email) } } @else { (email) }
                                    @if email == member.session().email { " " (parts::badge(Tone::Plain, "you")) }
                                }
                                td data-label="Role" {
                                    @if rights::administers(member.role()) {
                                        form class="pair" method="post" action=(action) {
                                            (page::token(member))
                                            input type="hidden" name="email" value=(email);
                                            select name="role" aria-label=(format!("Role of {email}")) {
                                                @for (value, label) in ROLES { option value=(value) selected[value == role] { (label.split(':').next().unwrap_or(label)) } }
                                            }
                                            button class="slim" name="do" value="role" { "Save" }
                                        }
                                    } @else { (role) }
                                }
                                td data-label="Since" { (time(text(row, "addedAt"), now)) }
                                td {
                                    @if rights::administers(member.role()) {
                                        form method="post" action=(action) {
                                            (page::token(member))
                                            input type="hidden" name="email" value=(email);
                                            button class="slim danger" name="do" value="remove" aria-label=(format!("Remove {email}")) { "Remove" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            p class="card-foot small muted" { "A removed member is signed out everywhere within a second. The page of a member shows where it is signed in." }
        }
    }
}

fn invited(app: &App, member: &Member, invitations: &[InvitationView]) -> Markup {
    let now = app.clock().now();
    html! {
        section class="card flush" aria-labelledby="invited" {
            div class="card-head" { h2 id="invited" { "Open invitations" } }
            div class="scroll" tabindex="0" role="region" aria-label="List of invitations" {
                table class="cards" {
                    thead { tr { th scope="col" { "Person" } th scope="col" { "Role" } th scope="col" { "Invited by" } th scope="col" { "Expires" } th scope="col" { span class="hidden" { "Actions" } } } }
                    tbody {
                        @for invitation in invitations {
                            tr {
                                td data-label="Person" { (invitation.email) }
                                td data-label="Role" { (invitation.role.as_str()) }
                                td data-label="Invited by" { (invitation.invited_by) }
                                td data-label="Expires" { (time(&invitation.expires_at.to_rfc3339(), now)) }
                                td {
                                    form method="post" action=(app.path("/members")) {
                                        (page::token(member))
                                        input type="hidden" name="invitation" value=(invitation.id);
                                        button class="slim" name="do" value="withdraw" aria-label=(format!("Withdraw the invitation of {}", invitation.email)) { "Withdraw" }
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

fn invite(app: &App, member: &Member, failed: Option<(&Posted, &Failure)>) -> Markup {
    let old = |name: &str| failed.map_or("", |(posted, _)| posted.get(name)).to_owned();
    let roles = match member.role() {
        Role::Owner => &ROLES[..],
        _ => &ROLES[..4],
    };
    html! {
        section class="card" aria-labelledby="invite" {
            h2 id="invite" { "Invite a person" }
            form class="form" method="post" action=(app.path("/members")) {
                (page::token(member))
                (Field::new("email", "E-mail address").kind("email").value(&old("email")).required().checked_by(failed.map(|(_, failure)| failure)).render())
                (parts::select("role", "Role", roles, "viewer"))
                div class="row" { button class="primary" name="do" value="invite" { "Make an invitation link" } }
            }
        }
    }
}
