//! `get_overview`: the organization at a glance.

use butt_dial_billing::{DailyUsage, PeriodSpend};
use butt_dial_calls::lookup;
use butt_dial_domain::{Code, Failure, Micros, Scope, bounds};
use butt_dial_messaging::outbound::MessageCounts;
use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, time, views::LimitsView};

const DEFAULT_DAYS: u64 = 14;
/// Live calls are counted up to this number.
const MAX_LIVE: u32 = 200;

pub struct GetOverview;
pub struct ExportOverview;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// The number of days in `daily`, 1 to 92; the default is 14.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::OVERVIEW_DAYS))]
    days: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Messages of the last 24 hours by channel and status: at most the newest 10,000.
    messages: Vec<CountView>,
    /// The start of these 24 hours.
    since: String,
    /// Calls that have not ended, up to 200.
    live_calls: usize,
    spend: SpendView,
    /// Usage by day and channel, in UTC. Days without usage are left out.
    daily: Vec<DayView>,
    first_day: String,
    last_day: String,
    /// The time of this overview.
    at: String,
}

/// A number of messages.
#[derive(Serialize, JsonSchema)]
pub struct CountView {
    channel: String,
    /// pending, accepted, sent, delivered, read, failed or unconfirmed.
    status: String,
    messages: i64,
}

/// The spend of the organization, in US dollars.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpendView {
    currency: &'static str,
    today: PeriodView,
    this_month: PeriodView,
    /// Of the organization as a whole. A limit that is not set is omitted.
    limits: LimitsView,
}

/// The spend of a period.
#[derive(Serialize, JsonSchema)]
pub struct PeriodView {
    /// Reserved for sends without a final price.
    held: f64,
    settled: f64,
    total: f64,
}

/// The usage of a day on a channel.
#[derive(Serialize, JsonSchema)]
pub struct DayView {
    day: String,
    channel: String,
    messages: i64,
    /// US dollars.
    cost: f64,
}

impl From<MessageCounts> for CountView {
    fn from(counts: MessageCounts) -> Self {
        Self {
            channel: counts.channel,
            status: counts.status,
            messages: counts.messages,
        }
    }
}

impl From<PeriodSpend> for PeriodView {
    fn from(spend: PeriodSpend) -> Self {
        Self {
            held: spend.held.as_units(),
            settled: spend.settled.as_units(),
            total: spend.total().as_units(),
        }
    }
}

impl From<DailyUsage> for DayView {
    fn from(usage: DailyUsage) -> Self {
        Self {
            day: usage.day,
            channel: usage.channel,
            messages: usage.messages,
            cost: Micros(usage.cost).as_units(),
        }
    }
}

impl Operation for GetOverview {
    const NAME: &'static str = "get_overview";
    const TITLE: &'static str = "Overview of my organization";
    const DESCRIPTION: &'static str = "Returns the organization at a glance: messages of the last 24 hours by channel and status, live calls, spend against the \
        limits, and usage by day. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/overview",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::CallNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (product, org) = (&context.product, context.caller.org()?);
        let days = args.days.unwrap_or(DEFAULT_DAYS);
        let now = product.clock.now();
        let since = now - TimeDelta::hours(24);
        let counts = product.outbound.count_messages(org, since).await?;
        let live = lookup::list_of_org(&product.calls, org, None, true, MAX_LIVE, None).await?;
        let spend = product.billing.org_spend(org).await?;
        let (first_day, last_day, daily) = product.billing.daily_usage(org, days).await?;
        Ok(Output {
            messages: counts.into_iter().map(CountView::from).collect(),
            since: time(since),
            live_calls: live.len(),
            spend: SpendView {
                currency: "USD",
                today: spend.today.into(),
                this_month: spend.this_month.into(),
                limits: spend.limits.into(),
            },
            daily: daily.into_iter().map(DayView::from).collect(),
            first_day,
            last_day,
            at: time(now),
        })
    }
}

/// Lines with figure, day, channel, status, value and unit. The columns that a figure does not tell apart are empty.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Table(String);

impl Operation for ExportOverview {
    const NAME: &'static str = "export_overview";
    const TITLE: &'static str = "Export the overview";
    const DESCRIPTION: &'static str = "Returns the figures of the overview as a table (CSV): messages, live calls, spend, and usage by day. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/overview/export",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = GetOverview::ERRORS;
    const CONTENT_TYPE: &'static str = "text/csv; charset=utf-8";

    type Args = Args;
    type Output = Table;

    fn text(output: &Table) -> Option<String> {
        Some(output.0.clone())
    }

    async fn run(context: Context, args: Args) -> Result<Table, Failure> {
        Ok(Table(GetOverview::run(context, args).await?.table()))
    }
}

impl Output {
    /// Writes the figures as a table. No column holds a text of a client.
    fn table(&self) -> String {
        let mut table = "figure,day,channel,status,value,unit\n".to_owned();
        let mut line = |figure: &str, day: &str, channel: &str, status: &str, value: &str, unit: &str| {
            table.push_str(&[figure, day, channel, status, value, unit].join(","));
            table.push('\n');
        };
        for row in &self.messages {
            let count = row.messages.to_string();
            line("messages_24h", "", &row.channel, &row.status, &count, "messages");
        }
        line("live_calls", "", "", "", &self.live_calls.to_string(), "calls");
        for (figure, period) in [
            ("spend_today", &self.spend.today),
            ("spend_this_month", &self.spend.this_month),
        ] {
            for (status, amount) in [
                ("held", period.held),
                ("settled", period.settled),
                ("total", period.total),
            ] {
                line(figure, "", "", status, &amount.to_string(), self.spend.currency);
            }
        }
        for row in &self.daily {
            line(
                "usage",
                &row.day,
                &row.channel,
                "",
                &row.messages.to_string(),
                "messages",
            );
            line(
                "cost",
                &row.day,
                &row.channel,
                "",
                &row.cost.to_string(),
                self.spend.currency,
            );
        }
        table
    }
}
