//! Forms that change values which may have changed meanwhile. A form carries a mark of the values that it shows; when they are
//! others at the time of the change, a page shows both and asks.

use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use maud::{Markup, html};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{app::App, member::TOKEN, page, session::Posted};

/// The field with the mark.
const SEEN: &str = "_seen";

/// A value of a form, as it is now and as the form has it.
pub struct Edited<'a> {
    pub name: &'a str,
    pub label: &'a str,
    pub now: String,
}

/// The hidden field that a form of these values needs.
pub fn seen(values: &Value) -> Markup {
    html! { input type="hidden" name=(SEEN) value=(mark(values)); }
}

fn mark(values: &Value) -> String {
    hex::encode(&Sha256::digest(values.to_string())[..12])
}

/// Returns the page that shows both versions, unless the form has shown the values of now. `back` is the page of the form.
pub fn required(app: &App, posted: &Posted, back: &str, values: &Value, edited: &[Edited<'_>]) -> Option<Response> {
    if posted.get(SEEN) == mark(values) {
        return None;
    }
    let shown = |text: &str| {
        if text.is_empty() {
            "none".to_owned()
        } else {
            text.to_owned()
        }
    };
    let body = html! {
        div class="card broad" {
            h1 { "It has changed meanwhile" }
            p class="muted" { "Another person or program has saved other values since you opened the form. Nothing of yours is saved yet." }
            div class="scroll" tabindex="0" role="region" aria-label="Both versions" {
                table class="cards" {
                    thead { tr { th scope="col" { "Value" } th scope="col" { "Now" } th scope="col" { "Yours" } } }
                    tbody {
                        @for one in edited {
                            @let mine = posted.get(one.name);
                            tr {
                                td data-label="Value" { (one.label) }
                                td data-label="Now" { (shown(&one.now)) }
                                td data-label="Yours" { @if mine == one.now { (shown(mine)) } @else { strong { (shown(mine)) } } }
                            }
                        }
                    }
                }
            }
            form class="form" method="post" action=(back.split('?').next().unwrap_or(back)) {
                input type="hidden" name=(TOKEN) value=(posted.member.form_token);
                @for (name, value) in &posted.fields {
                    @if name != TOKEN && name != SEEN { input type="hidden" name=(name) value=(value); }
                }
                (seen(values))
                div class="row" {
                    button class="primary" { "Save mine" }
                    a class="button" href=(back) { "Keep what is there now" }
                }
            }
        }
    };
    let page = page::open(app, "It has changed meanwhile", &body);
    Some((StatusCode::CONFLICT, Html(page.into_string())).into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mark_differs_with_each_value() {
        let values = json!({ "maxSpendPerDay": 5.0 });
        assert_eq!(mark(&values), mark(&values.clone()));
        assert_ne!(mark(&values), mark(&json!({ "maxSpendPerDay": 6.0 })));
        assert_ne!(mark(&json!({})), mark(&Value::Null));
    }
}
