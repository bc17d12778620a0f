//! The spend of an organization against its limits, and its usage by day.

use butt_dial_domain::{
    Failure, Micros, OrgId,
    limits::{Limits, Period},
};
pub use butt_dial_store::DailyUsage;
use chrono::Days;

use crate::{Billing, org_scope};

/// The spend of a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeriodSpend {
    /// Reserved for sends without a final price.
    pub held: Micros,
    pub settled: Micros,
}

impl PeriodSpend {
    pub fn total(self) -> Micros {
        Micros(self.held.0 + self.settled.0)
    }
}

/// The spend of an organization.
pub struct OrgSpend {
    pub today: PeriodSpend,
    pub this_month: PeriodSpend,
    /// Of the organization as a whole.
    pub limits: Limits,
}

impl Billing {
    /// Returns the spend of the organization in the current day and month, with its limits.
    pub async fn org_spend(&self, org: &OrgId) -> Result<OrgSpend, Failure> {
        let (now, scope) = (self.clock.now(), org_scope(org));
        let (day, month) = (Period::Day.key(now), Period::Month.key(now));
        let spend = self.store.list_spend(&scope, &day, &month).await?;
        let of = |period: &str| {
            let row = spend.iter().find(|row| row.period == period);
            row.map_or_else(PeriodSpend::default, |row| PeriodSpend {
                held: Micros(row.held),
                settled: Micros(row.settled),
            })
        };
        Ok(OrgSpend {
            today: of(&day),
            this_month: of(&month),
            limits: self.store.find_limits(&scope).await?.unwrap_or_default(),
        })
    }

    /// Lists the usage of the organization of the last `days` days, today included, by day and channel. Days without usage
    /// are left out. The first and the last day are returned with it.
    pub async fn daily_usage(&self, org: &OrgId, days: u64) -> Result<(String, String, Vec<DailyUsage>), Failure> {
        let now = self.clock.now();
        let first = Period::Day.key(now - Days::new(days.saturating_sub(1)));
        let last = Period::Day.key(now);
        let usage = self.store.list_daily_usage(org, &first, &last).await?;
        Ok((first, last, usage))
    }
}
