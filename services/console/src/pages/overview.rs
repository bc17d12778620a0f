//! The first page: what happens now, what it costs, and what is left to set up.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_domain::Failure;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::setup_state;
use crate::{
    app::App,
    chart::{self, Bar},
    format::{self, count, list, money, text},
    member::Member,
    page::{self, Place},
    parts, rights,
};

/// `GET /console`
pub async fn show(State(app): State<App>, member: Member) -> Response {
    let overview = match app.call(&member, "get_overview", json!({})).await {
        Ok(overview) => overview,
        Err(failure) => return page::member_failed(&app, &member, Place::Overview, &failure),
    };
    let steps = match setup_state::read(&app, &member, &overview).await {
        Ok(steps) => steps,
        Err(failure) => return page::member_failed(&app, &member, Place::Overview, &failure),
    };
    // A newcomer begins with the set-up.
    if steps.is_untouched() && rights::administers(member.role()) {
        return Redirect::to(&app.path("/setup")).into_response();
    }
    let body = html! {
        (parts::head("Overview", "The last 24 hours of all agents. Figures are live; days are in UTC.", &html! {
            a class="button" href=(app.path("/overview.csv")) { "CSV" }
            @if rights::operates(member.role()) { a class="button" href=(app.path("/messages#new")) { "Send a message" } }
        }))
        @if let Some(open) = steps.open_count() {
            div class="note" {
                p { strong { "The set-up has " (open) " open " (if open == 1 { "step" } else { "steps" }) "." } " " (steps.next_label()) }
                p { a href=(app.path("/setup")) { "Continue the set-up" } }
            }
        }
        div hx-sse:connect=(app.path("/live/overview")) hx-swap="innerHTML" { (figures(&app, &overview)) }
        (days(&overview))
    };
    page::member(&app, &member, Place::Overview, "Overview", &body)
}

/// `GET /overview.csv`: the figures as a table.
pub async fn table(State(app): State<App>, member: Member) -> Response {
    match app.call(&member, "export_overview", json!({ "days": 92 })).await {
        Ok(table) => {
            let headers = [
                (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"overview.csv\""),
            ];
            (headers, table.as_str().unwrap_or_default().to_owned()).into_response()
        }
        Err(failure) => page::member_failed(&app, &member, Place::Overview, &failure),
    }
}

/// Renders the part that is live.
pub async fn live_part(app: &App, member: &Member) -> Result<Arc<str>, Failure> {
    let render = |overview: &Value| figures(app, overview).into_string();
    app.recent_overview_part(member, render).await
}

fn figures(app: &App, overview: &Value) -> Markup {
    let total = |wanted: &[&str]| -> i64 {
        let rows = list(overview, "messages").iter();
        rows.filter(|row| wanted.is_empty() || wanted.contains(&text(row, "status")))
            .filter_map(|row| row["messages"].as_i64())
            .sum()
    };
    let (all, failed) = (total(&[]), total(&["failed"]));
    let (arrived, open) = (total(&["delivered", "read"]), total(&["pending", "unconfirmed"]));
    let spend = &overview["spend"];
    let amount = |period: &str, field: &str| spend[period][field].as_f64().unwrap_or_default();
    let limit = |field: &str| spend["limits"][field].as_f64();
    html! {
        div class="stack" {
            div class="grid figures" {
                (figure(&app.path("/messages"), &count(all), "messages sent"))
                (figure(&app.path("/messages?status=delivered"), &share(arrived, all), "delivered or read"))
                (figure(&app.path("/messages?status=failed"), &count(failed), "failed"))
                (figure(&app.path("/messages?status=pending"), &count(open), "not known yet"))
                (figure(&app.path("/calls?live=true"), &count(overview["liveCalls"].as_i64().unwrap_or_default()), "calls now"))
            }
            div class="grid wide" {
                section class="card" aria-labelledby="by-channel" {
                    h2 id="by-channel" { "By channel" }
                    (channels(app, overview))
                }
                section class="card" aria-labelledby="money" {
                    h2 id="money" { "Spend of the organization" }
                    (budget("Today", amount("today", "total"), amount("today", "held"), limit("maxSpendPerDay")))
                    (budget("This month", amount("thisMonth", "total"), amount("thisMonth", "held"), limit("maxSpendPerMonth")))
                    p class="small" { a href=(app.path("/spend")) { "Spend and limits" } }
                }
            }
        }
    }
}

fn figure(href: &str, value: &str, label: &str) -> Markup {
    html! {
        a class="card figure" href=(href) {
            span class="value" { (value) }
            span class="label" { (label) }
        }
    }
}

/// A share in per cent. Without messages there is none, which is not zero.
fn share(part: i64, all: i64) -> String {
    match all {
        0 => "–".into(),
        _ => format!("{}%", part * 100 / all),
    }
}

fn channels(app: &App, overview: &Value) -> Markup {
    let rows = list(overview, "messages");
    let mut names: Vec<&str> = rows.iter().map(|row| text(row, "channel")).collect();
    names.dedup();
    let of = |channel: &str, wanted: &[&str]| -> i64 {
        let rows = rows.iter().filter(|row| text(row, "channel") == channel);
        rows.filter(|row| wanted.is_empty() || wanted.contains(&text(row, "status")))
            .filter_map(|row| row["messages"].as_i64())
            .sum()
    };
    html! {
        @if names.is_empty() {
            p class="muted" { "No messages in the last 24 hours." }
        } @else {
            div class="scroll" tabindex="0" role="region" aria-label="Messages by channel" {
                table {
                    thead { tr { th scope="col" { "Channel" } th scope="col" class="num" { "Sent" } th scope="col" class="num" { "Arrived" } th scope="col" class="num" { "Failed" } } }
                    tbody {
                        @for name in names {
                            tr {
                                td { a href=(app.path(&format!("/messages?channel={name}"))) { (format::channel(name)) } }
                                td class="num" { (count(of(name, &[]))) }
                                td class="num" { (count(of(name, &["delivered", "read", "completed"]))) }
                                td class="num" { (count(of(name, &["failed"]))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub fn budget(label: &str, total: f64, held: f64, limit: Option<f64>) -> Markup {
    let held = if held > 0.0 {
        format!(", {} of it reserved", money(held))
    } else {
        String::new()
    };
    match limit {
        Some(limit) => parts::meter(
            label,
            total,
            limit,
            &format!("{} of {}{held}", money(total), money(limit)),
        ),
        None => html! {
            div class="row" { span { (label) } span class="muted small" { (money(total)) (held) ", no limit set" } }
        },
    }
}

/// Draws the messages of each day.
pub fn days(overview: &Value) -> Markup {
    let bars = bars_of(overview, "messages", |value| count(value as i64));
    html! {
        section class="card" aria-labelledby="days" {
            h2 id="days" { "Messages by day" }
            @if bars.iter().all(|bar| bar.value == 0.0) {
                p class="muted" { "No messages in these days." }
            } @else {
                (chart::bars("Messages by day", "Messages", &bars))
            }
        }
    }
}

/// Sums a field by day. Days without usage are zero.
pub fn bars_of(overview: &Value, field: &str, write: impl Fn(f64) -> String) -> Vec<Bar> {
    let day = |name: &str| text(overview, name).parse::<chrono::NaiveDate>().ok();
    let (Some(first), Some(last)) = (day("firstDay"), day("lastDay")) else {
        return Vec::new();
    };
    let rows = list(overview, "daily");
    first
        .iter_days()
        .take_while(|day| *day <= last)
        .map(|day| {
            let key = day.to_string();
            let of_day = rows.iter().filter(|row| text(row, "day") == key);
            let value = of_day.filter_map(|row| row[field].as_f64()).sum();
            Bar {
                label: day.format("%-d %b").to_string(),
                value,
                text: write(value),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_without_messages_is_not_zero() {
        assert_eq!(
            (share(0, 0), share(0, 4), share(3, 4)),
            ("–".into(), "0%".into(), "75%".into())
        );
    }

    #[test]
    fn days_without_usage_are_zero() {
        let overview = json!({ "firstDay": "2026-11-28", "lastDay": "2026-11-30", "daily": [
            { "day": "2026-11-29", "channel": "sms", "messages": 2 }, { "day": "2026-11-29", "channel": "email", "messages": 3 },
        ]});
        let bars = bars_of(&overview, "messages", |value| value.to_string());
        let values: Vec<f64> = bars.iter().map(|bar| bar.value).collect();
        assert_eq!(values, [0.0, 5.0, 0.0]);
        assert_eq!(bars[1].label, "29 Nov");
    }
}
