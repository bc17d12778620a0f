//! The frame of all pages: head, navigation, landmarks, and pages of errors.

use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use butt_dial_domain::Failure;
use maud::{DOCTYPE, Markup, html};

use crate::{
    app::App,
    assets,
    member::{Member, TOKEN},
    parts, rights,
};

/// A place in the navigation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Overview,
    Setup,
    Alerts,
    Inbox,
    Messages,
    Calls,
    Anomalies,
    Agents,
    Numbers,
    Providers,
    Callbacks,
    Connect,
    Spend,
    Check,
    Approvals,
    DoNotContact,
    Audit,
    Keys,
    Members,
    Simulator,
    Playground,
    DeadLetters,
    System,
    Account,
}

impl Place {
    fn link(self) -> (&'static str, &'static str) {
        match self {
            Self::Overview => ("", "Overview"),
            Self::Setup => ("/setup", "Set-up"),
            Self::Alerts => ("/alerts", "Alerts"),
            Self::Anomalies => ("/anomalies", "Anomalies"),
            Self::Inbox => ("/inbox", "Inbox"),
            Self::Messages => ("/messages", "Messages"),
            Self::Calls => ("/calls", "Calls"),
            Self::Agents => ("/agents", "Agents"),
            Self::Numbers => ("/numbers", "Numbers and senders"),
            Self::Providers => ("/providers", "Providers"),
            Self::Callbacks => ("/callbacks", "Callbacks"),
            Self::Connect => ("/connect", "Connect"),
            Self::Spend => ("/spend", "Spend"),
            Self::Check => ("/check", "May I send?"),
            Self::Approvals => ("/approvals", "Approvals"),
            Self::DoNotContact => ("/do-not-contact", "Do not contact"),
            Self::Audit => ("/audit", "Audit log"),
            Self::Keys => ("/keys", "Keys"),
            Self::Members => ("/members", "Members"),
            Self::Simulator => ("/simulator", "Simulator"),
            Self::Playground => ("/playground", "Playground"),
            Self::DeadLetters => ("/dead-letters", "Dead letters"),
            Self::System => ("/system", "System"),
            Self::Account => ("/account", "My account"),
        }
    }
}

impl Place {
    /// Returns whether this installation has what the page shows.
    fn is_offered(self, app: &App) -> bool {
        match self {
            Self::Simulator => app.is_simulated(),
            Self::Check => App::offers("comms_preflight"),
            Self::Approvals => App::offers("list_approvals"),
            Self::DoNotContact => App::offers("list_suppressions"),
            Self::Alerts => App::offers("list_alerts"),
            Self::Anomalies => App::offers("list_anomalies"),
            Self::Audit => App::offers("list_audit"),
            _ => true,
        }
    }
}

const TRAFFIC: &[Place] = &[
    Place::Overview,
    Place::Inbox,
    Place::Messages,
    Place::Calls,
    Place::Alerts,
    Place::Anomalies,
];
const OPERATION: &[Place] = &[
    Place::Agents,
    Place::Numbers,
    Place::Providers,
    Place::Callbacks,
    Place::Connect,
];
const TRIAL: &[Place] = &[Place::Simulator, Place::Playground];
const RULES: &[Place] = &[Place::Check, Place::Approvals, Place::DoNotContact];
const CONTROL: &[Place] = &[Place::Spend, Place::Keys, Place::Members, Place::Audit];
const INSTALLATION: &[Place] = &[Place::DeadLetters, Place::System];

const ALL: [&[Place]; 7] = [
    TRAFFIC,
    OPERATION,
    TRIAL,
    RULES,
    CONTROL,
    INSTALLATION,
    &[Place::Setup, Place::Account],
];

/// Returns the paths and names of the pages that this installation offers.
pub fn places(app: &App) -> Vec<(&'static str, &'static str)> {
    let offered = ALL.into_iter().flatten().filter(|place| place.is_offered(app));
    offered.map(|place| place.link()).collect()
}

/// Finds the path of a page by its name.
pub fn find_place(name: &str) -> Option<&'static str> {
    let mut links = ALL.into_iter().flatten().map(|place| place.link());
    links
        .find(|(_, label)| label.eq_ignore_ascii_case(name))
        .map(|(path, _)| path)
}

/// Renders a page of a signed-in person.
pub fn member(app: &App, member: &Member, place: Place, title: &str, body: &Markup) -> Response {
    let page = html! {
        a class="skip" href="#content" { "Skip to content" }
        div class="shell" {
            header class="side" {
                a class="brand" href=(app.base()) { (logo()) "Butt-Dial" }
                input type="checkbox" id="menu" class="menu-toggle" aria-label="Show the menu";
                label for="menu" class="menu-label button slim" { "Menu" }
                (organization(app, member))
                form class="find" method="get" action=(app.path("/find")) role="search" aria-label="Everything" {
                    label class="hidden" for="find" { "Search" }
                    input type="search" id="find" name="q" placeholder="Search (Ctrl+K)" autocomplete="off" list="places";
                    datalist id="places" { @for (_, label) in places(app) { option value=(label) {} } }
                }
                nav aria-label="Main" {
                    (group(app, "Traffic", TRAFFIC, place))
                    (group(app, "Agents", OPERATION, place))
                    (group(app, "Try out", TRIAL, place))
                    (group(app, "Rules", RULES, place))
                    (group(app, "Control", CONTROL, place))
                    @if member.session().is_operator { (group(app, "Installation", INSTALLATION, place)) }
                }
                div class="side-foot" {
                    @if rights::administers(member.role()) { a href=(app.path("/setup")) { "Set-up" } }
                    a href=(app.path("/account")) aria-current=[(place == Place::Account).then_some("page")] { (member.session().email) }
                    form method="post" action=(app.path("/sign-out")) {
                        (token(member))
                        button class="link" { "Sign out" }
                    }
                }
            }
            main class="main" id="content" tabindex="-1" {
                div class="wrap" { (body) }
            }
        }
    };
    Html(document(app, title, &page).into_string()).into_response()
}

/// Renders a page before the sign-in.
pub fn open(app: &App, title: &str, body: &Markup) -> Markup {
    let page = html! {
        main class="solo" {
            span class="brand" { (logo()) "Butt-Dial" }
            (body)
        }
    };
    document(app, title, &page)
}

/// Renders a page with one sentence.
pub fn plain(app: &App, title: &str, text: &str) -> Html<String> {
    let body = html! {
        div class="card" {
            h1 { (title) }
            p { (text) }
            p { a href=(app.base()) { "To the console" } }
        }
    };
    Html(open(app, title, &body).into_string())
}

/// Renders a failure for a person who may not be signed in.
pub fn failed(app: &App, failure: &Failure) -> Response {
    let body = html! {
        div class="card" {
            h1 { "That did not work" }
            (parts::failure(failure))
            p { a href=(app.base()) { "To the console" } }
        }
    };
    (
        status_of(failure),
        Html(open(app, "That did not work", &body).into_string()),
    )
        .into_response()
}

/// Renders a failure within the navigation.
pub fn member_failed(app: &App, person: &Member, place: Place, failure: &Failure) -> Response {
    let (path, label) = place.link();
    let body = html! {
        div class="head" { div { h1 { "That did not work" } } }
        (parts::failure(failure))
        p { a href=(app.path(path)) { "Back to " (label) } }
    };
    let mut response = member(app, person, place, "That did not work", &body);
    *response.status_mut() = status_of(failure);
    response
}

pub fn status_of(failure: &Failure) -> StatusCode {
    StatusCode::from_u16(failure.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The hidden field that every form of a session needs.
pub fn token(member: &Member) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(member.form_token); }
}

fn document(app: &App, title: &str, page: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) " · Butt-Dial" }
                link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E%3Crect width='24' height='24' rx='6' fill='%232451c7'/%3E%3Cpath d='M7 8a5 5 0 0 1 10 0v8H7z' fill='white'/%3E%3C/svg%3E";
                link rel="stylesheet" href=(app.path(&format!("/assets/{}", assets::style())));
                @for script in assets::scripts() {
                    script defer src=(app.path(&format!("/assets/{script}"))) {}
                }
            }
            body { (page) }
        }
    }
}

fn logo() -> Markup {
    html! {
        svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true" {
            rect x="7" y="2.5" width="10" height="19" rx="2.5" {}
            path d="M3.5 9.5c-1 1.6-1 3.4 0 5M20.5 9.5c1 1.6 1 3.4 0 5M11 18.2h2" {}
        }
    }
}

fn organization(app: &App, member: &Member) -> Markup {
    let all = &member.session().memberships;
    html! {
        @if all.len() > 1 {
            form class="org tight" method="post" action=(app.path("/organization")) {
                (token(member))
                label class="small muted" for="org" { "Organization" }
                select id="org" name="org" {
                    @for other in all {
                        option value=(other.org_id) selected[other.org_id == member.inner.org] { (other.org_name) }
                    }
                }
                button class="slim" { "Switch" }
            }
        } @else {
            p class="org small muted" { "Organization: " (member.inner.org_name) }
        }
    }
}

fn group(app: &App, title: &str, places: &[Place], current: Place) -> Markup {
    let places: Vec<&Place> = places.iter().filter(|place| place.is_offered(app)).collect();
    html! {
        @if !places.is_empty() { p class="nav-title" { (title) } }
        ul class="nav-group" {
            @for place in places {
                @let (path, label) = place.link();
                li { a href=(app.path(path)) aria-current=[(*place == current).then_some("page")] { (label) } }
            }
        }
    }
}
