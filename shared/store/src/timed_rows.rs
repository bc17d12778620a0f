//! Rows with ids that sort by time: which ones expire, and the statements that delete them.

use butt_dial_domain::{CallId, ChallengeId, MessageId};

use crate::engine::Sql;

/// The ids of audit entries begin with it.
const AUDIT_PREFIX: &str = "aud_";

/// Rows with ids that sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimedRows {
    /// Messages with a known outcome.
    Messages,
    /// Scheduled sends that were sent, have failed or were cancelled.
    ScheduledSends,
    Attempts,
    AuditEntries,
    /// One-time codes, in whatever state.
    Challenges,
    /// Messages that compliance has refused.
    Refusals,
    /// Anomalies that have ended.
    Anomalies,
    /// Announced campaigns.
    Campaigns,
    CallbackAttempts,
}

impl TimedRows {
    pub(crate) fn prefixes(self) -> &'static [&'static str] {
        match self {
            // The message of a call has the id of the call.
            Self::Messages | Self::ScheduledSends | Self::Attempts => &[MessageId::PREFIX, CallId::PREFIX],
            Self::AuditEntries => &[AUDIT_PREFIX],
            Self::Challenges => &[ChallengeId::PREFIX],
            Self::Refusals => &[crate::refusals::REFUSAL_PREFIX],
            Self::Anomalies => &[crate::anomalies::ANOMALY_PREFIX],
            Self::Campaigns => &[crate::campaigns::CAMPAIGN_PREFIX],
            Self::CallbackAttempts => &[crate::callback_attempts::CALLBACK_ATTEMPT_PREFIX],
        }
    }

    /// The last of the next ids after `$1` and before `$2`.
    pub(crate) fn step(self) -> &'static str {
        match self {
            Self::Messages => {
                "SELECT MAX(id) FROM (SELECT id FROM messages WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::ScheduledSends => {
                "SELECT MAX(id) FROM (SELECT id FROM scheduled_sends WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::Attempts => {
                "SELECT MAX(id) FROM (SELECT message_id AS id FROM attempts WHERE message_id > $1 AND message_id < $2
                    ORDER BY message_id LIMIT $3) AS step"
            }
            Self::AuditEntries => {
                "SELECT MAX(id) FROM (SELECT id FROM audit WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::Refusals => {
                "SELECT MAX(id) FROM (SELECT id FROM refusals WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::Anomalies => {
                "SELECT MAX(id) FROM (SELECT id FROM anomalies WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::Campaigns => {
                "SELECT MAX(id) FROM (SELECT id FROM announced_campaigns WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::CallbackAttempts => {
                "SELECT MAX(id) FROM (SELECT id FROM callback_attempts WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::Challenges => {
                "SELECT MAX(id) FROM (SELECT id FROM challenges WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
        }
    }

    /// Deletes the rows after `$1` up to `$2` that are older than `$3` and no longer needed.
    pub(crate) fn delete(self) -> &'static str {
        match self {
            Self::Messages => {
                "DELETE FROM messages WHERE id > $1 AND id <= $2 AND created_at < $3
                    AND check_at IS NULL AND content IS NULL AND fallback IS NULL
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = messages.org_id)"
            }
            Self::ScheduledSends => {
                "DELETE FROM scheduled_sends WHERE id > $1 AND id <= $2 AND created_at < $3 AND state IN ('sent', 'failed')
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = scheduled_sends.org_id)"
            }
            Self::Attempts => {
                "DELETE FROM attempts WHERE message_id > $1 AND message_id <= $2 AND started_at < $3
                    AND NOT EXISTS (SELECT 1 FROM messages m JOIN legal_holds h ON h.org_id = m.org_id
                        WHERE m.id = attempts.message_id)"
            }
            Self::AuditEntries => {
                "DELETE FROM audit WHERE id > $1 AND id <= $2 AND at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = audit.org_id)"
            }
            Self::Refusals => {
                "DELETE FROM refusals WHERE id > $1 AND id <= $2 AND created_at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = refusals.org_id)"
            }
            Self::Anomalies => {
                "DELETE FROM anomalies WHERE id > $1 AND id <= $2 AND ended_at < $3 AND NOT EXISTS
                    (SELECT 1 FROM legal_holds h WHERE h.org_id = anomalies.org_id AND h.contact_hash = '*')"
            }
            Self::Campaigns => {
                "DELETE FROM announced_campaigns WHERE id > $1 AND id <= $2 AND ends_at < $3 AND NOT EXISTS
                    (SELECT 1 FROM legal_holds h WHERE h.org_id = announced_campaigns.org_id AND h.contact_hash = '*')"
            }
            Self::CallbackAttempts => {
                "DELETE FROM callback_attempts WHERE id > $1 AND id <= $2 AND at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = callback_attempts.org_id)"
            }
            Self::Challenges => {
                "DELETE FROM challenges WHERE id > $1 AND id <= $2 AND created_at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = challenges.org_id)"
            }
        }
    }

    /// Lists the rows after `$1` up to `$2` that are older than `$3` and no longer needed, of organizations with holds on persons.
    /// `None`: such rows are about no person. An audit entry is about the person of its target.
    pub(crate) fn list_of_holders(self) -> Option<&'static str> {
        Some(match self {
            Self::Messages => {
                "SELECT m.id, m.org_id, m.recipient AS address, CAST(NULL AS TEXT) AS data, CAST(NULL AS TEXT) AS hash, m.created_at AS at
                    FROM messages m
                    WHERE m.id > $1 AND m.id <= $2 AND m.created_at < $3
                    AND m.check_at IS NULL AND m.content IS NULL AND m.fallback IS NULL
                    AND EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = m.org_id)
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = m.org_id AND h.contact_hash = '*')"
            }
            Self::ScheduledSends => {
                "SELECT s.id, s.org_id, s.recipient AS address, CAST(NULL AS TEXT) AS data, CAST(NULL AS TEXT) AS hash, s.created_at AS at
                    FROM scheduled_sends s
                    WHERE s.id > $1 AND s.id <= $2 AND s.created_at < $3 AND s.state IN ('sent', 'failed')
                    AND EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = s.org_id)
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = s.org_id AND h.contact_hash = '*')"
            }
            Self::Attempts => {
                "SELECT DISTINCT m.id, m.org_id, m.recipient AS address, CAST(NULL AS TEXT) AS data, CAST(NULL AS TEXT) AS hash, m.created_at AS at
                    FROM attempts t JOIN messages m ON m.id = t.message_id
                    WHERE t.message_id > $1 AND t.message_id <= $2 AND t.started_at < $3
                    AND EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = m.org_id)
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = m.org_id AND h.contact_hash = '*')"
            }
            Self::AuditEntries => {
                "SELECT e.id, e.org_id, coalesce((SELECT m.recipient FROM messages m WHERE m.id = e.target),
                        (SELECT c.remote_number FROM calls c WHERE c.id = e.target)) AS address, CAST(NULL AS TEXT) AS data,
                    coalesce((SELECT j.contact_hash FROM subject_jobs j WHERE j.id = e.target),
                        (SELECT MIN(h.contact_hash) FROM legal_holds h WHERE h.org_id = e.org_id AND h.id = e.target)) AS hash,
                    e.at FROM audit e
                    WHERE e.id > $1 AND e.id <= $2 AND e.at < $3
                    AND EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = e.org_id)
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = e.org_id AND h.contact_hash = '*')"
            }
            Self::Challenges => {
                "SELECT c.id, c.org_id, c.contact AS address, CAST(NULL AS TEXT) AS data, CAST(NULL AS TEXT) AS hash, c.created_at AS at
                    FROM challenges c
                    WHERE c.id > $1 AND c.id <= $2 AND c.created_at < $3
                    AND EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = c.org_id)
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = c.org_id AND h.contact_hash = '*')"
            }
            Self::Refusals => {
                "SELECT r.id, r.org_id, CAST(NULL AS TEXT) AS address, CAST(NULL AS TEXT) AS data, r.contact_hash AS hash, r.created_at AS at
                    FROM refusals r
                    WHERE r.id > $1 AND r.id <= $2 AND r.created_at < $3
                    AND EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = r.org_id)
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = r.org_id AND h.contact_hash = '*')"
            }
            Self::CallbackAttempts => {
                "SELECT t.id, t.org_id, e.contact AS address, CAST(e.data AS TEXT) AS data, CAST(NULL AS TEXT) AS hash, t.at
                    FROM callback_attempts t LEFT JOIN events e ON e.id = t.event_id
                    WHERE t.id > $1 AND t.id <= $2 AND t.at < $3
                    AND EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = t.org_id)
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = t.org_id AND h.contact_hash = '*')"
            }
            Self::Anomalies | Self::Campaigns => return None,
        })
    }

    /// Deletes the rows with the ids `$1` that are older than `$3`, unless a hold is in force that is not in `$2`.
    pub(crate) fn delete_listed(self) -> Option<Sql> {
        Some(match self {
            Self::Messages => Sql {
                postgres: "DELETE FROM messages WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1))) AND created_at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = messages.org_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "DELETE FROM messages WHERE id IN (SELECT value FROM json_each($1)) AND created_at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = messages.org_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
            Self::ScheduledSends => Sql {
                postgres: "DELETE FROM scheduled_sends WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1))) AND created_at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = scheduled_sends.org_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "DELETE FROM scheduled_sends WHERE id IN (SELECT value FROM json_each($1)) AND created_at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = scheduled_sends.org_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
            Self::Attempts => Sql {
                postgres: "DELETE FROM attempts WHERE message_id = ANY (ARRAY(SELECT jsonb_array_elements_text($1))) AND started_at < $3
                    AND NOT EXISTS (SELECT 1 FROM messages m JOIN legal_holds h ON h.org_id = m.org_id
                        WHERE m.id = attempts.message_id AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "DELETE FROM attempts WHERE message_id IN (SELECT value FROM json_each($1)) AND started_at < $3
                    AND NOT EXISTS (SELECT 1 FROM messages m JOIN legal_holds h ON h.org_id = m.org_id
                        WHERE m.id = attempts.message_id AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
            Self::AuditEntries => Sql {
                postgres: "DELETE FROM audit WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1))) AND at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = audit.org_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "DELETE FROM audit WHERE id IN (SELECT value FROM json_each($1)) AND at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = audit.org_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
            Self::Challenges => Sql {
                postgres: "DELETE FROM challenges WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1))) AND created_at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = challenges.org_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "DELETE FROM challenges WHERE id IN (SELECT value FROM json_each($1)) AND created_at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = challenges.org_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
            Self::Refusals => Sql {
                postgres: "DELETE FROM refusals WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1))) AND created_at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = refusals.org_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "DELETE FROM refusals WHERE id IN (SELECT value FROM json_each($1)) AND created_at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = refusals.org_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
            Self::CallbackAttempts => Sql {
                postgres: "DELETE FROM callback_attempts WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1))) AND at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = callback_attempts.org_id
                        AND h.contact_hash NOT IN (SELECT jsonb_array_elements_text($2)))",
                sqlite: "DELETE FROM callback_attempts WHERE id IN (SELECT value FROM json_each($1)) AND at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = callback_attempts.org_id
                        AND h.contact_hash NOT IN (SELECT value FROM json_each($2)))",
            },
            Self::Anomalies | Self::Campaigns => return None,
        })
    }
}
