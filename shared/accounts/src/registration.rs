//! Registration: stores an organization that waits for its owner's confirmation, and mails the link. The response and its time
//! do not show whether an address has an organization: a registration with an address that has one writes and mails as much.

use std::{net::IpAddr, time::Duration};

use butt_dial_domain::{Code, Failure, OrgId, clock::Timestamp, keys};
use butt_dial_store::{NewOneTimeToken, OneTimeKind, OrgStatus, StoreError};
use butt_dial_vault::mac;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Accounts, Branding, MailTemplate, Profile, Registration,
    audit::SYSTEM,
    handle::client_id,
    installation::Mail,
    limits::unavailable,
    mails::{self, LINK_LIFETIME},
    profile::{Mailbox, clean_name},
    secrets::{self, Secret},
};

/// How long an organization waits for its owner, and how long a repeated request gets the same response.
const PENDING_LIFETIME: TimeDelta = TimeDelta::hours(24);
const REPLY_LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// A request with the same key waits for the one in progress.
const LEASE: Duration = Duration::from_secs(20);
const REPLY_POLLS: u32 = 50;
const REPLY_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The least time of a registration, so that the work of the database does not show in it.
const EVEN_TIME: Duration = Duration::from_millis(60);
const MAX_KEY_LENGTH: usize = butt_dial_domain::bounds::IDEMPOTENCY_KEY;

/// A request to register an organization.
pub struct NewRegistration {
    pub org_name: String,
    pub owner_email: String,
    pub branding: Option<Branding>,
    pub return_url: Option<String>,
    pub webhook_url: Option<String>,
    pub template: Option<MailTemplate>,
    pub invite_code: Option<String>,
    pub idempotency_key: Option<String>,
    pub client: Option<IpAddr>,
}

/// The result of a registration.
#[derive(Clone, Serialize, Deserialize)]
pub struct Registered {
    pub org: OrgId,
    pub verification_sent: bool,
    /// Why no mail was sent.
    pub reason: Option<String>,
    pub poll_token: String,
    pub webhook_secret: String,
    pub expires_at: Timestamp,
    /// Only where carriers are simulated.
    pub dev_verification_token: Option<String>,
}

/// A stored response. The request is compared by its hash.
#[derive(Serialize, Deserialize)]
struct Reply {
    request: String,
    registered: Registered,
}

impl Accounts {
    /// Registers an organization. A repeated request with the same idempotency key gets the same response for a day.
    pub async fn register(&self, new: NewRegistration) -> Result<Registered, Failure> {
        self.check_registration_setting(new.invite_code.as_deref()).await?;
        let (owner, profile) = self.validate(&new)?;
        let Some(key) = new.idempotency_key.as_deref() else {
            return self.register_evenly(&new, &owner, profile).await;
        };
        if key.is_empty() || key.len() > MAX_KEY_LENGTH {
            return Err(Failure::new(
                Code::InvalidArgument,
                "the idempotency key has 1 to 255 characters",
            ));
        }
        let key = secrets::hash(key);
        let request = secrets::hash(&json!([owner.key, profile, new.invite_code]).to_string());
        let holder = butt_dial_domain::ids::random();
        for _ in 0..REPLY_POLLS {
            if let Some(reply) = self.find_reply(&key).await? {
                return match reply.request == request {
                    true => Ok(reply.registered),
                    false => Err(Failure::new(
                        Code::Conflict,
                        "this idempotency key was used for another registration",
                    )
                    .hint("use a new key for a new registration")),
                };
            }
            let lease = keys::registration_lease(&key);
            let Some(lease) = self.kv.acquire(&lease, &holder, LEASE).await.map_err(unavailable)? else {
                tokio::time::sleep(REPLY_POLL_INTERVAL).await;
                continue;
            };
            let result = self.register_evenly(&new, &owner, profile).await;
            if let Ok(registered) = &result {
                let reply = Reply {
                    request,
                    registered: registered.clone(),
                };
                self.keep_reply(&key, &reply).await?;
            }
            self.kv.release(&lease).await.map_err(unavailable)?;
            return result;
        }
        Err(Failure::new(
            Code::Conflict,
            "a registration with this idempotency key is in progress",
        ))
    }

    async fn check_registration_setting(&self, invite: Option<&str>) -> Result<(), Failure> {
        let closed =
            |hint| Err(Failure::new(Code::RegistrationClosed, "this installation accepts no registrations").hint(hint));
        match self.settings.registration {
            Registration::Open => Ok(()),
            Registration::Closed => closed("ask the operator of this installation for an organization"),
            Registration::Invite => match invite {
                Some(code) if self.is_invite_valid(code).await? => Ok(()),
                _ => closed("pass a valid inviteCode; the operator of this installation issues it"),
            },
        }
    }

    fn validate(&self, new: &NewRegistration) -> Result<(Mailbox, Profile), Failure> {
        let owner = Mailbox::parse("ownerEmail", &new.owner_email)?;
        let name = clean_name("orgName", &new.org_name)?;
        if let Some(url) = &new.return_url {
            Self::check_return_url(url)?;
        }
        if let Some(url) = &new.webhook_url {
            self.check_url("webhookUrl", url)?;
        }
        if let Some(branding) = &new.branding {
            Self::check_branding(branding)?;
        }
        if let Some(template) = &new.template {
            template.check()?;
        }
        let profile = Profile {
            name,
            return_url: new.return_url.clone(),
            webhook_url: new.webhook_url.clone(),
            webhook_salt: self.webhook_salt(new),
            branding: new.branding.clone(),
            template: new.template.clone(),
        };
        Ok((owner, profile))
    }

    /// A repeated registration has the same secret if it comes from the same network and names the same webhook: otherwise any
    /// client that knows an address could learn the secret of its owner's registration.
    fn webhook_salt(&self, new: &NewRegistration) -> String {
        let key = self.vault.key("account webhook salts");
        let url = new.webhook_url.as_deref().unwrap_or_default();
        let mut salt = hex::encode(mac(&key, &[url.as_bytes(), client_id(new.client).as_bytes()]));
        salt.truncate(32);
        salt
    }

    async fn register_evenly(
        &self,
        new: &NewRegistration,
        owner: &Mailbox,
        profile: Profile,
    ) -> Result<Registered, Failure> {
        let (result, ()) = futures::join!(self.register_once(new, owner, profile), tokio::time::sleep(EVEN_TIME));
        result
    }

    async fn register_once(
        &self,
        new: &NewRegistration,
        owner: &Mailbox,
        profile: Profile,
    ) -> Result<Registered, Failure> {
        let owner_hash = secrets::hash(&owner.key);
        self.take_registration(new.client, owner.domain(), &owner_hash).await?;
        if let (Registration::Invite, Some(code)) = (self.settings.registration, &new.invite_code)
            && !self.use_invite(code).await?
        {
            return Err(Failure::new(Code::RegistrationClosed, "this invite code has been used"));
        }
        let now = self.clock.now();
        let (poll, link) = (Secret::short(), Secret::long());
        let expires_at = now + PENDING_LIFETIME;
        let (org, is_decoy) = self
            .store_registration(owner, &owner_hash, &profile, (&poll.hash, &link.hash), now)
            .await?;
        let sent = self.mail_registration(&owner.address, &profile, &link, is_decoy).await;
        if !is_decoy {
            self.audit
                .append(&org, SYSTEM, "organization.register", org.as_str(), json!({}))
                .await?;
        }
        Ok(Registered {
            webhook_secret: secrets::webhook_secret(&self.vault, &org, &profile.webhook_salt),
            org,
            verification_sent: sent.is_ok(),
            reason: sent.err().map(|failure| failure.message.into_owned()),
            poll_token: poll.plain,
            expires_at,
            dev_verification_token: self.for_tests(&link.plain),
        })
    }

    /// Stores the registration. Returns its organization, and whether the address belongs to an organization already, which is not
    /// changed.
    async fn store_registration(
        &self,
        owner: &Mailbox,
        owner_hash: &str,
        profile: &Profile,
        (poll_hash, link_hash): (&str, &str),
        now: Timestamp,
    ) -> Result<(OrgId, bool), Failure> {
        let detail = serde_json::to_string(profile).map_err(|_| Failure::internal())?;
        let expires_at = now + PENDING_LIFETIME;
        // Two registrations of one address at the same time: the second one finds the first.
        for _ in 0..2 {
            let found = self.store.find_organization_of_owner(&owner.key).await?;
            let (org, is_new, is_decoy) = match found {
                Some(found) if found.status != OrgStatus::Pending => (self.find_decoy(owner_hash).await?, false, true),
                Some(found) if found.expires_at.is_some_and(|at| at <= now) => {
                    let expired = found.id.as_str();
                    self.audit
                        .change(&found.id, SYSTEM, "organization.expire", expired, json!({}))
                        .delete_pending_organization(&found.id)
                        .await?;
                    (OrgId::generate(), true, false)
                }
                Some(found) => (found.id, false, false),
                None => (OrgId::generate(), true, false),
            };
            let token = |hash, kind, detail, lifetime| NewOneTimeToken {
                hash,
                kind,
                org: Some(&org),
                detail,
                expires_at: now + lifetime,
            };
            let tokens = [
                // A registration that changed nothing is abandoned like any other.
                token(poll_hash, OneTimeKind::Poll, Some(owner_hash), PENDING_LIFETIME),
                token(
                    link_hash,
                    OneTimeKind::Verification,
                    Some(detail.as_str()),
                    LINK_LIFETIME,
                ),
            ];
            let new = butt_dial_store::NewRegistration {
                id: &org,
                name: &profile.name,
                owner_email: &owner.address,
                owner_key: &owner.key,
                mode: self.settings.mode,
                expires_at,
            };
            let stored = self
                .store
                .register_organization(&org, is_new.then_some(&new), &tokens, now)
                .await;
            match stored {
                Ok(()) => return Ok((org, is_decoy)),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::new(
            Code::Conflict,
            "another registration of this address is in progress",
        ))
    }

    /// Returns the id of an organization that does not exist. It is the same until a day after the last registration, like that of
    /// a pending organization.
    async fn find_decoy(&self, owner_hash: &str) -> Result<OrgId, Failure> {
        let key = keys::decoy_organization(owner_hash);
        let known = self.kv.get(&key).await.map_err(unavailable)?;
        let org = known.map_or_else(OrgId::generate, OrgId::from);
        let stored = self.kv.set(&key, org.as_str(), REPLY_LIFETIME).await;
        stored.map_err(unavailable)?;
        Ok(org)
    }

    /// Mails the link, or that the address has an organization already.
    pub(crate) async fn mail_registration(
        &self,
        owner: &str,
        profile: &Profile,
        link: &Secret,
        is_decoy: bool,
    ) -> Result<(), Failure> {
        let url = self.page(&format!("/verify#token={}", link.plain)).ok_or_else(|| {
            Failure::new(
                Code::ChannelUnavailable,
                "the public address of this installation is not known: WEBHOOK_BASE_URL is not set",
            )
        })?;
        let mail = match is_decoy {
            true => mails::already_registered(profile),
            false => mails::verification(profile, owner, &url),
        };
        let sent = self.installation.send_mail(Mail {
            to: owner,
            subject: mail.subject,
            text: mail.text,
            html: mail.html,
            key: format!("verification-{}", &link.hash[..32]),
        });
        sent.await.inspect_err(|failure| {
            tracing::warn!(code = failure.code.as_str(), "verification mail not sent");
        })
    }

    async fn find_reply(&self, key: &str) -> Result<Option<Reply>, Failure> {
        let found = self.kv.get(&keys::registration_reply(key)).await.map_err(unavailable)?;
        let sealed = found.and_then(|text| hex::decode(text).ok());
        let plain = sealed.and_then(|sealed| self.vault.decrypt(&replies(), key, &sealed).ok());
        Ok(plain.and_then(|plain| serde_json::from_slice(&plain).ok()))
    }

    async fn keep_reply(&self, key: &str, reply: &Reply) -> Result<(), Failure> {
        let plain = serde_json::to_vec(reply).map_err(|_| Failure::internal())?;
        let sealed = hex::encode(self.vault.encrypt(&replies(), key, &plain));
        let kept = self
            .kv
            .set(&keys::registration_reply(key), &sealed, REPLY_LIFETIME)
            .await;
        kept.map_err(unavailable)
    }
}

/// The organization with the key that encrypts responses to registrations. It has no row.
fn replies() -> OrgId {
    OrgId::from("registrations")
}
