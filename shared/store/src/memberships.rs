//! People, and their roles in organizations.

use butt_dial_domain::{OrgId, clock::Timestamp, ids};

use crate::{
    Change, Store, StoreError,
    column::text_column,
    engine::{Tx, in_tx, on_reader, with_timeout},
};

/// The permissions of a person in an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    Owner,
    Admin,
    Operator,
    Billing,
    Viewer,
}

text_column!(Role, "memberships", "role");

impl Role {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A person in an organization.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Member {
    pub email: String,
    pub role: Role,
    pub added_by: String,
    pub reason: Option<String>,
    pub added_at: Timestamp,
}

/// An organization of a person.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Membership {
    #[sqlx(try_from = "String")]
    pub org_id: OrgId,
    pub org_name: String,
    pub role: Role,
    pub added_at: Timestamp,
}

/// The result of a change of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberChange {
    Done,
    /// There is no such member.
    Unknown,
    /// The organization would have no owner.
    LastOwner,
}

/// Finds the user with this address, given with its normalized form, or stores one, as part of a transaction. Returns its id.
pub(crate) async fn ensure_user_in(
    tx: &mut Tx,
    (email, key): (&str, &str),
    now: Timestamp,
) -> Result<String, StoreError> {
    const INSERT: &str = "INSERT INTO users (id, email, email_key, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (email_key) DO NOTHING";
    const FIND: &str = "SELECT id FROM users WHERE email_key = $1";
    let id = format!("usr_{}", ids::unique());
    Ok(in_tx!(tx, |db| {
        sqlx::query(INSERT)
            .bind(&id)
            .bind(email)
            .bind(key)
            .bind(now)
            .execute(&mut *db)
            .await?;
        sqlx::query_scalar(FIND).bind(key).fetch_one(&mut *db).await?
    }))
}

/// Stores a membership, or changes its role, as part of a transaction.
pub(crate) async fn insert_in(
    tx: &mut Tx,
    org: &OrgId,
    user: &str,
    role: Role,
    added_by: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO memberships (org_id, user_id, role, added_by, reason, added_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role";
    in_tx!(tx, |db| sqlx::query(SQL)
        .bind(org.as_str())
        .bind(user)
        .bind(role.as_str())
        .bind(added_by)
        .bind(reason)
        .bind(now)
        .execute(db)
        .await
        .map(drop)?);
    Ok(())
}

/// Locks the organization's members until the transaction ends, so that two changes do not remove the last two owners.
async fn lock_in(tx: &mut Tx, org: &OrgId) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE organizations SET id = id WHERE id = $1";
    in_tx!(tx, |db| sqlx::query(SQL)
        .bind(org.as_str())
        .execute(db)
        .await
        .map(drop)?);
    Ok(())
}

/// Returns whether the user is the only owner.
async fn is_last_owner_in(tx: &mut Tx, org: &OrgId, user: &str) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT user_id FROM memberships WHERE org_id = $1 AND role = 'owner' ORDER BY user_id LIMIT 2";
    let owners: Vec<String> = in_tx!(tx, |db| sqlx::query_scalar(SQL)
        .bind(org.as_str())
        .fetch_all(db)
        .await?);
    Ok(owners == [user])
}

impl Store {
    /// Lists the members of an organization, the first ones first. At most 1,000.
    pub async fn list_members(&self, org: &OrgId) -> Result<Vec<Member>, StoreError> {
        const SQL: &str = "SELECT u.email, m.role, m.added_by, m.reason, m.added_at
            FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1
            ORDER BY m.added_at, u.email LIMIT 1000";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .fetch_all(db)
            .await)?)
    }

    /// Lists the organizations of a person, by the normalized address. Organizations that are not active are left out.
    pub async fn list_memberships(&self, email_key: &str) -> Result<Vec<Membership>, StoreError> {
        const SQL: &str = "SELECT m.org_id, o.name AS org_name, m.role, m.added_at
            FROM users u JOIN memberships m ON m.user_id = u.id JOIN organizations o ON o.id = m.org_id
            WHERE u.email_key = $1 AND o.status = 'active' ORDER BY m.added_at, m.org_id LIMIT 1000";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(email_key)
            .fetch_all(db)
            .await)?)
    }
}

impl Change {
    /// Adds a person to an organization, or changes the person's role. `email` is given with its normalized form.
    pub async fn add_member(
        &self,
        org: &OrgId,
        email: (&str, &str),
        role: Role,
        added_by: &str,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<MemberChange, StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            lock_in(&mut tx, org).await?;
            let user = ensure_user_in(&mut tx, email, now).await?;
            if role != Role::Owner && is_last_owner_in(&mut tx, org, &user).await? {
                return Ok(MemberChange::LastOwner);
            }
            insert_in(&mut tx, org, &user, role, added_by, reason, now).await?;
            self.commit(tx).await?;
            Ok(MemberChange::Done)
        })
        .await
    }

    /// Removes a person, by the normalized address. A person without organizations is deleted.
    pub async fn remove_member(&self, org: &OrgId, email_key: &str) -> Result<MemberChange, StoreError> {
        const FIND: &str = "SELECT id FROM users WHERE email_key = $1";
        const REMOVE: &str = "DELETE FROM memberships WHERE org_id = $1 AND user_id = $2";
        const FORGET: &str = "DELETE FROM users WHERE id = $1
            AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.user_id = users.id)";
        with_timeout(async {
            let mut tx = self.begin().await?;
            lock_in(&mut tx, org).await?;
            let user: Option<String> = in_tx!(&mut tx, |db| sqlx::query_scalar(FIND)
                .bind(email_key)
                .fetch_optional(db)
                .await?);
            let Some(user) = user else {
                return Ok(MemberChange::Unknown);
            };
            if is_last_owner_in(&mut tx, org, &user).await? {
                return Ok(MemberChange::LastOwner);
            }
            let removed = in_tx!(&mut tx, |db| sqlx::query(REMOVE)
                .bind(org.as_str())
                .bind(&user)
                .execute(db)
                .await?
                .rows_affected());
            if removed == 0 {
                return Ok(MemberChange::Unknown);
            }
            in_tx!(&mut tx, |db| sqlx::query(FORGET)
                .bind(&user)
                .execute(db)
                .await
                .map(drop)?);
            self.commit(tx).await?;
            Ok(MemberChange::Done)
        })
        .await
    }
}
