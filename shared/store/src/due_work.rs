//! Which kinds of work are due. One statement replaces the claims of all sweeps while nothing is due.

use std::collections::HashSet;

use butt_dial_domain::clock::Timestamp;
use chrono::TimeDelta;

use crate::{Store, StoreError, engine::on_reader};

/// Work that waits in the database until it is due, and that a sweep claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::EnumString, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum DueKind {
    Deliveries,
    ScheduledSends,
    UnknownSends,
    IncompleteEvents,
    DeferredBodies,
    RequestedReplays,
    /// Changes and sends that no entry of the audit log covers.
    UnsealedRows,
    /// Causes of alerts, and alerts that end with their causes.
    AlertCauses,
    AlertNotifications,
    AccountNotices,
    SubjectJobs,
    CallLegs,
    SenderOrders,
    NumberRegistrations,
}

/// For how long a budget alert is a cause of an alert.
pub const BUDGET_CAUSE: TimeDelta = TimeDelta::days(1);

impl Store {
    /// Lists the kinds with work that is due. Some of it may be claimed already.
    pub async fn list_due_work(&self, now: Timestamp) -> Result<HashSet<DueKind>, StoreError> {
        // Each condition is that of the claim of its sweep, and reads one entry of the same index.
        const SQL: &str = "
            SELECT 'deliveries' AS kind WHERE EXISTS (SELECT 1 FROM deliveries WHERE due_at IS NOT NULL AND due_at <= $1)
            UNION ALL SELECT 'scheduled_sends' WHERE EXISTS
                (SELECT 1 FROM scheduled_sends WHERE state IN ('scheduled', 'cancelled') AND due_at <= $1)
            UNION ALL SELECT 'unknown_sends' WHERE EXISTS
                (SELECT 1 FROM messages WHERE check_at IS NOT NULL AND check_at <= $1)
            UNION ALL SELECT 'incomplete_events' WHERE EXISTS
                (SELECT 1 FROM events WHERE ready_at IS NOT NULL AND ready_at <= $1)
            UNION ALL SELECT 'deferred_bodies' WHERE EXISTS
                (SELECT 1 FROM events WHERE refetch_at IS NOT NULL AND refetch_at <= $1)
            UNION ALL SELECT 'requested_replays' WHERE EXISTS
                (SELECT 1 FROM dead_letters WHERE replay_requested_at IS NOT NULL)
            UNION ALL SELECT 'unsealed_rows' WHERE EXISTS (SELECT 1 FROM audit WHERE seq IS NULL)
                OR EXISTS (SELECT 1 FROM messages
                    WHERE receipt_seq IS NULL AND status IN ('accepted', 'failed', 'unconfirmed'))
            UNION ALL SELECT 'alert_causes' WHERE EXISTS (SELECT 1 FROM alerts WHERE state <> 'resolved')
                OR EXISTS (SELECT 1 FROM provider_accounts WHERE status = 'failing')
                OR EXISTS (SELECT 1 FROM sender_orders WHERE state = 'stuck')
                OR EXISTS (SELECT 1 FROM dead_letters)
                OR EXISTS (SELECT 1 FROM budget_alerts WHERE created_at >= $2)
                OR EXISTS (SELECT 1 FROM scheduled_sends WHERE approval = 'pending' AND state = 'scheduled')
            UNION ALL SELECT 'alert_notifications' WHERE EXISTS (SELECT 1 FROM alert_notifications WHERE due_at <= $1)
            UNION ALL SELECT 'account_notices' WHERE EXISTS
                (SELECT 1 FROM account_notices WHERE due_at IS NOT NULL AND due_at <= $1)
            UNION ALL SELECT 'subject_jobs' WHERE EXISTS
                (SELECT 1 FROM subject_jobs WHERE state = 'running' AND lease_until <= $1)
            UNION ALL SELECT 'call_legs' WHERE EXISTS (SELECT 1 FROM call_legs WHERE paid_until <= $1)
            UNION ALL SELECT 'sender_orders' WHERE EXISTS
                (SELECT 1 FROM sender_orders WHERE state IN ('running', 'undoing') AND lease_until <= $1)
            UNION ALL SELECT 'number_registrations' WHERE EXISTS
                (SELECT 1 FROM number_registrations WHERE check_at IS NOT NULL AND check_at <= $1)";
        let kinds: Vec<String> = on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(now)
            .bind(now - BUDGET_CAUSE)
            .fetch_all(db)
            .await)?;
        Ok(kinds.iter().filter_map(|kind| kind.parse().ok()).collect())
    }
}
