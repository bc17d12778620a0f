//! The installation as a sender: an internal organization with an agent that owns the installation's addresses. Its mails and
//! texts, such as verifications and codes, pass the same pipeline as those of all agents.

use std::sync::Arc;

use butt_dial_domain::{
    Address, AgentId, CallId, Channel, Clock, Code, Failure, MessageId, SendPurpose,
    call::{CallOptions, Plan, Purpose},
    limits::Limits,
};
use butt_dial_identity::{Caller, on_behalf_of};
use butt_dial_messaging::{Allowance, MailRequest, Outbound, SendRequest};
use butt_dial_store::{Agent, AgentStatus, AuditEntry, Store, StoreError};
use tokio::sync::OnceCell;

use crate::{AccountSettings, audit::SYSTEM};

/// The slug of the internal organization.
pub(crate) const SLUG: &str = "installation";
const AGENT: &str = "agt_installation";
/// A call with an alert rings this long, and ends after this time.
const RING_SECONDS: u32 = 30;
const CALL_SECONDS: u32 = 120;
/// A number reserved for fiction, and a domain reserved for examples (RFC 2606).
const SIMULATED: [(Channel, &str); 4] = [
    (Channel::Sms, "+14155550199"),
    (Channel::Voice, "+14155550199"),
    (Channel::Whatsapp, "+14155550199"),
    (Channel::Email, "installation@butt-dial.example"),
];

/// A mail of the installation.
pub(crate) struct Mail<'a> {
    pub to: &'a str,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    /// The same key sends once.
    pub key: String,
}

/// Sends the installation's own messages.
pub struct Installation {
    store: Store,
    outbound: Arc<Outbound>,
    clock: Clock,
    addresses: Vec<(Channel, String)>,
    alert_template: Option<String>,
    /// The organization, the agent and its addresses exist.
    is_created: OnceCell<()>,
}

impl Installation {
    pub(crate) fn new(store: Store, outbound: Arc<Outbound>, clock: Clock, settings: &AccountSettings) -> Self {
        let given = [
            (Channel::Email, &settings.email),
            (Channel::Sms, &settings.phone),
            (Channel::Voice, &settings.phone),
            (Channel::Whatsapp, &settings.whatsapp),
        ];
        let simulated = |channel| {
            let mut all = SIMULATED.into_iter().filter(|_| settings.simulated_world);
            all.find(|(other, _)| *other == channel).map(|(_, address)| address)
        };
        let addresses = given.into_iter().filter_map(|(channel, given)| {
            let address = given.as_deref().or_else(|| simulated(channel))?;
            Some((channel, address.to_owned()))
        });
        Self {
            store,
            outbound,
            clock,
            addresses: addresses.collect(),
            alert_template: settings.alert_template.clone(),
            is_created: OnceCell::new(),
        }
    }

    /// Returns the caller that sends as the installation on a channel. Fails with `ChannelUnavailable` if the operator has set no
    /// sender.
    pub async fn sender(&self, channel: Channel) -> Result<Arc<Caller>, Failure> {
        if !self.addresses.iter().any(|(other, _)| *other == channel) {
            let setting = match channel {
                Channel::Email => "INSTALLATION_EMAIL",
                Channel::Whatsapp => "INSTALLATION_WHATSAPP",
                _ => "INSTALLATION_PHONE",
            };
            let missing = format!("this installation has no {channel} sender: {setting} is not set");
            return Err(Failure::new(Code::ChannelUnavailable, missing).on(channel));
        }
        self.is_created.get_or_try_init(|| self.create()).await?;
        let caller = on_behalf_of(&self.store, &AgentId::from(AGENT)).await?;
        caller.ok_or_else(Failure::internal)
    }

    /// Sends a mail. A temporary failure of the carrier schedules it; any other one is returned.
    pub(crate) async fn send_mail(&self, mail: Mail<'_>) -> Result<(), Failure> {
        let request = SendRequest {
            subject: Some(mail.subject),
            body: Some(mail.text),
            html: mail.html,
            mail: MailRequest {
                headers: [("Auto-Submitted".to_owned(), "auto-generated".to_owned())].into(),
                ..MailRequest::default()
            },
            idempotency_key: Some(mail.key),
            retry_later: true,
            allowance: Allowance::Taken,
            purpose: Some(SendPurpose::Transactional),
            ..SendRequest::new(self.sender(Channel::Email).await?, Channel::Email, mail.to)
        };
        self.outbound.send(request).await.map(drop)
    }

    /// Sends a text message. Any failure is returned.
    pub(crate) async fn send_text(&self, to: &str, text: &str, key: &str) -> Result<(), Failure> {
        let request = SendRequest {
            body: Some(text.to_owned()),
            idempotency_key: Some(key.to_owned()),
            retry_later: true,
            allowance: Allowance::Taken,
            purpose: Some(SendPurpose::Transactional),
            ..SendRequest::new(self.sender(Channel::Sms).await?, Channel::Sms, to)
        };
        self.outbound.send(request).await.map(drop)
    }

    /// Sends an alert on WhatsApp: as a text, or with the template when the person has not written within a day. Any failure is
    /// returned.
    pub(crate) async fn send_whatsapp(&self, to: &str, text: &str, key: &str) -> Result<(), Failure> {
        let sender = self.sender(Channel::Whatsapp).await?;
        let request = || SendRequest {
            allowance: Allowance::Taken,
            purpose: Some(SendPurpose::Transactional),
            ..SendRequest::new(sender.clone(), Channel::Whatsapp, to)
        };
        let as_text = SendRequest {
            body: Some(text.to_owned()),
            idempotency_key: Some(key.to_owned()),
            ..request()
        };
        let refusal = match self.outbound.send(as_text).await {
            Ok(_) => return Ok(()),
            Err(failure) => failure,
        };
        let template = self.alert_template.as_ref();
        let Some(template) = template.filter(|_| refusal.code == Code::WhatsappWindowClosed) else {
            return Err(refusal);
        };
        // A variable of a template is one line.
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let with_template = SendRequest {
            template_id: Some(template.clone()),
            template_variables: [("1".to_owned(), line)].into(),
            idempotency_key: Some(format!("{key}-template")),
            ..request()
        };
        self.outbound.send(with_template).await.map(drop)
    }

    /// Calls to speak a text. Any failure up to the carrier is returned.
    pub(crate) async fn call(&self, to: &str, text: &str, key: &str) -> Result<(), Failure> {
        let request = SendRequest {
            body: Some(text.to_owned()),
            id: Some(MessageId::from(CallId::generate().into_string())),
            idempotency_key: Some(key.to_owned()),
            call: Some(CallOptions {
                ring_seconds: RING_SECONDS,
                limit_seconds: CALL_SECONDS,
                detects_machine: false,
                digits: None,
                plan: Plan {
                    purpose: Purpose::Message {
                        text: text.to_owned(),
                        sound_url: None,
                    },
                    ..Plan::default()
                },
            }),
            allowance: Allowance::Taken,
            purpose: Some(SendPurpose::Transactional),
            ..SendRequest::new(self.sender(Channel::Voice).await?, Channel::Voice, to)
        };
        self.outbound.send(request).await.map(drop)
    }

    /// Creates what is missing. Safe to run in many processes at once.
    async fn create(&self) -> Result<(), Failure> {
        let now = self.clock.now();
        let entry = AuditEntry::new(None, SYSTEM, "organization.create", SLUG, now);
        let org = self
            .store
            .change(entry)
            .create_organization("Installation", SLUG, now)
            .await?;
        let agent = Agent {
            id: AgentId::from(AGENT),
            org_id: org.id,
            display_name: "Installation".into(),
            status: AgentStatus::Active,
            created_at: now,
        };
        let begin = |action: &str| {
            let entry = AuditEntry::new(Some(&agent.org_id), SYSTEM, action, AGENT, now);
            self.store.change(entry)
        };
        match begin("agent.register").create_agent(&agent).await {
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        // The limits of registrations and codes bound what it sends.
        let scope = format!("agt:{AGENT}");
        if self.store.find_limits(&scope).await? != Some(Limits::default()) {
            begin("limits.set").set_limits(&scope, &Limits::default(), now).await?;
        }
        for (channel, address) in &self.addresses {
            let parsed = Address::parse_sender(*channel, address).map_err(|error| {
                let message = format!("the installation's {channel} sender is not valid: {error}");
                Failure::new(Code::ChannelUnavailable, message).on(*channel)
            })?;
            let change = begin("sender.assign");
            let assigned = change.assign_channel(&agent.org_id, &agent.id, *channel, parsed.as_str(), now);
            assigned.await.map_err(|error| match error {
                StoreError::Conflict => {
                    let message = format!("the installation's {channel} sender belongs to another agent");
                    Failure::new(Code::ChannelUnavailable, message).on(*channel)
                }
                other => other.into(),
            })?;
        }
        // No program answers calls to the installation.
        let profile = self.store.find_profile(&agent.id).await?;
        let mut channels = profile.iter().flat_map(|profile| &profile.channels);
        if channels.any(|channel| channel.channel == Channel::Voice && !channel.blocks_inbound) {
            let change = begin("channel.block");
            change
                .set_channel_block(&agent.id, Channel::Voice, Some(true), None)
                .await?;
        }
        Ok(())
    }
}
