//! Tasks: what each has cost, and its budget. A task is a tag of messages and calls. It begins with its first charge or with its
//! limit, and its spend is charged in the transaction that charges the agent.

use butt_dial_domain::{Micros, OrgId, clock::Timestamp};

use crate::{
    Change, Store, StoreError,
    charges::{TOTAL, task_scope},
    engine::{in_tx, on_reader, with_timeout},
};

/// A task of an organization with its spend, in micro-units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSpend {
    pub task: String,
    pub held: i64,
    pub settled: i64,
    /// `None`: the task has no budget.
    pub limit: Option<Micros>,
}

#[derive(sqlx::FromRow)]
struct TaskRow {
    scope: String,
    held: i64,
    settled: i64,
    max_spend: Option<i64>,
}

impl TaskRow {
    fn read(self, org: &OrgId) -> Option<TaskSpend> {
        let prefix = task_scope(org.as_str(), "");
        Some(TaskSpend {
            task: self.scope.strip_prefix(&prefix)?.to_owned(),
            held: self.held,
            settled: self.settled,
            limit: self.max_spend.map(Micros),
        })
    }
}

impl Store {
    /// Finds a task. `None`: nothing was charged to it, and it has never had a budget.
    pub async fn find_task(&self, org: &OrgId, task: &str) -> Result<Option<TaskSpend>, StoreError> {
        const SQL: &str = "SELECT s.scope, s.held, s.settled, l.max_spend FROM spend s
            LEFT JOIN limits l ON l.scope = s.scope WHERE s.scope = $1 AND s.period = $2";
        let row: Option<TaskRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(task_scope(org.as_str(), task))
            .bind(TOTAL)
            .fetch_optional(db)
            .await)?;
        Ok(row.and_then(|row| row.read(org)))
    }

    /// Lists the tasks of an organization in the order of their ids, after the given one.
    pub async fn list_tasks(&self, org: &OrgId, after: Option<&str>, limit: u32) -> Result<Vec<TaskSpend>, StoreError> {
        const SQL: &str = "SELECT s.scope, s.held, s.settled, l.max_spend FROM spend s
            LEFT JOIN limits l ON l.scope = s.scope WHERE s.task_org_id = $1 AND s.scope > $2 ORDER BY s.scope LIMIT $3";
        let after = after.map(|after| task_scope(org.as_str(), after));
        let rows: Vec<TaskRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(after.as_deref().unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        Ok(rows.into_iter().filter_map(|row| row.read(org)).collect())
    }
}

impl Change {
    /// Sets the budget of a task for its whole life. `None` removes it.
    pub async fn set_task_limit(
        &self,
        org: &OrgId,
        task: &str,
        limit: Option<Micros>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const LIMIT: &str = "INSERT INTO limits (scope, max_spend, updated_at) VALUES ($1, $2, $3)
            ON CONFLICT (scope) DO UPDATE SET max_spend = excluded.max_spend, updated_at = excluded.updated_at";
        const TASK: &str = "INSERT INTO spend (scope, period, held, settled, task_org_id) VALUES ($1, $2, 0, 0, $3)
            ON CONFLICT (scope, period) DO NOTHING";
        let scope = task_scope(org.as_str(), task);
        with_timeout(async {
            let mut tx = self.begin().await?;
            in_tx!(&mut tx, |db| {
                sqlx::query(LIMIT)
                    .bind(&scope)
                    .bind(limit.map(|limit| limit.0))
                    .bind(now)
                    .execute(&mut *db)
                    .await?;
                sqlx::query(TASK)
                    .bind(&scope)
                    .bind(TOTAL)
                    .bind(org.as_str())
                    .execute(&mut *db)
                    .await?;
            });
            self.commit(tx).await
        })
        .await
    }
}
