//! The tasks of an organization: what each has spent, and its budget.

use butt_dial_domain::{Code, Failure, Micros, OrgId, TokenId, ids, redacted::redacted};
use butt_dial_store::{AuditEntry, TaskSpend};
use serde_json::json;

use crate::Billing;

/// A task with its spend and its budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub id: String,
    /// The known cost of messages and calls.
    pub spent: Micros,
    /// Held until the cost of further messages and calls is known.
    pub reserved: Micros,
    /// `None`: the task has no budget.
    pub limit: Option<Micros>,
}

impl Task {
    /// Returns how much the task may still spend. `None`: without a limit.
    pub fn remaining(&self) -> Option<Micros> {
        let used = self.spent.0.saturating_add(self.reserved.0);
        self.limit.map(|limit| Micros(limit.0.saturating_sub(used).max(0)))
    }
}

impl From<TaskSpend> for Task {
    fn from(spend: TaskSpend) -> Self {
        Self {
            id: spend.task,
            spent: Micros(spend.settled),
            reserved: Micros(spend.held),
            limit: spend.limit,
        }
    }
}

impl Billing {
    /// Sets how much a task may spend in all, in US dollars; `None` removes the limit. Writes an audit entry for `actor`.
    pub async fn set_task_limit(
        &self,
        org: &OrgId,
        actor: &TokenId,
        task: &str,
        limit: Option<f64>,
    ) -> Result<Task, Failure> {
        require_task_id(task)?;
        let limit = limit.map(amount).transpose()?;
        let now = self.clock.now();
        let entry = AuditEntry::new(
            Some(org),
            actor.as_str(),
            "task_limit.set",
            &format!("task:{}", redacted(task)),
            now,
        );
        let change = self.store.change(entry.with_detail(json!({ "maxSpend": limit })));
        change.set_task_limit(org, task, limit, now).await?;
        self.find_task(org, task).await
    }

    /// Finds a task. Fails with `NotFound` if nothing was charged to it and no limit was set for it.
    pub async fn find_task(&self, org: &OrgId, task: &str) -> Result<Task, Failure> {
        require_task_id(task)?;
        let found = self.store.find_task(org, task).await?;
        found.map(Task::from).ok_or_else(|| {
            Failure::new(Code::NotFound, "nothing was charged to a task with this id")
                .hint("a task begins with the first message or call that has its taskId, or with its limit")
        })
    }

    /// Lists tasks in the order of their ids, after the given one.
    pub async fn list_tasks(&self, org: &OrgId, after: Option<&str>, limit: u32) -> Result<Vec<Task>, Failure> {
        if let Some(after) = after {
            require_task_id(after)?;
        }
        let tasks = self.store.list_tasks(org, after, limit).await?;
        Ok(tasks.into_iter().map(Task::from).collect())
    }
}

/// Fails with `InvalidArgument` unless the text may be the id of a task.
pub fn require_task_id(text: &str) -> Result<(), Failure> {
    match ids::is_valid_task_id(text) {
        true => Ok(()),
        false => Err(
            Failure::new(Code::InvalidArgument, "taskId is 1 to 64 letters, digits, -, _, . or :")
                .detail("fields", ["taskId"]),
        ),
    }
}

fn amount(units: f64) -> Result<Micros, Failure> {
    let amount = Micros::from_units(units).filter(|amount| amount.0 >= 0);
    amount.ok_or_else(|| Failure::new(Code::InvalidArgument, "maxSpend is an amount in US dollars, 0 or more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_of_a_task_is_never_negative() {
        let task = |limit: Option<i64>| Task {
            id: "t".into(),
            spent: Micros(3),
            reserved: Micros(2),
            limit: limit.map(Micros),
        };
        assert_eq!(task(None).remaining(), None);
        assert_eq!(task(Some(6)).remaining(), Some(Micros(1)));
        assert_eq!(task(Some(4)).remaining(), Some(Micros::ZERO));
    }

    #[test]
    fn limit_is_an_amount_of_zero_or_more() {
        assert_eq!(amount(1.5), Ok(Micros(1_500_000)));
        assert_eq!(amount(0.0), Ok(Micros::ZERO));
        assert!(amount(-0.1).is_err() && amount(f64::INFINITY).is_err());
    }
}
