//! Filters of the list of messages that a person has given a name.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use crate::{
    app::App,
    member::Member,
    page::{self, Place},
    parts,
    session::Posted,
};

/// Saves or forgets a filter.
pub async fn act(app: &App, posted: &Posted) -> Response {
    let (member, name) = (&posted.member, posted.get("name"));
    let done = match posted.get("do") {
        "forget" => app.console().forget_filter(&member.inner, name).await,
        _ => {
            app.console()
                .save_filter(&member.inner, name, posted.get("query"))
                .await
        }
    };
    match done {
        Ok(()) => {
            let query = if posted.get("do") == "forget" {
                ""
            } else {
                posted.get("query")
            };
            // The query came with the form: only what it says as fields is kept.
            let mut url = url::form_urlencoded::Serializer::new(String::new());
            url.extend_pairs(url::form_urlencoded::parse(query.as_bytes()));
            Redirect::to(&app.path(&format!("/messages?{}", url.finish()))).into_response()
        }
        Err(failure) => page::member_failed(app, member, Place::Messages, &failure),
    }
}

/// Renders the person's filters, and the form that saves the one of the page. `query`: of the page; empty without a filter.
pub async fn show(app: &App, member: &Member, query: &str) -> Markup {
    let saved = match app.console().list_filters(&member.inner).await {
        Ok(saved) => saved,
        Err(failure) => return parts::failure(&failure),
    };
    let is_known = saved.iter().any(|filter| filter.query == query);
    let action = app.path("/messages");
    html! {
        @if !saved.is_empty() || !query.is_empty() {
            section class="row saved" aria-label="Saved filters" {
                @for filter in &saved {
                    span class="row fixed" {
                        a class="button slim" href=(app.path(&format!("/messages?{}", filter.query))) aria-current=[(filter.query == query).then_some("true")] { (filter.name) }
                        form method="post" action=(action) {
                            (page::token(member))
                            input type="hidden" name="name" value=(filter.name);
                            button class="link small" name="do" value="forget" aria-label=(format!("Forget the filter {}", filter.name)) { "Forget" }
                        }
                    }
                }
                @if !query.is_empty() && !is_known {
                    form class="row fixed" method="post" action=(action) {
                        (page::token(member))
                        input type="hidden" name="query" value=(query);
                        label class="hidden" for="filter-name" { "Name of this filter" }
                        input id="filter-name" name="name" placeholder="Name of this filter" required maxlength="40" autocomplete="off";
                        button name="do" value="save" { "Save filter" }
                    }
                }
            }
        }
    }
}
