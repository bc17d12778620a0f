//! The registration of an organization: pending, verified, active. Each step is one transaction, so that a process that dies
//! leaves no organization without an owner or a token.

use butt_dial_domain::{OrgId, clock::Timestamp};

use crate::{
    Change, NewNotice, NewOneTimeToken, NewToken, OneTimeKind, OrgMode, Organization, Role, Store, StoreError,
    account_notices,
    engine::{in_tx, on_reader, with_timeout},
    memberships, one_time_tokens, tokens,
};

/// A registration to store: an organization that waits for the confirmation of its owner.
pub struct NewRegistration<'a> {
    pub id: &'a OrgId,
    pub name: &'a str,
    pub owner_email: &'a str,
    /// The normalized address of the owner.
    pub owner_key: &'a str,
    pub mode: OrgMode,
    pub expires_at: Timestamp,
}

/// A step of a registration. It uses a one-time token up, and writes everything else with it.
pub struct RegistrationStep<'a> {
    pub hash: &'a str,
    pub kind: OneTimeKind,
    pub org: &'a OrgId,
    /// The registration that the token belongs to. `None`: it was written by the step before.
    pub details: Option<RegistrationDetails<'a>>,
    pub then: NextStep<'a>,
}

/// The parts of a registration that the owner has confirmed.
pub struct RegistrationDetails<'a> {
    pub name: &'a str,
    pub return_url: Option<&'a str>,
    pub webhook_url: Option<&'a str>,
    pub webhook_salt: &'a str,
    pub branding: Option<&'a str>,
}

pub enum NextStep<'a> {
    /// The owner has to accept the terms.
    AwaitTerms(NewOneTimeToken<'a>),
    Activate(Activation<'a>),
}

pub struct Activation<'a> {
    pub token: NewToken<'a>,
    pub owner_email: &'a str,
    pub owner_key: &'a str,
    pub terms_version: Option<&'a str>,
    pub notice: Option<NewNotice<'a>>,
}

impl Store {
    /// Stores a registration with its one-time tokens, which replace the former ones of the organization. Stores only the tokens for an
    /// organization that exists, or when `new` is `None`. Fails with `Conflict` when another registration has the owner's
    /// address.
    pub async fn register_organization(
        &self,
        org: &OrgId,
        new: Option<&NewRegistration<'_>>,
        tokens: &[NewOneTimeToken<'_>],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const INSERT: &str =
            "INSERT INTO organizations (id, name, slug, status, mode, owner_email, owner_key, expires_at, created_at)
            VALUES ($1, $2, replace($1, '_', '-'), 'pending', $3, $4, $5, $6, $7)";
        // An organization that awaits its owner's acceptance of the terms keeps its time.
        const EXTEND: &str = "UPDATE organizations SET expires_at = $2 WHERE id = $1 AND status = 'pending'";
        with_timeout(async {
            let mut tx = self.begin().await?;
            if let Some(new) = new {
                in_tx!(&mut tx, |db| sqlx::query(INSERT)
                    .bind(new.id.as_str())
                    .bind(new.name)
                    .bind(new.mode.as_str())
                    .bind(new.owner_email)
                    .bind(new.owner_key)
                    .bind(new.expires_at)
                    .bind(now)
                    .execute(db)
                    .await
                    .map(drop)?);
            }
            for token in tokens {
                one_time_tokens::delete_in(&mut tx, org, token.kind).await?;
                one_time_tokens::insert_in(&mut tx, token, now).await?;
                if token.kind == OneTimeKind::Poll {
                    in_tx!(&mut tx, |db| sqlx::query(EXTEND)
                        .bind(org.as_str())
                        .bind(token.expires_at)
                        .execute(db)
                        .await
                        .map(drop)?);
                }
            }
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Finds the organization that the owner with this normalized address registered.
    pub async fn find_organization_of_owner(&self, owner_key: &str) -> Result<Option<Organization>, StoreError> {
        const SQL: &str =
            "SELECT id, name, slug, status, mode, owner_email, admin_phone, terms_version, return_url, webhook_url,
                webhook_salt, branding, verified_at, expires_at, created_at
            FROM organizations WHERE owner_key = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(owner_key)
            .fetch_optional(db)
            .await)?)
    }

    /// Lists pending organizations that expired before this time. At most 100.
    pub async fn list_expired_organizations(&self, before: Timestamp) -> Result<Vec<OrgId>, StoreError> {
        const SQL: &str = "SELECT id FROM organizations WHERE expires_at < $1 AND status = 'pending'
            ORDER BY expires_at LIMIT 100";
        let ids: Vec<String> = on_reader!(self, |db| sqlx::query_scalar(SQL).bind(before).fetch_all(db).await)?;
        Ok(ids.into_iter().map(OrgId::from).collect())
    }
}

impl Change {
    /// Takes a step of a registration. Returns false, and changes nothing, when the one-time token is used or has expired, or when
    /// the organization is not pending.
    pub async fn take_registration_step(
        &self,
        step: &RegistrationStep<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const VERIFY: &str = "UPDATE organizations SET name = $2, return_url = $3, webhook_url = $4, webhook_salt = $5,
                branding = $6, verified_at = $7 WHERE id = $1 AND status = 'pending'";
        const AWAIT: &str = "UPDATE organizations SET expires_at = $2 WHERE id = $1 AND status = 'pending'";
        const ACTIVATE: &str = "UPDATE organizations SET status = 'active', expires_at = NULL, terms_version = $2
            WHERE id = $1 AND status = 'pending'";
        let org = step.org;
        with_timeout(async {
            let mut tx = self.begin().await?;
            if !one_time_tokens::consume_in(&mut tx, step.hash, step.kind, now).await? {
                return Ok(false);
            }
            if let Some(details) = &step.details {
                let done = in_tx!(&mut tx, |db| sqlx::query(VERIFY)
                    .bind(org.as_str())
                    .bind(details.name)
                    .bind(details.return_url)
                    .bind(details.webhook_url)
                    .bind(details.webhook_salt)
                    .bind(details.branding)
                    .bind(now)
                    .execute(db)
                    .await?
                    .rows_affected());
                if done == 0 {
                    return Ok(false);
                }
                one_time_tokens::delete_in(&mut tx, org, OneTimeKind::Verification).await?;
            }
            match &step.then {
                NextStep::AwaitTerms(session) => {
                    one_time_tokens::insert_in(&mut tx, session, now).await?;
                    in_tx!(&mut tx, |db| sqlx::query(AWAIT)
                        .bind(org.as_str())
                        .bind(session.expires_at)
                        .execute(db)
                        .await
                        .map(drop)?);
                }
                NextStep::Activate(activation) => {
                    let done = in_tx!(&mut tx, |db| sqlx::query(ACTIVATE)
                        .bind(org.as_str())
                        .bind(activation.terms_version)
                        .execute(db)
                        .await?
                        .rows_affected());
                    if done == 0 {
                        return Ok(false);
                    }
                    tokens::insert_in(&mut tx, &activation.token, now).await?;
                    let owner = (activation.owner_email, activation.owner_key);
                    let user = memberships::ensure_user_in(&mut tx, owner, now).await?;
                    memberships::insert_in(&mut tx, org, &user, Role::Owner, "system", None, now).await?;
                    if let Some(notice) = &activation.notice {
                        account_notices::insert_in(&mut tx, notice, now).await?;
                    }
                }
            }
            self.commit(tx).await?;
            Ok(true)
        })
        .await
    }

    /// Deletes a pending organization with its one-time tokens. Returns false when it is not pending. An organization that does not
    /// exist may have tokens as well.
    pub async fn delete_pending_organization(&self, id: &OrgId) -> Result<bool, StoreError> {
        const ORGANIZATION: &str = "DELETE FROM organizations WHERE id = $1 AND status = 'pending'";
        const TOKENS: &str = "DELETE FROM one_time_tokens WHERE org_id = $1
            AND NOT EXISTS (SELECT 1 FROM organizations o WHERE o.id = $1)";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let done = in_tx!(&mut tx, |db| sqlx::query(ORGANIZATION)
                .bind(id.as_str())
                .execute(db)
                .await?
                .rows_affected());
            in_tx!(&mut tx, |db| sqlx::query(TOKENS)
                .bind(id.as_str())
                .execute(db)
                .await
                .map(drop)?);
            match done {
                0 => tx.commit().await?,
                _ => self.commit(tx).await?,
            }
            Ok(done > 0)
        })
        .await
    }
}
