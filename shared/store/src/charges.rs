//! Charges after acceptance: changes to the spend of the agent and of its organization, per day and per month, of the
//! token and the task that pay, and to the agent's usage. Collected during a transaction and written at its end.

use std::collections::BTreeMap;

use butt_dial_domain::{Micros, limits::Limits};

use crate::{
    StoreError,
    engine::{Sql, Tx, in_tx},
    inbound::json,
};

const SPEND: Sql = Sql {
    postgres: "INSERT INTO spend (scope, period, held, settled, cap)
        SELECT value ->> 0, value ->> 1, CAST(value ->> 2 AS BIGINT), CAST(value ->> 3 AS BIGINT),
            CAST(value ->> 4 AS BIGINT)
        FROM jsonb_array_elements($1::JSONB) AS item (value) ORDER BY 1, 2
        ON CONFLICT (scope, period) DO UPDATE SET held = spend.held + excluded.held,
            settled = spend.settled + excluded.settled, cap = excluded.cap",
    sqlite: "INSERT INTO spend (scope, period, held, settled, cap)
        SELECT value ->> 0, value ->> 1, CAST(value ->> 2 AS BIGINT), CAST(value ->> 3 AS BIGINT),
            CAST(value ->> 4 AS BIGINT)
        FROM jsonb_each($1) AS item WHERE true ORDER BY 1, 2
        ON CONFLICT (scope, period) DO UPDATE SET held = spend.held + excluded.held,
            settled = spend.settled + excluded.settled, cap = excluded.cap",
};

const USAGE: Sql = Sql {
    postgres: "INSERT INTO usage (agent_id, day, channel, org_id, messages, cost)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 0, CAST(value ->> 4 AS BIGINT)
        FROM jsonb_array_elements($1::JSONB) AS item (value) ORDER BY 1, 2, 3
        ON CONFLICT (agent_id, day, channel) DO UPDATE SET cost = usage.cost + excluded.cost",
    sqlite: "INSERT INTO usage (agent_id, day, channel, org_id, messages, cost)
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 0, CAST(value ->> 4 AS BIGINT)
        FROM jsonb_each($1) AS item WHERE true ORDER BY 1, 2, 3
        ON CONFLICT (agent_id, day, channel) DO UPDATE SET cost = usage.cost + excluded.cost",
};

/// The period of the whole life of a token or a task.
pub const TOTAL: &str = "total";

/// Returns the key of the spend and of the limit of a task. The statements of sends build the same.
pub(crate) fn task_scope(org: &str, task: &str) -> String {
    format!("task:{org}/{task}")
}

/// The accounts that a message is charged to.
#[derive(Clone, Copy)]
pub(crate) struct Account<'a> {
    pub agent: &'a str,
    pub org: &'a str,
    pub channel: &'a str,
    pub day: &'a str,
    /// The budget of the restricted token that pays.
    pub budget: Option<&'a str>,
    /// The task of the message.
    pub task: Option<&'a str>,
}

/// The caps of a charge.
#[derive(Clone, Copy, Default)]
pub(crate) struct Caps {
    pub agent: Limits,
    pub org: Limits,
    /// Of the token: for its whole life, and for a day.
    pub token: (Option<Micros>, Option<Micros>),
    pub task: Option<Micros>,
}

/// The owner of a budget.
#[derive(Clone, Copy)]
enum Owner {
    Agent,
    Org,
    Token,
    Task,
}

impl<'a> Account<'a> {
    fn month(&self) -> &'a str {
        self.day.get(..7).unwrap_or(self.day)
    }
}

#[derive(Default)]
struct Sums {
    held: i64,
    settled: i64,
    cap: Option<i64>,
}

/// Sums per account and period, in key order, so that all writers lock rows in the same order.
#[derive(Default)]
pub(crate) struct Charges<'a> {
    spend: BTreeMap<(String, &'a str), Sums>,
    usage: BTreeMap<(&'a str, &'a str, &'a str, &'a str), i64>,
}

impl<'a> Charges<'a> {
    /// Changes the amount that is held for unsettled messages.
    pub(crate) fn hold(&mut self, account: Account<'a>, delta: i64) {
        self.each(account, |sums, _, _| sums.held += delta);
    }

    /// Changes the settled amount and the usage.
    pub(crate) fn settle(&mut self, account: Account<'a>, delta: i64) {
        self.each(account, |sums, _, _| sums.settled += delta);
        let key = (account.agent, account.day, account.channel, account.org);
        *self.usage.entry(key).or_default() += delta;
    }

    /// Sets the caps. `write` fails with `OverBudget` when one is exceeded.
    pub(crate) fn limit(&mut self, account: Account<'a>, caps: &Caps) {
        self.each(account, |sums, owner, is_day| {
            let cap = match (owner, is_day) {
                (Owner::Agent, true) => caps.agent.max_spend_per_day,
                (Owner::Agent, false) => caps.agent.max_spend_per_month,
                (Owner::Org, true) => caps.org.max_spend_per_day,
                (Owner::Org, false) => caps.org.max_spend_per_month,
                (Owner::Token, true) => caps.token.1,
                (Owner::Token, false) => caps.token.0,
                (Owner::Task, _) => caps.task,
            };
            sums.cap = cap.map(|Micros(cap)| cap);
        });
    }

    fn each(&mut self, account: Account<'a>, change: impl Fn(&mut Sums, Owner, bool)) {
        let month = account.month();
        let scopes = [
            Some((Owner::Agent, format!("agt:{}", account.agent), month)),
            Some((Owner::Org, format!("org:{}", account.org), month)),
            account.budget.map(|id| (Owner::Token, format!("tok:{id}"), TOTAL)),
        ];
        for (owner, scope, longer) in scopes.into_iter().flatten() {
            for (period, is_day) in [(account.day, true), (longer, false)] {
                change(self.spend.entry((scope.clone(), period)).or_default(), owner, is_day);
            }
        }
        if let Some(task) = account.task {
            // Exists, with its organization: the task of a message is charged first when the message is accepted.
            let scope = task_scope(account.org, task);
            change(self.spend.entry((scope, TOTAL)).or_default(), Owner::Task, false);
        }
    }

    /// Writes all charges. After an error the transaction must not be committed.
    pub(crate) async fn write(self, tx: &mut Tx) -> Result<(), StoreError> {
        let spend: Vec<_> = self
            .spend
            .iter()
            .map(|((scope, period), sums)| (scope, period, sums.held, sums.settled, sums.cap))
            .collect();
        let usage: Vec<_> = self
            .usage
            .iter()
            .map(|((agent, day, channel, org), delta)| (agent, day, channel, org, delta))
            .collect();
        if !spend.is_empty() {
            let (sql, text) = (tx.sql(SPEND), json::text(&spend)?);
            in_tx!(tx, |db| sqlx::query(sql).bind(text).execute(db).await?.rows_affected());
        }
        if !usage.is_empty() {
            let (sql, text) = (tx.sql(USAGE), json::text(&usage)?);
            in_tx!(tx, |db| sqlx::query(sql).bind(text).execute(db).await?.rows_affected());
        }
        Ok(())
    }
}
