//! One-time codes: sent to a person through the send pipeline, and confirmed once. The code exists in the message only; the
//! database has a keyed hash. Tries are counted in the database, so replicas together allow no more than one does.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    Address, CallId, ChallengeId, Channel, Clock, Code, Failure, MessageId, SendPurpose,
    call::{CallOptions, Plan, Purpose},
    clock::Timestamp,
    keys,
    ports::kv::{Kv, Quota, RateLimitDecision},
};
use butt_dial_identity::Caller;
use butt_dial_language::{one_time_code, spoken_one_time_code};
use butt_dial_messaging::{
    Outbound, SendReceipt, SendRequest,
    outbound::{may_fall_back, parse_recipient},
};
use butt_dial_store::{Challenge, ChallengeOwner, ChallengeState, NewChallenge, Store};
use butt_dial_vault::{Vault, mac};
use chrono::TimeDelta;
use rand::RngExt as _;
use subtle::ConstantTimeEq as _;

const MAX_TRIES: i64 = 5;
const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// Codes to one contact of an organization.
const CONTACT_LIMITS: [(&str, u32, Duration); 2] = [
    ("short", 5, Duration::from_secs(600)),
    ("day", 20, Duration::from_secs(86_400)),
];
/// Codes of an organization per hour. Bounds what a stolen token can do.
const ORG_LIMIT: (u32, Duration) = (1_000, Duration::from_secs(3_600));
/// Characters of a purpose.
const MAX_PURPOSE: usize = butt_dial_domain::bounds::CODE_PURPOSE;
const RING_SECONDS: u32 = 30;
const CALL_SECONDS: u32 = 120;

/// A request to send a code.
pub struct CodeRequest<'a> {
    /// The agent or organization that confirms it.
    pub owner: ChallengeOwner,
    /// Codes of one purpose confirm nothing else.
    pub purpose: &'a str,
    /// The agent that sends it. It may belong to another organization: the installation writes to administrators.
    pub sender: Arc<Caller>,
    pub to: &'a str,
    /// The channels to try, in order; at least one.
    pub channels: &'a [Channel],
    /// The language of the text, such as `de-AT`.
    pub language: Option<&'a str>,
    /// The template for WhatsApp, with the code as its variable `1`. `None`: that of the installation, or a text.
    pub template: Option<&'a str>,
}

/// A code that has left.
#[derive(Clone, Debug)]
pub struct SentCode {
    pub challenge: ChallengeId,
    pub channel: Channel,
    pub message: MessageId,
    /// The status of the message: `accepted` or `pending`.
    pub status: &'static str,
    pub to: Address,
    pub expires_at: Timestamp,
    /// The code, when all carriers are simulators. Never with a real carrier.
    pub dev_otp: Option<String>,
}

/// Sends codes and confirms them. Cheap to clone.
#[derive(Clone)]
pub struct Challenges {
    store: Store,
    kv: Arc<dyn Kv>,
    vault: Vault,
    outbound: Arc<Outbound>,
    clock: Clock,
    /// The template for codes over WhatsApp, where texts pass for a day after the person's last message only.
    whatsapp_template: Option<String>,
    simulated_world: bool,
}

impl Challenges {
    pub fn new(
        store: Store,
        kv: Arc<dyn Kv>,
        vault: Vault,
        outbound: Arc<Outbound>,
        clock: Clock,
        whatsapp_template: Option<String>,
        simulated_world: bool,
    ) -> Self {
        Self {
            store,
            kv,
            vault,
            outbound,
            clock,
            whatsapp_template,
            simulated_world,
        }
    }

    /// Creates a code and sends it, on the first channel that can. It replaces earlier codes to the same person for the same
    /// purpose once it has left.
    pub async fn send(&self, request: CodeRequest<'_>) -> Result<SentCode, Failure> {
        if request.purpose.is_empty()
            || request.purpose.chars().count() > MAX_PURPOSE
            || request.purpose.chars().any(char::is_control)
        {
            return Err(Failure::new(
                Code::InvalidArgument,
                format!("purpose is one line of 1 to {MAX_PURPOSE} characters"),
            ));
        }
        let (to, usable) = usable_channels(&request)?;
        let channels = granted_channels(&request.sender, &to, usable)?;
        let contact = to.contact_key();
        self.take_limits(&request.owner, &contact).await?;
        let now = self.clock.now();
        let (id, code) = (ChallengeId::generate(), generate_code());
        let expires_at = now + LIFETIME;
        let first = channels.first().copied().unwrap_or(Channel::Sms);
        let new = NewChallenge {
            id: &id,
            owner: &request.owner,
            purpose: request.purpose,
            channel: first,
            address: to.as_str(),
            contact: &contact,
            code_hash: &self.hash(&id, &code),
            expires_at,
        };
        self.store.create_challenge(&new, now).await?;
        let receipt = match self.deliver(&request, &channels, &to, &id, &code).await {
            Ok(receipt) => receipt,
            Err(failure) => {
                // The earlier code, if there is one, stays valid.
                if let Err(error) = self.store.delete_challenge(&id).await {
                    tracing::warn!(%error, "challenge of an unsent code not deleted");
                }
                return Err(failure);
            }
        };
        if receipt.channel != first {
            self.store.set_challenge_channel(&id, receipt.channel).await?;
        }
        self.store
            .replace_older_challenges(&request.owner, &id, request.purpose, &contact)
            .await?;
        Ok(SentCode {
            challenge: id,
            channel: receipt.channel,
            message: receipt.message,
            status: receipt.status.for_agent(),
            to,
            expires_at,
            dev_otp: self.simulated_world.then_some(code),
        })
    }

    /// Confirms a challenge with its code, once. Fails with `ChallengeNotFound` (also for another owner's or a used one),
    /// `OtpExpired`, `OtpMaxAttempts` or `OtpInvalid`.
    pub async fn verify(
        &self,
        owner: &ChallengeOwner,
        id: &ChallengeId,
        purpose: &str,
        code: &str,
    ) -> Result<Challenge, Failure> {
        let now = self.clock.now();
        let tried = self
            .store
            .take_challenge_try(owner, id, purpose, MAX_TRIES, now)
            .await?;
        let Some(challenge) = tried else {
            return Err(match self.store.find_challenge(owner, id, purpose).await? {
                Some(known) => explain(&known, now),
                None => not_found(),
            });
        };
        let given: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        let is_right: bool = self
            .hash(id, &given)
            .as_bytes()
            .ct_eq(challenge.code_hash.as_bytes())
            .into();
        if !is_right {
            let left = MAX_TRIES.saturating_sub(challenge.tries);
            return Err(Failure::new(Code::OtpInvalid, "the code is wrong")
                .hint(match left {
                    0 => "no try is left: send a new code",
                    _ => "check the digits and try again",
                })
                .detail("remainingAttempts", left));
        }
        // Two requests with the right code: one of them confirms.
        match self.store.confirm_challenge(id).await? {
            true => Ok(challenge),
            false => Err(not_found()),
        }
    }

    /// Finds the owner's latest pending challenge: to a contact, on a channel, or the latest of all. `ChallengeNotFound` if
    /// there is none.
    pub async fn find_latest(
        &self,
        owner: &ChallengeOwner,
        contact: Option<&str>,
        channel: Option<Channel>,
    ) -> Result<Challenge, Failure> {
        let found = self.store.find_latest_challenge(owner, contact, channel).await?;
        found.ok_or_else(not_found)
    }

    async fn take_limits(&self, owner: &ChallengeOwner, contact: &str) -> Result<(), Failure> {
        // Keys of the key-value store hold no addresses.
        let contact = self.vault.request_hash(&owner.org, contact);
        let mut quotas: Vec<Quota> = CONTACT_LIMITS
            .iter()
            .map(|(window, limit, period)| Quota {
                key: keys::codes_to_contact(&owner.org, &contact, window),
                limit: *limit,
                period: *period,
                units: 1,
            })
            .collect();
        quotas.push(Quota {
            key: keys::codes_of_org(&owner.org),
            limit: ORG_LIMIT.0,
            period: ORG_LIMIT.1,
            units: 1,
        });
        match self.kv.take(&quotas).await {
            Ok(RateLimitDecision::Granted) => Ok(()),
            Ok(RateLimitDecision::Denied { quota, retry_after, .. }) => {
                let scope = match quota < CONTACT_LIMITS.len() {
                    true => "contact",
                    false => "organization",
                };
                let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
                Err(
                    Failure::new(Code::RateLimited, format!("too many codes for this {scope}"))
                        .hint("wait as long as retryAfterSeconds says")
                        .retry_after(seconds.max(1))
                        .detail("scope", scope),
                )
            }
            Err(error) => {
                tracing::warn!(%error, "limit of codes not checked");
                Err(Failure::unavailable(
                    "the limits of codes can't be checked right now; nothing was sent",
                ))
            }
        }
    }

    /// Sends the code on the first channel that takes it. Messages first: a call is the last resort unless it is the only way.
    async fn deliver(
        &self,
        request: &CodeRequest<'_>,
        channels: &[Channel],
        to: &Address,
        id: &ChallengeId,
        code: &str,
    ) -> Result<SendReceipt, Failure> {
        let messages: Vec<Channel> = channels
            .iter()
            .copied()
            .filter(|channel| *channel != Channel::Voice)
            .collect();
        let mut refusal = None;
        if let Some((first, fallbacks)) = messages.split_first() {
            let template = request.template.or(self.whatsapp_template.as_deref());
            let template = template.filter(|_| *first == Channel::Whatsapp);
            let send = SendRequest {
                // The further channels have no templates.
                body: Some(one_time_code(request.language, code)),
                template_id: template.map(str::to_owned),
                template_variables: template
                    .map(|_| ("1".to_owned(), code.to_owned()))
                    .into_iter()
                    .collect(),
                fallbacks: fallbacks.to_vec(),
                idempotency_key: Some(format!("code-{id}")),
                purpose: Some(SendPurpose::Otp),
                ..SendRequest::new(request.sender.clone(), *first, to.as_str())
            };
            match self.outbound.send(send).await {
                Ok(receipt) => return Ok(receipt),
                Err(failure) if may_fall_back(&failure) => refusal = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        if !channels.contains(&Channel::Voice) {
            return Err(refusal.unwrap_or_else(Failure::internal));
        }
        self.outbound.send(call(request, to, id, code)).await
    }

    fn hash(&self, id: &ChallengeId, code: &str) -> String {
        let key = self.vault.key("one-time codes");
        hex::encode(mac(&key, &[id.as_str().as_bytes(), code.as_bytes()]))
    }
}

fn call(request: &CodeRequest<'_>, to: &Address, id: &ChallengeId, code: &str) -> SendRequest {
    let text = spoken_one_time_code(request.language, code);
    SendRequest {
        body: Some(text.clone()),
        id: Some(MessageId::from(CallId::generate().into_string())),
        idempotency_key: Some(format!("code-{id}-call")),
        call: Some(CallOptions {
            ring_seconds: RING_SECONDS,
            limit_seconds: CALL_SECONDS,
            detects_machine: false,
            digits: None,
            plan: Plan {
                purpose: Purpose::Message { text, sound_url: None },
                language: request.language.map(str::to_owned),
                ..Plan::default()
            },
        }),
        purpose: Some(SendPurpose::Otp),
        ..SendRequest::new(request.sender.clone(), Channel::Voice, to.as_str())
    }
}

/// Returns the address and the channels on which it is one. Fails as a send on the first channel would if there is none.
fn usable_channels(request: &CodeRequest<'_>) -> Result<(Address, Vec<Channel>), Failure> {
    let mut usable: Option<(Address, Vec<Channel>)> = None;
    let mut refusal = None;
    for channel in request.channels {
        match parse_recipient(*channel, request.to) {
            Ok(address) => match &mut usable {
                Some((_, channels)) if !channels.contains(channel) => channels.push(*channel),
                Some(_) => {}
                None => usable = Some((address, vec![*channel])),
            },
            Err(failure) => refusal = refusal.or(Some(failure)),
        }
    }
    usable.ok_or_else(|| refusal.unwrap_or_else(|| Failure::new(Code::InvalidArgument, "no channel was given")))
}

/// Returns the channels that the caller's token is granted. Fails if the first one is not: it was asked for, the others only help.
fn granted_channels(caller: &Caller, to: &Address, channels: Vec<Channel>) -> Result<Vec<Channel>, Failure> {
    let mut granted = Vec::with_capacity(channels.len());
    for channel in channels {
        match caller.require_recipient(channel, to, None) {
            Ok(()) => granted.push(channel),
            Err(refusal) if granted.is_empty() => return Err(refusal),
            Err(_) => {}
        }
    }
    Ok(granted)
}

/// Six digits, the first of which is not zero: programs read codes as numbers.
fn generate_code() -> String {
    rand::rng().random_range(100_000..=999_999).to_string()
}

fn explain(challenge: &Challenge, now: Timestamp) -> Failure {
    if challenge.state != ChallengeState::Pending {
        return not_found();
    }
    if challenge.expires_at <= now {
        return Failure::new(Code::OtpExpired, "the code has expired").hint("send a new code");
    }
    if challenge.tries >= MAX_TRIES {
        return Failure::new(Code::OtpMaxAttempts, format!("the code was wrong {MAX_TRIES} times"))
            .hint("send a new code");
    }
    // It has changed between the two reads.
    not_found()
}

fn not_found() -> Failure {
    Failure::new(Code::ChallengeNotFound, "there is no code to confirm").hint("send a new code")
}

#[cfg(test)]
mod tests;
