//! Encrypted contents of all tables, for their encryption with another key. They are read in the order of a partial index of the rows
//! that have a content.

use butt_dial_domain::{OrgId, clock::Timestamp};

use crate::{
    Store, StoreError,
    engine::{on_reader, on_writer},
};

/// A column with encrypted contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum SealedColumn {
    Events,
    Calls,
    Messages,
    /// Texts of messages that their organization keeps.
    KeptMessages,
    /// Texts of events that their organization keeps.
    KeptEvents,
    /// The sends that follow failed messages.
    Fallbacks,
    ScheduledSends,
    /// Credentials of organizations at vendors.
    ProviderAccounts,
    /// Envelopes with encrypted parts, of any organization.
    DeadLetters,
    Conversations,
    /// Data of registrations of numbers.
    NumberRegistrations,
    /// Words of people in the consent ledger, by the id of their event.
    ConsentEvents,
    /// The persons of jobs.
    SubjectJobs,
    /// Archives of persons, by the job and the part.
    SubjectArchives,
}

/// An encrypted content.
#[derive(Clone, sqlx::FromRow)]
pub struct SealedContent {
    pub id: String,
    org_id: String,
    pub sealed: Vec<u8>,
    ordered_at: Timestamp,
}

/// A position in the contents of a column.
#[derive(Clone)]
pub struct SealedCursor {
    at: Timestamp,
    id: String,
}

impl SealedContent {
    pub fn org(&self) -> OrgId {
        OrgId::from(self.org_id.as_str())
    }

    pub fn cursor(&self) -> SealedCursor {
        SealedCursor {
            at: self.ordered_at,
            id: self.id.clone(),
        }
    }
}

impl SealedColumn {
    pub const ALL: [Self; 14] = [
        Self::Events,
        Self::Calls,
        Self::Messages,
        Self::KeptMessages,
        Self::KeptEvents,
        Self::Fallbacks,
        Self::ScheduledSends,
        Self::ProviderAccounts,
        Self::DeadLetters,
        Self::Conversations,
        Self::NumberRegistrations,
        Self::ConsentEvents,
        Self::SubjectJobs,
        Self::SubjectArchives,
    ];

    fn list(self) -> &'static str {
        match self {
            Self::Events => {
                "SELECT e.id, a.org_id, e.content AS sealed, e.created_at AS ordered_at
                FROM events e JOIN agents a ON a.id = e.agent_id
                WHERE e.content IS NOT NULL AND e.created_at >= $1 AND (e.created_at > $1 OR e.id > $2)
                ORDER BY e.created_at, e.id LIMIT $3"
            }
            Self::Calls => {
                "SELECT id, org_id, content AS sealed, created_at AS ordered_at FROM calls
                WHERE content IS NOT NULL AND created_at >= $1 AND (created_at > $1 OR id > $2)
                ORDER BY created_at, id LIMIT $3"
            }
            // A message has a content until it is settled.
            Self::Messages => {
                "SELECT id, org_id, content AS sealed, check_at AS ordered_at FROM messages
                WHERE check_at IS NOT NULL AND content IS NOT NULL
                    AND check_at >= $1 AND (check_at > $1 OR id > $2)
                ORDER BY check_at, id LIMIT $3"
            }
            Self::KeptMessages => {
                "SELECT id, org_id, kept AS sealed, created_at AS ordered_at FROM messages
                WHERE kept IS NOT NULL AND created_at >= $1 AND (created_at > $1 OR id > $2)
                ORDER BY created_at, id LIMIT $3"
            }
            Self::KeptEvents => {
                "SELECT e.id, a.org_id, e.kept AS sealed, e.created_at AS ordered_at
                FROM events e JOIN agents a ON a.id = e.agent_id
                WHERE e.kept IS NOT NULL AND e.created_at >= $1 AND (e.created_at > $1 OR e.id > $2)
                ORDER BY e.created_at, e.id LIMIT $3"
            }
            Self::Fallbacks => {
                "SELECT id, org_id, fallback AS sealed, created_at AS ordered_at FROM messages
                WHERE fallback IS NOT NULL AND created_at >= $1 AND (created_at > $1 OR id > $2)
                ORDER BY created_at, id LIMIT $3"
            }
            Self::ScheduledSends => {
                "SELECT id, org_id, request AS sealed, due_at AS ordered_at FROM scheduled_sends
                WHERE state IN ('scheduled', 'cancelled') AND request IS NOT NULL
                    AND due_at >= $1 AND (due_at > $1 OR id > $2)
                ORDER BY due_at, id LIMIT $3"
            }
            Self::ProviderAccounts => {
                "SELECT id, org_id, credentials AS sealed, created_at AS ordered_at FROM provider_accounts
                WHERE created_at >= $1 AND (created_at > $1 OR id > $2) ORDER BY created_at, id LIMIT $3"
            }
            Self::DeadLetters => {
                "SELECT id, '' AS org_id, payload AS sealed, created_at AS ordered_at FROM dead_letters
                WHERE created_at >= $1 AND (created_at > $1 OR id > $2) ORDER BY created_at, id LIMIT $3"
            }
            Self::Conversations => {
                "SELECT id, org_id, details AS sealed, created_at AS ordered_at FROM conversations
                WHERE created_at >= $1 AND (created_at > $1 OR id > $2) ORDER BY created_at, id LIMIT $3"
            }
            Self::ConsentEvents => {
                "SELECT event_id AS id, org_id, words AS sealed, recorded_at AS ordered_at FROM consent_events
                WHERE words IS NOT NULL AND event_id IS NOT NULL
                    AND recorded_at >= $1 AND (recorded_at > $1 OR event_id > $2)
                ORDER BY recorded_at, event_id LIMIT $3"
            }
            Self::SubjectJobs => {
                "SELECT id, org_id, subject AS sealed, created_at AS ordered_at FROM subject_jobs
                WHERE subject IS NOT NULL AND created_at >= $1 AND (created_at > $1 OR id > $2)
                ORDER BY created_at, id LIMIT $3"
            }
            // The id is the context of the encryption.
            Self::SubjectArchives => {
                "SELECT id, org_id, sealed, ordered_at FROM (SELECT job_id || ' archive ' || part AS id, org_id, lines AS sealed,
                    created_at AS ordered_at FROM subject_archives) AS archives
                WHERE ordered_at >= $1 AND (ordered_at > $1 OR id > $2) ORDER BY ordered_at, id LIMIT $3"
            }
            Self::NumberRegistrations => {
                "SELECT id, org_id, data AS sealed, created_at AS ordered_at FROM number_registrations
                WHERE created_at >= $1 AND (created_at > $1 OR id > $2) ORDER BY created_at, id LIMIT $3"
            }
        }
    }

    fn replace(self) -> &'static str {
        match self {
            Self::Events => "UPDATE events SET content = $3 WHERE id = $1 AND content = $2",
            Self::Calls => "UPDATE calls SET content = $3 WHERE id = $1 AND content = $2",
            Self::Messages => "UPDATE messages SET content = $3 WHERE id = $1 AND content = $2",
            Self::KeptMessages => "UPDATE messages SET kept = $3 WHERE id = $1 AND kept = $2",
            Self::KeptEvents => "UPDATE events SET kept = $3 WHERE id = $1 AND kept = $2",
            Self::Fallbacks => "UPDATE messages SET fallback = $3 WHERE id = $1 AND fallback = $2",
            Self::ScheduledSends => "UPDATE scheduled_sends SET request = $3 WHERE id = $1 AND request = $2",
            Self::ProviderAccounts => {
                "UPDATE provider_accounts SET credentials = $3 WHERE id = $1 AND credentials = $2"
            }
            Self::DeadLetters => "UPDATE dead_letters SET payload = $3 WHERE id = $1 AND payload = $2",
            Self::Conversations => "UPDATE conversations SET details = $3 WHERE id = $1 AND details = $2",
            Self::SubjectJobs => "UPDATE subject_jobs SET subject = $3 WHERE id = $1 AND subject = $2",
            Self::SubjectArchives => {
                "UPDATE subject_archives SET lines = $3 WHERE job_id || ' archive ' || part = $1 AND lines = $2"
            }
            Self::ConsentEvents => "UPDATE consent_events SET words = $3 WHERE event_id = $1 AND words = $2",
            Self::NumberRegistrations => "UPDATE number_registrations SET data = $3 WHERE id = $1 AND data = $2",
        }
    }
}

impl Store {
    /// Lists the contents of a column after a position.
    pub async fn list_sealed(
        &self,
        column: SealedColumn,
        after: Option<&SealedCursor>,
        limit: u32,
    ) -> Result<Vec<SealedContent>, StoreError> {
        let (at, id) = after.map_or((Timestamp::UNIX_EPOCH, ""), |after| (after.at, after.id.as_str()));
        Ok(on_reader!(self, |db| sqlx::query_as(column.list())
            .bind(at)
            .bind(id)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Replaces a content, unless it has changed or was deleted meanwhile. Returns whether it was replaced.
    pub async fn replace_sealed(
        &self,
        column: SealedColumn,
        content: &SealedContent,
        sealed: &[u8],
    ) -> Result<bool, StoreError> {
        let done = on_writer!(self, |db| {
            sqlx::query(column.replace())
                .bind(&content.id)
                .bind(&content.sealed)
                .bind(sealed)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}
