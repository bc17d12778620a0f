//! The page behind an invitation or a recovery link.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse, Redirect, Response},
};
use butt_dial_accounts::console::InvitedAs;
use butt_dial_domain::Failure;
use maud::html;

use super::{
    passkey_forms,
    sign_in::{after_first_way, signed_in},
};
use crate::{
    app::App,
    page,
    parts::{self, Field},
    session::OpenForm,
};

/// `GET /invitation/{secret}`
pub async fn show(State(app): State<App>, Path(secret): Path<String>) -> Response {
    render(&app, &secret, None).await
}

/// `POST /invitation/{secret}`
pub async fn accept(
    State(app): State<App>,
    Path(secret): Path<String>,
    headers: HeaderMap,
    form: OpenForm,
) -> Response {
    let accepted = match passkey_forms::way_in(&app, &form) {
        Ok(way) => app.console().accept_invitation(&secret, way, &form.client).await,
        Err(failure) => Err(failure),
    };
    match accepted {
        Ok(Some(session)) => signed_in(&app, &headers, &session, &after_first_way(&app, &form)),
        Ok(None) => Redirect::to(&app.path("/sign-in")).into_response(),
        Err(failure) => render(&app, &secret, Some(&failure)).await,
    }
}

async fn render(app: &App, secret: &str, failure: Option<&Failure>) -> Response {
    let found = match app.console().find_invitation(secret).await {
        Ok(found) => found,
        Err(failure) => return page::failed(app, &failure),
    };
    let Some((invitation, invited)) = found else {
        let text = "This link was used, or has expired. Ask for a new one.";
        return (StatusCode::NOT_FOUND, page::plain(app, "Link not valid", text)).into_response();
    };
    let body = html! {
        div class="card" {
            h1 { "Join " (invitation.org_name) }
            p class="muted" { (invitation.invited_by) " invites " (invitation.email) " as " (invitation.role.as_str()) "." }
            @if let Some(failure) = failure { (parts::failure(failure)) }
            form class="form" method="post" action=(app.path(&format!("/invitation/{secret}"))) {
                @if invited == InvitedAs::New {
                    input type="hidden" name="username" value=(invitation.email) autocomplete="username";
                    (Field::new("password", "New password").kind("password").autocomplete("new-password").required().checked_by(failure)
                        .hint("At least 12 characters. A few words do well.").render())
                } @else {
                    p { "You have an account here. After you accept, sign in as usual." }
                }
                button class="primary" { "Accept" }
                @if invited == InvitedAs::New {
                    input type="hidden" name="invitation" value=(secret);
                    (passkey_forms::or(app))
                    (passkey_forms::button(app, "invitation", "Use a passkey instead"))
                }
            }
        }
    };
    let status = failure.map_or(StatusCode::OK, page::status_of);
    (status, Html(page::open(app, "Invitation", &body).into_string())).into_response()
}
