//! Causes that are found by looking: failing accounts, stuck orders, dead letters, budgets, held messages. An alert about one ends
//! automatically when its cause is gone.

use std::collections::HashSet;

use butt_dial_domain::{Failure, OrgId};
use butt_dial_store::{AlertState, BUDGET_CAUSE, Severity, WaitingApproval};
use serde_json::json;

use crate::{Alerts, Cause, handle::SYSTEM};

/// Causes of a kind that are looked at.
const LIMIT: u32 = 200;
/// Messages of an organization that wait for an approval and have an alert at the same time.
const APPROVALS_PER_ORG: u32 = 10;

pub const PROVIDER_FAILING: &str = "provider.failing";
pub const ORDER_STUCK: &str = "order.stuck";
pub const DEAD_LETTERS: &str = "dead_letters";
pub const BUDGET: &str = "budget";
pub const APPROVAL: &str = "approval.waiting";
pub const AUDIT_BROKEN: &str = "audit.broken";

/// The kinds that `observe` looks for.
const OBSERVED: [&str; 5] = [PROVIDER_FAILING, ORDER_STUCK, DEAD_LETTERS, BUDGET, APPROVAL];

impl Alerts {
    /// Looks for causes. Returns how many alerts were opened.
    pub async fn observe(&self) -> Result<usize, Failure> {
        let causes = [
            self.failing_accounts().await?,
            self.stuck_orders().await?,
            self.dead_letters().await?,
            self.budgets().await?,
            self.waiting_approvals().await?,
        ];
        self.align(&OBSERVED, &causes.concat()).await
    }

    /// Opens an alert for each log with rows that were changed after they were sealed.
    pub async fn report_broken_logs(&self, logs: &[String]) -> Result<usize, Failure> {
        let causes = logs.iter().map(|log| Cause {
            org: None,
            kind: AUDIT_BROKEN,
            fingerprint: log.clone(),
            severity: Severity::Critical,
            title: "An audit log was changed after it was sealed".into(),
            evidence: json!({ "log": log, "next": "butt-dial audit verify" }),
        });
        self.align(&[AUDIT_BROKEN], &causes.collect::<Vec<_>>()).await
    }

    /// Opens alerts for new causes of these kinds, and resolves those without a cause.
    async fn align(&self, kinds: &[&'static str], causes: &[Cause]) -> Result<usize, Failure> {
        let limit = LIMIT * u32::try_from(kinds.len()).unwrap_or(1);
        let open = self.store.list_unresolved_alerts(kinds, limit).await?;
        let key = |org: Option<&str>, kind: &str, fingerprint: &str| {
            (org.map(str::to_owned), kind.to_owned(), fingerprint.to_owned())
        };
        let known: HashSet<_> = open
            .iter()
            .map(|alert| key(alert.org_id.as_deref(), &alert.kind, &alert.fingerprint))
            .collect();
        let found: HashSet<_> = causes
            .iter()
            .map(|cause| key(cause.org.as_ref().map(OrgId::as_str), cause.kind, &cause.fingerprint))
            .collect();
        let mut opened = 0;
        for cause in causes {
            if !known.contains(&key(
                cause.org.as_ref().map(OrgId::as_str),
                cause.kind,
                &cause.fingerprint,
            )) {
                opened += usize::from(self.raise(cause).await?);
            }
        }
        for alert in open {
            if !found.contains(&key(alert.org_id.as_deref(), &alert.kind, &alert.fingerprint)) {
                let org = alert.org_id.as_deref().map(OrgId::from);
                self.change_state(org.as_ref(), &alert.id, AlertState::Resolved, SYSTEM)
                    .await?;
            }
        }
        Ok(opened)
    }

    async fn failing_accounts(&self) -> Result<Vec<Cause>, Failure> {
        let accounts = self.store.list_failing_accounts(LIMIT).await?;
        let cause = |account: butt_dial_store::ProviderAccount| Cause {
            kind: PROVIDER_FAILING,
            fingerprint: account.id.to_string(),
            severity: Severity::High,
            title: format!("{} refuses the credentials of a provider account", account.vendor),
            evidence: json!({ "account": account.id, "vendor": account.vendor, "label": account.label }),
            org: Some(account.org_id),
        };
        Ok(accounts.into_iter().map(cause).collect())
    }

    async fn stuck_orders(&self) -> Result<Vec<Cause>, Failure> {
        let orders = self.store.list_stuck_orders(LIMIT).await?;
        let cause = |order: butt_dial_store::SenderOrder| Cause {
            org: None,
            kind: ORDER_STUCK,
            fingerprint: order.id.to_string(),
            severity: Severity::High,
            title: "The order of a number is stuck and can't be undone".into(),
            evidence: json!({ "order": order.id, "org": order.org_id }),
        };
        Ok(orders.into_iter().map(cause).collect())
    }

    async fn dead_letters(&self) -> Result<Vec<Cause>, Failure> {
        let letters = self.store.list_dead_letters(None, LIMIT).await?;
        let oldest = letters.first().map(|letter| (letter.id.clone(), letter.created_at));
        let cause = oldest.map(|(id, at)| Cause {
            org: None,
            kind: DEAD_LETTERS,
            fingerprint: "any".into(),
            severity: Severity::High,
            title: "Webhook events could not be applied: they are dead letters".into(),
            evidence: json!({ "count": letters.len(), "oldest": id, "since": at }),
        });
        Ok(cause.into_iter().collect())
    }

    async fn waiting_approvals(&self) -> Result<Vec<Cause>, Failure> {
        let waiting = self.store.list_waiting_approvals(APPROVALS_PER_ORG, LIMIT).await?;
        let cause = |held: WaitingApproval| Cause {
            kind: APPROVAL,
            fingerprint: held.id.to_string(),
            severity: Severity::High,
            title: format!("A message ({}) waits for an approval", held.channel),
            evidence: json!({
                "message": held.id, "agent": held.agent_id, "channel": held.channel, "rule": held.approval_rule,
                "expiresAt": held.due_at,
            }),
            org: Some(held.org_id),
        };
        Ok(waiting.into_iter().map(cause).collect())
    }

    async fn budgets(&self) -> Result<Vec<Cause>, Failure> {
        let sent = self
            .store
            .list_sent_budget_alerts(self.clock.now() - BUDGET_CAUSE, LIMIT)
            .await?;
        let cause = |(org, scope, period, percent): (String, String, String, i64)| Cause {
            org: Some(OrgId::from(org)),
            kind: BUDGET,
            fingerprint: format!("{scope} {period} {percent}"),
            severity: match percent {
                100.. => Severity::High,
                80.. => Severity::Medium,
                _ => Severity::Low,
            },
            title: format!("{percent} % of a budget is used"),
            evidence: json!({ "scope": scope, "period": period, "percent": percent }),
        };
        Ok(sent.into_iter().map(cause).collect())
    }
}
