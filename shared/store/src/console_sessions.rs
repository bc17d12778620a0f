//! Sessions of the console. They are stored by the hash of the secret in the cookie, and read with each request, so that the end
//! of a session or of a membership counts at once on every replica.

use std::collections::HashSet;

use butt_dial_domain::{OrgId, clock::Timestamp};
use sqlx::types::Json;

use crate::{
    Change, Role, Store, StoreError,
    change::on_change,
    engine::{Sql, in_tx, on_reader, on_writer, with_timeout},
};

/// A session to store.
pub struct NewConsoleSession<'a> {
    /// Lower-case hex of the SHA-256 of the secret.
    pub hash: &'a str,
    pub user: &'a str,
    pub org: &'a OrgId,
    pub expires_at: Timestamp,
    /// Masked.
    pub address: &'a str,
    pub browser: &'a str,
}

/// A session with its person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSession {
    pub id_hash: String,
    pub user_id: String,
    pub email: String,
    pub is_operator: bool,
    /// The person has confirmed the secret of one-time passwords.
    pub has_otp: bool,
    pub has_password: bool,
    pub has_passkey: bool,
    pub otp_generation: i64,
    pub seen_at: Timestamp,
    pub confirmed_at: Timestamp,
    /// The chosen organization. It may be none of `memberships` any more.
    pub org: OrgId,
    /// The active organizations of the person.
    pub memberships: Vec<ConsoleMembership>,
}

/// An organization of the person.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ConsoleMembership {
    #[sqlx(try_from = "String")]
    pub org_id: OrgId,
    pub org_name: String,
    pub role: Role,
}

/// A session as its person sees it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ConsoleSession {
    pub id_hash: String,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub expires_at: Timestamp,
    pub address: String,
    pub browser: String,
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    id_hash: String,
    user_id: String,
    email: String,
    is_operator: bool,
    has_password: bool,
    has_passkey: bool,
    otp_step: Option<i64>,
    otp_generation: i64,
    seen_at: Timestamp,
    confirmed_at: Timestamp,
    org_id: String,
}

impl Store {
    /// Stores a session. Sessions of all people that have expired are deleted with it, a few at a time.
    pub async fn create_console_session(&self, new: &NewConsoleSession<'_>, now: Timestamp) -> Result<(), StoreError> {
        const EXPIRED: &str = "DELETE FROM console_sessions WHERE id_hash IN
            (SELECT id_hash FROM console_sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT 100)";
        const INSERT: &str = "INSERT INTO console_sessions
                (id_hash, user_id, org_id, created_at, seen_at, expires_at, confirmed_at, address, browser)
            VALUES ($1, $2, $3, $4, $4, $5, $4, $6, $7)";
        with_timeout(async {
            let mut tx = self.begin().await?;
            in_tx!(&mut tx, |db| {
                sqlx::query(EXPIRED).bind(now).execute(&mut *db).await?;
                sqlx::query(INSERT)
                    .bind(new.hash)
                    .bind(new.user)
                    .bind(new.org.as_str())
                    .bind(now)
                    .bind(new.expires_at)
                    .bind(new.address)
                    .bind(new.browser)
                    .execute(&mut *db)
                    .await?;
            });
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Finds a session that has not expired and was seen since `seen_since`, with the organizations of its person.
    pub async fn find_console_session(
        &self,
        hash: &str,
        seen_since: Timestamp,
        now: Timestamp,
    ) -> Result<Option<OpenSession>, StoreError> {
        const FIND: &str =
            "SELECT s.id_hash, s.user_id, u.email, c.is_operator, c.otp_step, c.otp_generation, s.seen_at,
                s.confirmed_at, s.org_id, c.password_hash <> '' AS has_password,
                EXISTS (SELECT 1 FROM console_passkeys p WHERE p.user_id = s.user_id) AS has_passkey
            FROM console_sessions s JOIN console_users c ON c.user_id = s.user_id JOIN users u ON u.id = s.user_id
            WHERE s.id_hash = $1 AND s.expires_at > $2 AND s.seen_at >= $3";
        const ORGS: &str = "SELECT m.org_id, o.name AS org_name, m.role FROM memberships m
            JOIN organizations o ON o.id = m.org_id
            WHERE m.user_id = $1 AND o.status = 'active' ORDER BY o.name, m.org_id LIMIT 1000";
        let found = on_reader!(self, |db| {
            let row: Option<SessionRow> = sqlx::query_as(FIND)
                .bind(hash)
                .bind(now)
                .bind(seen_since)
                .fetch_optional(db)
                .await?;
            match row {
                Some(row) => {
                    let orgs: Vec<ConsoleMembership> = sqlx::query_as(ORGS).bind(&row.user_id).fetch_all(db).await?;
                    Ok::<_, sqlx::Error>(Some((row, orgs)))
                }
                None => Ok(None),
            }
        })?;
        Ok(found.map(|(row, memberships)| OpenSession {
            id_hash: row.id_hash,
            user_id: row.user_id,
            email: row.email,
            is_operator: row.is_operator,
            has_otp: row.otp_step.is_some(),
            has_password: row.has_password,
            has_passkey: row.has_passkey,
            otp_generation: row.otp_generation,
            seen_at: row.seen_at,
            confirmed_at: row.confirmed_at,
            org: row.org_id.into(),
            memberships,
        }))
    }

    /// Finds which of these sessions are open, each with the active organizations of its person: one lookup for all open streams.
    pub async fn find_open_console_sessions(
        &self,
        hashes: &[&str],
        seen_since: Timestamp,
        now: Timestamp,
    ) -> Result<HashSet<(String, OrgId)>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "SELECT s.id_hash, m.org_id FROM console_sessions s
                JOIN memberships m ON m.user_id = s.user_id
                JOIN organizations o ON o.id = m.org_id AND o.status = 'active'
                WHERE s.id_hash = ANY(SELECT jsonb_array_elements_text($1::JSONB))
                AND s.expires_at > $2 AND s.seen_at >= $3",
            sqlite: "SELECT s.id_hash, m.org_id FROM console_sessions s
                JOIN memberships m ON m.user_id = s.user_id
                JOIN organizations o ON o.id = m.org_id AND o.status = 'active'
                WHERE s.id_hash IN (SELECT value FROM json_each($1)) AND s.expires_at > $2 AND s.seen_at >= $3",
        };
        let (sql, hashes) = (self.sql(SQL), Json(hashes));
        let rows: Vec<(String, String)> = on_reader!(self, |db| sqlx::query_as(sql)
            .bind(hashes)
            .bind(now)
            .bind(seen_since)
            .fetch_all(db)
            .await)?;
        Ok(rows.into_iter().map(|(hash, org)| (hash, org.into())).collect())
    }

    /// Notes that a session is used.
    pub async fn touch_console_session(&self, hash: &str, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE console_sessions SET seen_at = $2 WHERE id_hash = $1 AND seen_at < $2";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(hash)
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Notes that the person of a session has proved again to be the one that signed in.
    pub async fn confirm_console_session(&self, hash: &str, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE console_sessions SET confirmed_at = $2 WHERE id_hash = $1";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(hash)
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Chooses the organization that the pages of a session show.
    pub async fn choose_console_org(&self, hash: &str, org: &OrgId) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE console_sessions SET org_id = $2 WHERE id_hash = $1";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(hash)
            .bind(org.as_str())
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Lists the open sessions of a person, the last used one first. At most 100.
    pub async fn list_console_sessions(&self, user: &str, now: Timestamp) -> Result<Vec<ConsoleSession>, StoreError> {
        const SQL: &str = "SELECT id_hash, created_at, seen_at, expires_at, address, browser FROM console_sessions
            WHERE user_id = $1 AND expires_at > $2 ORDER BY seen_at DESC, id_hash LIMIT 100";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(user)
            .bind(now)
            .fetch_all(db)
            .await)?)
    }

    /// Ends a session of a person. Returns false when there is none.
    pub async fn end_console_session(&self, user: &str, hash: &str) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM console_sessions WHERE user_id = $1 AND id_hash = $2";
        Ok(on_writer!(self, |db| {
            let result = sqlx::query(SQL).bind(user).bind(hash).execute(db).await;
            result.map(|done| done.rows_affected())
        })? > 0)
    }

    /// Ends the sessions of a person other than `kept`. Returns their number.
    pub async fn end_other_console_sessions(&self, user: &str, kept: &str) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM console_sessions WHERE user_id = $1 AND id_hash <> $2";
        Ok(on_writer!(self, |db| {
            let result = sqlx::query(SQL).bind(user).bind(kept).execute(db).await;
            result.map(|done| done.rows_affected())
        })?)
    }
}

/// An open session of a member, for the administrators of an organization.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct MemberSession {
    pub id_hash: String,
    pub email: String,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub expires_at: Timestamp,
    pub address: String,
    pub browser: String,
}

impl Store {
    /// Lists the sessions of an organization's members that have not expired and were seen since `seen_since`, the last used one
    /// first. At most 500.
    pub async fn list_member_sessions(
        &self,
        org: &OrgId,
        seen_since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<MemberSession>, StoreError> {
        const SQL: &str = "SELECT s.id_hash, u.email, s.created_at, s.seen_at, s.expires_at, s.address, s.browser
            FROM memberships m JOIN users u ON u.id = m.user_id JOIN console_sessions s ON s.user_id = m.user_id
            WHERE m.org_id = $1 AND s.expires_at > $2 AND s.seen_at >= $3
            ORDER BY s.seen_at DESC, s.id_hash LIMIT 500";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(now)
            .bind(seen_since)
            .fetch_all(db)
            .await)?)
    }
}

impl Change {
    /// Ends a session of a member. Returns false when there is none.
    pub async fn end_member_session(&self, org: &OrgId, hash: &str) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM console_sessions WHERE id_hash = $2
            AND user_id IN (SELECT user_id FROM memberships WHERE org_id = $1)";
        let ended = on_change!(self, |db| {
            let ended = sqlx::query(SQL).bind(org.as_str()).bind(hash).execute(db).await;
            ended.map(|done| done.rows_affected())
        })?;
        Ok(ended > 0)
    }

    /// Ends all sessions of a member, by the normalized address. Returns their number.
    pub async fn end_member_sessions(&self, org: &OrgId, email_key: &str) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM console_sessions WHERE user_id IN
            (SELECT m.user_id FROM memberships m JOIN users u ON u.id = m.user_id
                WHERE m.org_id = $1 AND u.email_key = $2)";
        on_change!(self, |db| {
            let ended = sqlx::query(SQL).bind(org.as_str()).bind(email_key).execute(db).await;
            ended.map(|done| done.rows_affected())
        })
    }
}
