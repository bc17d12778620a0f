//! The part of a form that uses a passkey instead of its other fields. Only passkeys need scripts; password and code work without.

use butt_dial_accounts::console::WayIn;
use butt_dial_domain::Failure;
use maud::{Markup, html};

use crate::{app::App, session::OpenForm};

/// The field of a form with the answer of the browser.
pub const ANSWER: &str = "_passkey";

/// Renders the button of a form that uses a passkey instead of its other fields. `purpose` is what `begin` knows.
pub fn button(app: &App, purpose: &str, label: &str) -> Markup {
    render(app, purpose, label, "")
}

/// Renders the button of a form without another way.
pub fn main_button(app: &App, purpose: &str, label: &str) -> Markup {
    render(app, purpose, label, "primary")
}

fn render(app: &App, purpose: &str, label: &str, class: &str) -> Markup {
    html! {
        @if let Some(site) = app.site() {
            div class="passkey" data-passkey=(purpose) data-begin=(app.path("/passkey")) data-origin=(site.origin()) {
                input type="hidden" name=(ANSWER) value="";
                button type="button" class=(class) { (key_icon()) (label) }
                p class="small muted" role="status" {}
            }
        }
    }
}

/// Renders the line between the fields of a form and the button.
pub fn or(app: &App) -> Markup {
    html! { @if app.site().is_some() { p class="or" data-passkey-or { span { "or" } } } }
}

/// Returns the way in that a new person has chosen.
pub fn way_in<'a>(app: &'a App, form: &'a OpenForm) -> Result<WayIn<'a>, Failure> {
    match form.get(ANSWER) {
        "" => Ok(WayIn::Password(form.password())),
        answer => Ok(WayIn::Passkey {
            answer,
            site: app.require_site()?,
        }),
    }
}

/// Says on pages that need a passkey what is missing.
pub fn needs_scripts() -> Markup {
    html! { noscript { p class="small" { "Passkeys need JavaScript. Sign in with password and code, or switch it on." } } }
}

fn key_icon() -> Markup {
    html! {
        svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true" {
            circle cx="8" cy="15" r="4.5" {}
            path d="M11.2 11.8 20 3M16 7l3 3" {}
        }
    }
}
