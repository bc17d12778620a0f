//! The parts that pages are made of.

use butt_dial_domain::Failure;
use maud::{Markup, html};
use serde_json::Value;

/// The meaning of a colour.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Ok,
    Warn,
    Bad,
}

impl Tone {
    pub fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// The head of a page: title, one sentence, and actions.
pub fn head(title: &str, sentence: &str, actions: &Markup) -> Markup {
    html! {
        div class="head" {
            div {
                h1 { (title) }
                @if !sentence.is_empty() { p { (sentence) } }
            }
            div class="row" { (actions) }
        }
    }
}

pub fn badge(tone: Tone, text: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (text) } }
}

/// The status of a message or a call.
pub fn status(status: &str) -> Markup {
    let tone = match status {
        "delivered" | "read" | "completed" | "active" | "verified" | "done" => Tone::Ok,
        "failed" | "undelivered" | "busy" | "no-answer" | "canceled" | "suspended" | "failing" | "closed" => Tone::Bad,
        "unconfirmed" | "inactive" | "unverified" => Tone::Warn,
        _ => Tone::Plain,
    };
    badge(tone, status)
}

/// A sentence in a coloured frame. Screen readers announce bad ones.
pub fn note(tone: Tone, text: &Markup) -> Markup {
    let role = (tone == Tone::Bad).then_some("alert");
    html! { div class={ "note " (tone.class()) } role=[role] { (text) } }
}

/// A failure, with the way out.
pub fn failure(failure: &Failure) -> Markup {
    let body = html! {
        p { strong { (sentence(&failure.message)) } }
        @if let Some(hint) = &failure.remediation { p { (sentence(hint)) } }
        @if let Some(seconds) = failure.retry_after_seconds { p { "Try again in " (wait(seconds)) "." } }
        p class="small muted" { "Code " code { (failure.code.as_str()) } }
    };
    note(Tone::Bad, &body)
}

/// Begins with a capital letter and ends with a full stop.
pub fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let first: String = letters
        .next()
        .map(|letter| letter.to_uppercase().collect())
        .unwrap_or_default();
    let whole = format!("{first}{}", letters.as_str());
    match whole.ends_with(['.', '!', '?']) || whole.is_empty() {
        true => whole,
        false => format!("{whole}."),
    }
}

fn wait(seconds: u64) -> String {
    match seconds {
        0..=90 => format!("{seconds} s"),
        _ => format!("{} min", seconds.div_ceil(60)),
    }
}

/// A list without entries: what it will show, and how to get the first one.
pub fn empty(title: &str, text: &str, action: Option<(&str, &str)>) -> Markup {
    html! {
        div class="empty" {
            h2 { (title) }
            p { (text) }
            @if let Some((href, label)) = action { a class="button" href=(href) { (label) } }
        }
    }
}

/// A field of a form.
pub struct Field<'a> {
    pub name: &'a str,
    pub label: &'a str,
    pub kind: &'a str,
    pub value: &'a str,
    pub hint: &'a str,
    pub autocomplete: &'a str,
    pub is_required: bool,
    pub is_wrong: bool,
}

impl<'a> Field<'a> {
    pub fn new(name: &'a str, label: &'a str) -> Self {
        Self {
            name,
            label,
            kind: "text",
            value: "",
            hint: "",
            autocomplete: "off",
            is_required: false,
            is_wrong: false,
        }
    }

    pub fn kind(self, kind: &'a str) -> Self {
        Self { kind, ..self }
    }

    pub fn value(self, value: &'a str) -> Self {
        Self { value, ..self }
    }

    pub fn hint(self, hint: &'a str) -> Self {
        Self { hint, ..self }
    }

    pub fn autocomplete(self, autocomplete: &'a str) -> Self {
        Self { autocomplete, ..self }
    }

    pub fn required(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }

    /// Marks the field that a failure names.
    pub fn checked_by(self, failure: Option<&Failure>) -> Self {
        let fields = failure.and_then(|failure| failure.details.get("fields"));
        let names = fields.and_then(Value::as_array).into_iter().flatten();
        let is_wrong = names.filter_map(Value::as_str).any(|name| name == self.name);
        Self { is_wrong, ..self }
    }

    /// Renders a field of a filter, which is always optional.
    pub fn filter(&self) -> Markup {
        html! {
            div class="field grow" {
                label for=(self.name) { (self.label) }
                input type=(self.kind) id=(self.name) name=(self.name) value=(self.value) autocomplete="off";
            }
        }
    }

    pub fn render(&self) -> Markup {
        let hint = (!self.hint.is_empty()).then(|| format!("{}-hint", self.name));
        html! {
            div class="field" {
                label for=(self.name) { (self.label) @if !self.is_required && self.autocomplete != "one-time-code" { span class="muted" { " (optional)" } } }
                input type=(self.kind) id=(self.name) name=(self.name) value=(self.value) autocomplete=(self.autocomplete)
                    required[self.is_required] aria-describedby=[hint.as_deref()]
                    aria-invalid=[self.is_wrong.then_some("true")] inputmode=[(self.autocomplete == "one-time-code").then_some("numeric")];
                @if let Some(id) = &hint { p class="hint" id=(id) { (self.hint) } }
            }
        }
    }
}

/// A choice of a form: values with their labels.
pub fn select(name: &str, label: &str, options: &[(&str, &str)], chosen: &str) -> Markup {
    html! {
        div class="field" {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                @for (value, text) in options {
                    option value=(value) selected[*value == chosen] { (text) }
                }
            }
        }
    }
}

/// A text to copy, with a button where scripts run.
pub fn copyable(id: &str, text: &str) -> Markup {
    html! {
        div class="secret" {
            code id=(id) tabindex="0" { (text) }
            button type="button" class="slim" data-copy=(id) { "Copy" }
        }
    }
}

/// Lines of code to copy.
pub fn code_block(id: &str, label: &str, text: &str) -> Markup {
    html! {
        div class="tight" {
            div class="card-head" {
                span class="small muted" { (label) }
                button type="button" class="slim" data-copy=(id) { "Copy" }
            }
            pre id=(id) tabindex="0" role="region" aria-label=(label) { (text) }
        }
    }
}

/// A link to the next page of a list.
pub fn pager(next: Option<&str>, is_first: bool, first: &str) -> Markup {
    html! {
        @if next.is_some() || !is_first {
            nav class="card-foot row" aria-label="Pages" {
                @if !is_first { a class="button slim" href=(first) { "Newest" } }
                @if let Some(next) = next { a class="button slim" href=(next) { "Older" } }
            }
        }
    }
}

/// A part of an amount, as a bar with its numbers as text.
pub fn meter(label: &str, value: f64, limit: f64, text: &str) -> Markup {
    html! {
        div class="tight" {
            div class="row" { span { (label) } span class="muted small" { (text) } }
            meter min="0" max=(limit.max(0.000_001)) low=(limit * 0.7) high=(limit * 0.9) optimum="0" value=(value)
                aria-label=(label) { (text) }
        }
    }
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::Code;

    use super::*;

    #[test]
    fn failures_are_sentences_with_escaped_text() {
        assert_eq!(sentence("the key is wrong"), "The key is wrong.");
        assert_eq!(sentence("Stop!"), "Stop!");
        let shown = failure(&Failure::new(Code::NotFound, "<script>x</script>")).into_string();
        assert!(shown.contains("&lt;script&gt;") && shown.contains("role=\"alert\""));
    }

    #[test]
    fn marks_the_field_that_a_failure_names() {
        let failure = Failure::new(Code::InvalidArgument, "wrong").detail("fields", vec!["email"]);
        let field = |name| Field::new(name, "x").checked_by(Some(&failure)).render().into_string();
        assert!(field("email").contains("aria-invalid") && !field("password").contains("aria-invalid"));
    }
}
