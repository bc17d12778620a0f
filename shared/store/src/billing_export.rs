//! The lines of a bill: usage of an organization per day, agent, channel or task, with its cost and with the markups in force.

use butt_dial_domain::OrgId;

use crate::{
    Store, StoreError,
    engine::{Sql, on_list},
};

/// The kind of the lines of a bill: each sums up one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum BilledBy {
    Day,
    Agent,
    Channel,
    Task,
}

/// A line of a bill.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct BilledLine {
    /// A day, the id of an agent, a channel or a task. Empty: usage without a task.
    pub name: String,
    pub actions: i64,
    /// Micro-units.
    pub cost: i64,
    /// The cost with the markup, in micro-units.
    pub billed: i64,
}

// The usage without a task is what the messages with a task leave of the usage, so that the lines add up to the bill in every case.
// The markup is added to the sum of an agent and channel, as in a bill.
const LINES: Sql = Sql {
    postgres: "WITH source AS (
            SELECT CASE $4 WHEN 'day' THEN day WHEN 'agent' THEN agent_id WHEN 'channel' THEN channel ELSE '' END AS name,
                agent_id, channel, messages, cost
            FROM usage WHERE org_id = $1 AND day >= $2 AND day <= $3
            UNION ALL SELECT tag.name, agent_id, channel,
                tag.sign * CASE WHEN status IN ('accepted', 'unconfirmed') THEN 1 ELSE 0 END,
                tag.sign * coalesce(cost, 0)
            FROM messages CROSS JOIN LATERAL (VALUES ('', -1::BIGINT), (task_id, 1)) AS tag (name, sign)
            WHERE $4 = 'task' AND org_id = $1 AND day >= $2 AND day <= $3 AND task_id IS NOT NULL
        ), part AS (
            SELECT name, agent_id, SUM(messages)::BIGINT AS actions, SUM(cost)::BIGINT AS cost
            FROM source GROUP BY name, agent_id, channel
        ), marked AS (
            SELECT name, actions, cost, coalesce(
                (SELECT markup FROM billing_configs b WHERE b.org_id = $1 AND b.agent_id = part.agent_id),
                (SELECT markup FROM billing_configs b WHERE b.org_id = $1 AND b.agent_id = ''), 0) AS markup
            FROM part
        ) SELECT name, SUM(actions)::BIGINT AS actions, SUM(cost)::BIGINT AS cost,
            SUM(cost + cost * markup / 10000)::BIGINT AS billed
        FROM marked GROUP BY name HAVING SUM(actions) <> 0 OR SUM(cost) <> 0 ORDER BY name LIMIT $5",
    sqlite: "WITH source AS (
            SELECT CASE $4 WHEN 'day' THEN day WHEN 'agent' THEN agent_id WHEN 'channel' THEN channel ELSE '' END AS name,
                agent_id, channel, messages, cost
            FROM usage WHERE org_id = $1 AND day >= $2 AND day <= $3
            UNION ALL SELECT CASE tag.sign WHEN 1 THEN task_id ELSE '' END, agent_id, channel,
                tag.sign * CASE WHEN status IN ('accepted', 'unconfirmed') THEN 1 ELSE 0 END,
                tag.sign * coalesce(cost, 0)
            FROM messages CROSS JOIN (SELECT -1 AS sign UNION ALL SELECT 1) AS tag
            WHERE $4 = 'task' AND org_id = $1 AND day >= $2 AND day <= $3 AND task_id IS NOT NULL
        ), part AS (
            SELECT name, agent_id, SUM(messages) AS actions, SUM(cost) AS cost
            FROM source GROUP BY name, agent_id, channel
        ), marked AS (
            SELECT name, actions, cost, coalesce(
                (SELECT markup FROM billing_configs b WHERE b.org_id = $1 AND b.agent_id = part.agent_id),
                (SELECT markup FROM billing_configs b WHERE b.org_id = $1 AND b.agent_id = ''), 0) AS markup
            FROM part
        ) SELECT name, SUM(actions) AS actions, SUM(cost) AS cost, SUM(cost + cost * markup / 10000) AS billed
        FROM marked GROUP BY name HAVING SUM(actions) <> 0 OR SUM(cost) <> 0 ORDER BY name LIMIT $5",
};

impl Store {
    /// Lists the lines of a bill from the day `from` to the day `to`, both included, by name. At most `limit`.
    pub async fn list_billed_lines(
        &self,
        org: &OrgId,
        days: (&str, &str),
        by: BilledBy,
        limit: u32,
    ) -> Result<Vec<BilledLine>, StoreError> {
        let (sql, by): (_, &str) = (self.sql(LINES), by.into());
        Ok(on_list!(self, |db| sqlx::query_as(sql)
            .bind(org.as_str())
            .bind(days.0)
            .bind(days.1)
            .bind(by)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }
}
