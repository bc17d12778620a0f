//! The card of a person in the inbox: addresses, consent with its history, reachability, and erasure.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};
use serde_json::Value;

use super::inbox_views::{Conversation, Query, reference};
use crate::{
    app::App,
    format::{self, list, masked, text, time},
    member::Member,
    page,
    parts::{self, Tone},
    rights,
};

/// WhatsApp: texts without a template pass for 24 hours after the last message of the person.
const WINDOW: TimeDelta = TimeDelta::hours(24);

/// Renders the card. `erasure`: the places that an erasure of the person would cover, or the job that does it.
pub fn render(
    app: &App,
    member: &Member,
    query: &Query,
    conversation: &Conversation,
    is_revealed: bool,
    erasure: Option<&Value>,
) -> Markup {
    let Some(card) = &conversation.card else {
        return html! {};
    };
    let now = app.clock().now();
    let suppressed = card["suppressed"].as_object();
    let inbound = card["lastInboundAt"].as_object();
    let window = inbound
        .and_then(|inbound| inbound.get("whatsapp"))
        .and_then(Value::as_str);
    let others: Vec<&str> = list(card, "addresses")
        .iter()
        .filter_map(Value::as_str)
        .filter(|other| *other != conversation.contact)
        .collect();
    let consent = text(card, "consent");
    html! {
        section class="card" aria-labelledby="card" {
            h2 id="card" { "Contact" }
            dl class="facts" {
                dt { "Address" }
                dd {
                    @if is_revealed { span class="mono" { (conversation.contact) } } @else {
                        span class="mono" { (masked(&conversation.contact)) }
                        @if rights::operates(member.role()) {
                            form method="post" action=(app.path("/inbox")) {
                                (page::token(member))
                                input type="hidden" name="person" value=(reference(member, &conversation.contact));
                                button class="link small" name="do" value="reveal" { "Show (is written to the audit log)" }
                            }
                        }
                    }
                }
                @if !others.is_empty() { dt { "Also" } dd class="mono" { @for other in &others { (if is_revealed { (*other).to_owned() } else { masked(other) }) " " } } }
                dt { "Consent" }
                dd { @match consent { "granted" => (parts::badge(Tone::Ok, "granted")), "revoked" => (parts::badge(Tone::Bad, "revoked: no agent may write")), _ => span class="muted" { "None recorded" } } }
                dt { "Not reachable" }
                dd {
                    @match suppressed.filter(|suppressed| !suppressed.is_empty()) {
                        Some(suppressed) => { @for (channel, reason) in suppressed { p { (if channel == "*" { "All channels" } else { format::channel(channel) }) ": " (reason.as_str().unwrap_or_default()) } } },
                        None => span class="muted" { "Nothing is known" },
                    }
                }
                dt { "WhatsApp window" } dd { (window_state(window, now)) }
                @for (channel, at) in inbound.into_iter().flatten() { dt { "Last wrote, " (format::channel(channel)) } dd { (time(at.as_str().unwrap_or_default(), now)) } }
            }
            (history(conversation, now))
            (erase(app, member, (query, conversation), erasure))
            p class="small" { a href=(app.path("/do-not-contact")) { "Do not contact" } }
        }
    }
}

/// Lists the words of the person and others about consent, such as STOP and START.
fn history(conversation: &Conversation, now: DateTime<Utc>) -> Markup {
    html! {
        @if !conversation.consents.is_empty() {
            h3 { "History of consent" }
            ul id="consents" {
                @for entry in &conversation.consents {
                    li class="small" {
                        @let status = text(entry, "status");
                        (parts::badge(if status == "granted" { Tone::Ok } else { Tone::Bad }, status)) " "
                        (text(entry, "method").replace('_', " "))
                        @if text(entry, "purpose") != "all" { ", " (text(entry, "purpose")) }
                        @if let Some(words) = entry["words"].as_str() { ": \u{201c}" (words) "\u{201d}" }
                        span class="muted" { " · " (time(text(entry, "at"), now)) }
                    }
                }
            }
        }
    }
}

/// Renders the erasure of the person: the first step, what it would delete, or the job.
fn erase(
    app: &App,
    member: &Member,
    (query, conversation): (&Query, &Conversation),
    erasure: Option<&Value>,
) -> Markup {
    let form = |step: &str, label: &str, class: &str| {
        html! {
            form method="post" action=(app.path("/inbox")) {
                (page::token(member))
                input type="hidden" name="person" value=(reference(member, &conversation.contact));
                // A typed address may belong to none of the newest conversations.
                @if !query.contact.is_empty() { input type="hidden" name="contact" value=(query.contact); }
                button class=(class) name="do" value=(step) { (label) }
            }
        }
    };
    html! {
        @match erasure {
            _ if !rights::administers(member.role()) => {}
            None => (form("erase", "Erase this person", "link small")),
            Some(erasure) if erasure["preview"] == true && erasure["holdId"].is_null() => {
                div id="erasure" role="status" {
                    @let addresses = erasure["addresses"].as_u64().unwrap_or_default();
                    @let steps: Vec<String> = list(erasure, "steps").iter().filter_map(Value::as_str).map(|step| step.replace('_', " ")).collect();
                    p { "This erases what the organization has of the person, under " (addresses) @if addresses == 1 { " address: " } @else { " addresses: " } (steps.join(", ")) ". It can't be undone. Opt-outs stay, by a keyed hash." }
                    (form("erase-now", "Erase for good", "danger"))
                }
            }
            Some(erasure) if erasure["preview"] == true => p id="erasure" role="status" { "A legal hold forbids the erasure: " span class="mono" { (text(erasure, "holdId")) } },
            Some(erasure) => p id="erasure" role="status" { "The erasure has begun. GET /api/v1/subjects/jobs/" (text(erasure, "jobId")) " shows its progress." },
        }
    }
}

/// Writes how long texts without a template still pass.
fn window_state(last: Option<&str>, now: DateTime<Utc>) -> Markup {
    let until = last
        .and_then(|last| last.parse::<DateTime<Utc>>().ok())
        .map(|at| at + WINDOW);
    html! {
        @match until {
            Some(until) if until > now => {
                @let left = until - now;
                "Open for " (left.num_hours()) " h " (left.num_minutes() % 60) " min, until "
                time datetime=(until.to_rfc3339()) { (until.format("%Y-%m-%d %H:%M UTC").to_string()) }
            }
            Some(_) => "Closed: a template is needed",
            None => span class="muted" { "The person has not written there" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_counts_down_and_closes() {
        let now: DateTime<Utc> = "2026-11-30T12:00:00Z".parse().unwrap();
        let shown = |last| window_state(last, now).into_string();
        assert!(shown(Some("2026-11-30T11:00:00Z")).contains("Open for 23 h 0 min"));
        assert!(shown(Some("2026-11-29T12:00:00Z")).contains("Closed"));
        assert!(shown(None).contains("not written"));
    }
}
