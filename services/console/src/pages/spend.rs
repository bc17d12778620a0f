//! Spend: against the limits, by day, by channel and by agent; held apart from settled.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_domain::Failure;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    conflict,
    limit_forms::{edited, limit_fields, limits},
    overview::{bars_of, budget},
};
use crate::{
    app::App,
    chart,
    format::{self, count, money, text},
    member::Member,
    page::{self, Place},
    parts::{self, Tone},
    rights,
    session::Posted,
};

const PERIODS: [(&str, &str); 4] = [
    ("today", "Today"),
    ("week", "7 days"),
    ("month", "This month"),
    ("all", "Always"),
];

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    period: String,
    saved: bool,
}

/// `GET /spend`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /spend`: sets the limits of the organization.
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    match app.call(&posted.member, "get_overview", json!({ "days": 1 })).await {
        Ok(overview) => {
            let now = &overview["spend"]["limits"];
            if let Some(page) = conflict::required(&app, &posted, &app.path("/spend"), now, &edited(&posted, now)) {
                return page;
            }
        }
        Err(failure) => return render(&app, &posted.member, &Query::default(), Some(&failure)).await,
    }
    let changed = match limits(&posted) {
        Ok(limits) => {
            let args = json!({ "limits": limits, "confirm": true });
            app.call(&posted.member, "comms_set_client_limits", args).await
        }
        Err(failure) => Err(failure),
    };
    match changed {
        Ok(_) => Redirect::to(&app.path("/spend?saved=true")).into_response(),
        Err(failure) => render(&app, &posted.member, &Query::default(), Some(&failure)).await,
    }
}

async fn render(app: &App, member: &Member, query: &Query, failure: Option<&Failure>) -> Response {
    let period = PERIODS
        .iter()
        .find(|(name, _)| *name == query.period)
        .map_or("month", |(name, _)| name);
    let overview = match app.call(member, "get_overview", json!({ "days": 31 })).await {
        Ok(overview) => overview,
        Err(failure) => return page::member_failed(app, member, Place::Spend, &failure),
    };
    let bill = app
        .call(member, "comms_get_billing_summary", json!({ "period": period }))
        .await;
    let body = html! {
        (parts::head("Spend", "In US dollars. Reserved amounts are estimates of sends whose price is not known yet.", &html! {}))
        @if query.saved { (parts::note(Tone::Ok, &html! { p role="status" { "The limits are saved, and in force now." } })) }
        @if let Some(failure) = failure { (parts::failure(failure)) }
        div class="grid wide" {
            (now(&overview))
            @if rights::bills(member.role()) { (limits_form(app, member, &overview, failure)) }
        }
        section class="card" aria-labelledby="days" {
            h2 id="days" { "Spend by day" }
            @let bars = bars_of(&overview, "cost", money);
            @if bars.iter().all(|bar| bar.value == 0.0) { p class="muted" { "Nothing was spent in these 31 days." } }
            @else { (chart::bars("Spend by day", "US dollars", &bars)) }
        }
        nav class="tabs" aria-label="Period" {
            @for (name, label) in PERIODS { a href=(app.path(&format!("/spend?period={name}"))) aria-current=[(name == period).then_some("page")] { (label) } }
        }
        @match &bill { Ok(bill) => (tables(app, bill)), Err(failure) => (parts::failure(failure)) }
    };
    page::member(app, member, Place::Spend, "Spend", &body)
}

fn now(overview: &Value) -> Markup {
    let spend = &overview["spend"];
    let amount = |period: &str, field: &str| spend[period][field].as_f64().unwrap_or_default();
    let (month, limit) = (
        amount("thisMonth", "total"),
        spend["limits"]["maxSpendPerMonth"].as_f64(),
    );
    html! {
        section class="card" aria-labelledby="now" {
            h2 id="now" { "Against the limits" }
            (budget("Today", amount("today", "total"), amount("today", "held"), spend["limits"]["maxSpendPerDay"].as_f64()))
            (budget("This month", month, amount("thisMonth", "held"), limit))
            @if let Some(projected) = projection(text(overview, "lastDay"), month) {
                p class="small" {
                    "At this pace: " strong { (money(projected)) } " by the end of the month."
                    @if limit.is_some_and(|limit| projected > limit) { " " (parts::badge(Tone::Warn, "above the limit")) }
                }
            }
        }
    }
}

/// Returns the spend at the end of the month at the pace of its days so far.
fn projection(today: &str, spent: f64) -> Option<f64> {
    use chrono::Datelike as _;
    let day = today.parse::<chrono::NaiveDate>().ok()?;
    let next = day.with_day(1)?.checked_add_months(chrono::Months::new(1))?;
    let days = next.signed_duration_since(day.with_day(1)?).num_days() as f64;
    (spent > 0.0).then(|| spent / f64::from(day.day()) * days)
}

fn limits_form(app: &App, member: &Member, overview: &Value, failure: Option<&Failure>) -> Markup {
    html! {
        section class="card" aria-labelledby="limits" {
            h2 id="limits" { "Limits of the organization" }
            p class="muted small" { "All agents together stop at them. An empty field removes a limit." }
            form class="form" method="post" action=(app.path("/spend")) {
                (page::token(member))
                (conflict::seen(&overview["spend"]["limits"]))
                (limit_fields(&overview["spend"]["limits"], failure, &["maxSpendPerDay", "maxSpendPerMonth", "maxActionsPerDay"]))
                div class="row" { button class="primary" { "Save" } }
            }
        }
    }
}

fn tables(app: &App, bill: &Value) -> Markup {
    html! {
        p class="muted small" { (text(bill, "start")) " to " (text(bill, "end")) ", UTC" }
        div class="grid wide" {
            (table("By channel", "Channel", bill["byChannel"].as_object(), &|name| html! { (format::channel(name)) }))
            (table("By agent", "Agent", bill["byAgent"].as_object(), &|id| html! { a href=(app.path(&format!("/agents/{id}"))) { (id) } }))
        }
    }
}

fn table(
    title: &str,
    column: &str,
    rows: Option<&serde_json::Map<String, Value>>,
    name: &dyn Fn(&str) -> Markup,
) -> Markup {
    let rows: Vec<_> = rows.into_iter().flatten().collect();
    let field = |row: &Value, name: &str| row[name].as_f64().unwrap_or_default();
    html! {
        section class="card flush" aria-label=(title) {
            div class="card-head" { h2 { (title) } }
            @if rows.is_empty() { (parts::empty("Nothing in this period", "Usage appears here as it is settled.", None)) }
            @else {
                div class="scroll" tabindex="0" role="region" aria-label=(title) {
                    table {
                        thead { tr { th scope="col" { (column) } th scope="col" class="num" { "Actions" } th scope="col" class="num" { "Cost" } th scope="col" class="num" { "Billed" } } }
                        tbody {
                            @for (key, row) in rows {
                                tr {
                                    td { (name(key)) }
                                    td class="num" { (count(row["actions"].as_i64().unwrap_or_default())) }
                                    td class="num" { (money(field(row, "providerCost"))) }
                                    td class="num" { (money(field(row, "billedCost"))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_the_pace_of_the_month() {
        assert_eq!(projection("2026-11-15", 30.0), Some(60.0));
        assert_eq!(projection("2026-12-31", 31.0), Some(31.0));
        assert_eq!(projection("2026-11-15", 0.0), None);
    }
}
