//! Usage: what an agent has sent and spent, for its dashboard.

use butt_dial_domain::{
    Channel, Code, Failure, Micros,
    clock::Timestamp,
    limits::{Limits, Period},
};
use butt_dial_store::{Profile, UsageRow};
use chrono::{Datelike, Days};

use crate::{Billing, agent_scope};

/// A span of days, both included, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    Today,
    Week,
    Month,
    All,
}

impl Span {
    pub fn parse(text: &str) -> Result<Self, Failure> {
        match text {
            "today" | "day" => Ok(Self::Today),
            "week" => Ok(Self::Week),
            "month" => Ok(Self::Month),
            "all" => Ok(Self::All),
            _ => Err(Failure::new(
                Code::InvalidArgument,
                "period is one of today, week, month, all",
            )),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Week => "week",
            Self::Month => "month",
            Self::All => "all",
        }
    }

    /// Returns the first and the last day of the span.
    pub fn days(self, now: Timestamp) -> (String, String) {
        (Period::Day.key(self.start(now)), Period::Day.key(now))
    }

    /// The first day of the span. A week is the last seven days, a month the calendar month.
    fn start(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Today => now,
            Self::Week => now - Days::new(6),
            Self::Month => now - Days::new(u64::from(now.day0())),
            Self::All => Timestamp::UNIX_EPOCH,
        }
    }
}

pub struct Dashboard {
    pub span: Span,
    pub first_day: String,
    pub last_day: String,
    pub by_channel: Vec<UsageRow>,
    /// Reserved and settled.
    pub spent_today: Micros,
    pub spent_this_month: Micros,
    pub limits: Limits,
}

impl Dashboard {
    pub fn messages(&self) -> i64 {
        self.by_channel.iter().map(|row| row.messages).sum()
    }

    pub fn cost(&self, channel: Channel) -> Micros {
        Micros(
            self.by_channel
                .iter()
                .filter(|row| row.channel == channel.as_str())
                .map(|row| row.cost)
                .sum(),
        )
    }
}

impl Billing {
    /// Sums an agent's usage over the span, and its spend of today and this month.
    pub async fn dashboard(&self, profile: &Profile, span: Span) -> Result<Dashboard, Failure> {
        let now = self.clock.now();
        let (first_day, last_day) = (Period::Day.key(span.start(now)), Period::Day.key(now));
        let agent = &profile.agent.id;
        let by_channel = self.store.sum_usage(agent, &first_day, &last_day).await?;
        let (day, month) = (Period::Day.key(now), Period::Month.key(now));
        let spend = self.store.list_spend(&agent_scope(agent), &day, &month).await?;
        let spent = |period: &str| {
            let rows = spend.iter().filter(|row| row.period == period);
            Micros(rows.map(|row| row.held + row.settled).sum())
        };
        Ok(Dashboard {
            span,
            spent_today: spent(&day),
            spent_this_month: spent(&month),
            first_day,
            last_day,
            by_channel,
            limits: self.limits_of(profile).agent,
        })
    }
}
