//! People who sign in to the console: their passwords and one-time passwords, invitations, and the claim of the installation.
//! Passwords, codes and links are stored as hashes only.

use butt_dial_domain::{OrgId, clock::Timestamp};

use crate::{
    NewPasskey, Role, Store, StoreError, console_passkeys,
    engine::{Tx, in_tx, on_reader, on_writer, with_timeout},
    memberships,
};

/// A person who signs in.
#[derive(Clone, sqlx::FromRow)]
pub struct ConsoleUser {
    pub user_id: String,
    pub email: String,
    /// Empty: the person has none, and signs in with passkeys.
    pub password_hash: String,
    pub otp_generation: i64,
    /// The time step of the last code that was used. `None`: the secret is not confirmed.
    pub otp_step: Option<i64>,
    pub is_operator: bool,
    pub has_passkey: bool,
}

impl ConsoleUser {
    /// Returns the hash of the password, if the person has one.
    pub fn password(&self) -> Option<String> {
        Some(self.password_hash.clone()).filter(|hash| !hash.is_empty())
    }
}

/// The first way in of a person, or a new one that replaces all others.
#[derive(Clone, Copy)]
pub enum Access<'a> {
    /// The hash of a password. The secret of one-time passwords is to be confirmed.
    Password(&'a str),
    Passkey(&'a NewPasskey),
}

/// The first owner of the installation.
pub struct NewOwner<'a> {
    /// The address, and its normalized form.
    pub email: (&'a str, &'a str),
    pub access: Access<'a>,
    pub org: &'a OrgId,
}

/// The result of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The id of the owner.
    Claimed(String),
    /// Another owner was first. No row has changed.
    Taken,
}

/// An invitation to store.
pub struct NewInvitation<'a> {
    /// Lower-case hex of the SHA-256 of the secret.
    pub hash: &'a str,
    pub org: &'a OrgId,
    /// The address, and its normalized form.
    pub email: (&'a str, &'a str),
    pub role: Role,
    pub invited_by: &'a str,
    pub expires_at: Timestamp,
}

/// An invitation.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Invitation {
    pub token_hash: String,
    #[sqlx(try_from = "String")]
    pub org_id: OrgId,
    pub org_name: String,
    pub email: String,
    pub email_key: String,
    pub role: Role,
    pub invited_by: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Stores the way in of a user. It replaces all former ones, and needs a new secret of one-time passwords.
async fn set_access_in(
    tx: &mut Tx,
    user: &str,
    access: Access<'_>,
    is_operator: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO console_users (user_id, password_hash, is_operator, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $4)
        ON CONFLICT (user_id) DO UPDATE SET password_hash = excluded.password_hash, otp_step = NULL,
            otp_generation = console_users.otp_generation + 1, updated_at = excluded.updated_at";
    const SESSIONS: &str = "DELETE FROM console_sessions WHERE user_id = $1";
    const CODES: &str = "DELETE FROM console_recovery_codes WHERE user_id = $1";
    const PASSKEYS: &str = "DELETE FROM console_passkeys WHERE user_id = $1";
    let password_hash = match access {
        Access::Password(hash) => hash,
        Access::Passkey(_) => "",
    };
    in_tx!(tx, |db| {
        sqlx::query(SQL)
            .bind(user)
            .bind(password_hash)
            .bind(is_operator)
            .bind(now)
            .execute(&mut *db)
            .await?;
        sqlx::query(SESSIONS).bind(user).execute(&mut *db).await?;
        sqlx::query(CODES).bind(user).execute(&mut *db).await?;
        sqlx::query(PASSKEYS).bind(user).execute(&mut *db).await?;
    });
    if let Access::Passkey(passkey) = access {
        console_passkeys::insert_in(tx, user, passkey, now).await?;
    }
    Ok(())
}

impl Store {
    /// Returns whether the installation has an owner.
    pub async fn is_claimed(&self) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM console_claims WHERE id = 1)";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL).fetch_one(db).await)?)
    }

    /// Makes a person the first owner of the installation, in one transaction. Of several, one wins.
    pub async fn claim_installation(&self, owner: &NewOwner<'_>, now: Timestamp) -> Result<Claim, StoreError> {
        const CLAIM: &str = "INSERT INTO console_claims (id, user_id, claimed_at) VALUES (1, $1, $2)
            ON CONFLICT (id) DO NOTHING";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let user = memberships::ensure_user_in(&mut tx, owner.email, now).await?;
            let claimed = in_tx!(&mut tx, |db| sqlx::query(CLAIM)
                .bind(&user)
                .bind(now)
                .execute(db)
                .await?
                .rows_affected());
            if claimed == 0 {
                return Ok(Claim::Taken);
            }
            memberships::insert_in(&mut tx, owner.org, &user, Role::Owner, "system", None, now).await?;
            set_access_in(&mut tx, &user, owner.access, true, now).await?;
            tx.commit().await?;
            Ok(Claim::Claimed(user))
        })
        .await
    }

    /// Finds a person by the normalized address.
    pub async fn find_console_user(&self, email_key: &str) -> Result<Option<ConsoleUser>, StoreError> {
        const SQL: &str = "SELECT c.user_id, u.email, c.password_hash, c.otp_generation, c.otp_step, c.is_operator,
                EXISTS (SELECT 1 FROM console_passkeys p WHERE p.user_id = c.user_id) AS has_passkey
            FROM users u JOIN console_users c ON c.user_id = u.id WHERE u.email_key = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(email_key)
            .fetch_optional(db)
            .await)?)
    }

    /// Finds the normalized address of a person who signs in.
    pub async fn find_console_address(&self, user: &str) -> Result<Option<String>, StoreError> {
        const SQL: &str = "SELECT u.email_key FROM users u JOIN console_users c ON c.user_id = u.id WHERE u.id = $1";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(user)
            .fetch_optional(db)
            .await)?)
    }

    /// Replaces the password of a person, or adds the first one, and ends the person's sessions other than `kept`. Returns false
    /// when the person has not confirmed the secret of one-time passwords: a password alone admits no person.
    pub async fn change_console_password(
        &self,
        user: &str,
        password_hash: &str,
        kept: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const PASSWORD: &str = "UPDATE console_users SET password_hash = $2, updated_at = $3
            WHERE user_id = $1 AND otp_step IS NOT NULL";
        const SESSIONS: &str = "DELETE FROM console_sessions WHERE user_id = $1 AND id_hash <> $2";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let changed = in_tx!(&mut tx, |db| {
                let password = sqlx::query(PASSWORD).bind(user).bind(password_hash).bind(now);
                let changed = password.execute(&mut *db).await?.rows_affected();
                sqlx::query(SESSIONS).bind(user).bind(kept).execute(&mut *db).await?;
                changed
            });
            if changed == 0 {
                return Ok(false);
            }
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Uses the one-time password of a time step up, and with it all earlier ones. Returns false when it was used: each code
    /// admits once.
    pub async fn use_otp_step(&self, user: &str, step: i64, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE console_users SET otp_step = $2, updated_at = $3
            WHERE user_id = $1 AND (otp_step IS NULL OR otp_step < $2)";
        Ok(on_writer!(self, |db| {
            let result = sqlx::query(SQL).bind(user).bind(step).bind(now).execute(db).await;
            result.map(|done| done.rows_affected())
        })? > 0)
    }

    /// Replaces the recovery codes of a person.
    pub async fn set_recovery_codes(&self, user: &str, hashes: &[String]) -> Result<(), StoreError> {
        const DELETE: &str = "DELETE FROM console_recovery_codes WHERE user_id = $1";
        const INSERT: &str = "INSERT INTO console_recovery_codes (user_id, code_hash) VALUES ($1, $2)";
        with_timeout(async {
            let mut tx = self.begin().await?;
            in_tx!(&mut tx, |db| {
                sqlx::query(DELETE).bind(user).execute(&mut *db).await?;
                for hash in hashes {
                    sqlx::query(INSERT).bind(user).bind(hash).execute(&mut *db).await?;
                }
            });
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Uses a recovery code up. Returns false when the person has no such code.
    pub async fn use_recovery_code(&self, user: &str, hash: &str) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM console_recovery_codes WHERE user_id = $1 AND code_hash = $2";
        Ok(on_writer!(self, |db| {
            let result = sqlx::query(SQL).bind(user).bind(hash).execute(db).await;
            result.map(|done| done.rows_affected())
        })? > 0)
    }

    /// Stores an invitation.
    pub async fn create_invitation(&self, new: &NewInvitation<'_>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO console_invitations
                (token_hash, org_id, email, email_key, role, invited_by, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(new.hash)
                .bind(new.org.as_str())
                .bind(new.email.0)
                .bind(new.email.1)
                .bind(new.role.as_str())
                .bind(new.invited_by)
                .bind(now)
                .bind(new.expires_at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Finds an invitation that can be accepted.
    pub async fn find_invitation(&self, hash: &str, now: Timestamp) -> Result<Option<Invitation>, StoreError> {
        const SQL: &str =
            "SELECT i.token_hash, i.org_id, o.name AS org_name, i.email, i.email_key, i.role, i.invited_by,
                i.created_at, i.expires_at
            FROM console_invitations i JOIN organizations o ON o.id = i.org_id
            WHERE i.token_hash = $1 AND i.used_at IS NULL AND i.expires_at > $2 AND o.status = 'active'";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(hash)
            .bind(now)
            .fetch_optional(db)
            .await)?)
    }

    /// Lists the invitations of an organization that can be accepted, newest first. At most 100.
    pub async fn list_invitations(&self, org: &OrgId, now: Timestamp) -> Result<Vec<Invitation>, StoreError> {
        const SQL: &str =
            "SELECT i.token_hash, i.org_id, o.name AS org_name, i.email, i.email_key, i.role, i.invited_by,
                i.created_at, i.expires_at
            FROM console_invitations i JOIN organizations o ON o.id = i.org_id
            WHERE i.org_id = $1 AND i.used_at IS NULL AND i.expires_at > $2
            ORDER BY i.created_at DESC LIMIT 100";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(now)
            .fetch_all(db)
            .await)?)
    }

    /// Withdraws an invitation. Returns false when there is none.
    pub async fn delete_invitation(&self, org: &OrgId, hash: &str) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM console_invitations WHERE org_id = $1 AND token_hash = $2";
        Ok(on_writer!(self, |db| {
            let result = sqlx::query(SQL).bind(org.as_str()).bind(hash).execute(db).await;
            result.map(|done| done.rows_affected())
        })? > 0)
    }

    /// Uses an invitation up and makes its person a member. Without `access`, the person keeps the present ways in. Returns the id of the person, or `None` when the invitation was used meanwhile.
    pub async fn accept_invitation(
        &self,
        invitation: &Invitation,
        access: Option<Access<'_>>,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        const USE: &str = "UPDATE console_invitations SET used_at = $2
            WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let used = in_tx!(&mut tx, |db| sqlx::query(USE)
                .bind(&invitation.token_hash)
                .bind(now)
                .execute(db)
                .await?
                .rows_affected());
            if used == 0 {
                return Ok(None);
            }
            let email = (invitation.email.as_str(), invitation.email_key.as_str());
            let user = memberships::ensure_user_in(&mut tx, email, now).await?;
            let (org, by) = (&invitation.org_id, invitation.invited_by.as_str());
            memberships::insert_in(&mut tx, org, &user, invitation.role, by, None, now).await?;
            if let Some(access) = access {
                set_access_in(&mut tx, &user, access, false, now).await?;
            }
            tx.commit().await?;
            Ok(Some(user))
        })
        .await
    }

    /// Marks a step of an organization's set-up.
    pub async fn add_mark(&self, org: &OrgId, mark: &str, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO console_marks (org_id, mark, marked_at) VALUES ($1, $2, $3)
            ON CONFLICT (org_id, mark) DO NOTHING";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(org.as_str())
                .bind(mark)
                .bind(now)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Lists the marked steps of an organization's set-up.
    pub async fn list_marks(&self, org: &OrgId) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT mark FROM console_marks WHERE org_id = $1 ORDER BY mark";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(org.as_str())
            .fetch_all(db)
            .await)?)
    }
}
