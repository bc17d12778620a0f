//! Channels as administrators name them: a phone number carries texts and calls, WhatsApp uses the phone number.

use butt_dial_domain::{AgentId, Channel, Code, Failure, ports::numbers::NumberKind, senders::IdentityMode};
use butt_dial_identity::Caller;
use butt_dial_store::{Profile, Sender};
use serde_json::json;

use super::{NumberOrder, Senders, no_such_sender};

/// A channel as administrators name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ChannelKind {
    Phone,
    Whatsapp,
    Email,
    Line,
}

impl ChannelKind {
    /// Reads the name of a channel. `voiceAi` is a phone number. Fails with `ProviderUnsupported` for channels that no vendor here
    /// has.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        match text.trim().to_ascii_lowercase().as_str() {
            "phone" | "sms" | "voice" | "voiceai" => Ok(Self::Phone),
            "whatsapp" => Ok(Self::Whatsapp),
            "email" => Ok(Self::Email),
            "line" => Ok(Self::Line),
            "telegram" => Err(
                Failure::new(Code::ProviderUnsupported, "no provider of this server carries telegram")
                    .hint("use one of phone, whatsapp, email, line")
                    .detail("channel", "telegram")
                    .detail("provider", "none")
                    .detail("action", "add_channel"),
            ),
            _ => Err(Failure::new(
                Code::InvalidArgument,
                "the channel is one of phone, whatsapp, email, line",
            )
            .detail("fields", json!(["channel"]))),
        }
    }

    pub fn of(channel: Channel) -> Self {
        match channel {
            Channel::Sms | Channel::Voice => Self::Phone,
            Channel::Whatsapp => Self::Whatsapp,
            Channel::Email => Self::Email,
            Channel::Line => Self::Line,
        }
    }

    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The capabilities of a sender of this kind.
    pub fn capabilities(self) -> &'static [&'static str] {
        match self {
            Self::Phone => &["sms", "voice"],
            Self::Whatsapp => &["messages", "media", "templates"],
            Self::Email => &["messages", "attachments"],
            Self::Line => &["messages"],
        }
    }
}

/// A channel to add to an agent.
#[derive(Clone, Debug, Default)]
pub struct AddChannel<'a> {
    /// A number to buy or adopt, a mail address, or the id of a LINE channel. `None`: any.
    pub identifier: Option<&'a str>,
    pub mail_local_part: Option<&'a str>,
    pub mail_domain: Option<&'a str>,
    /// Two letters; `US` by default.
    pub country: Option<&'a str>,
    pub area_code: Option<&'a str>,
    pub label: Option<&'a str>,
}

impl Senders {
    /// Adds a channel to an agent. Returns the sender that represents it. A failed request gives back its purchases.
    pub async fn add_channel(
        &self,
        caller: &Caller,
        profile: &Profile,
        kind: ChannelKind,
        add: &AddChannel<'_>,
    ) -> Result<Sender, Failure> {
        let agent = &profile.agent;
        match kind {
            ChannelKind::Phone => self.add_phone(caller, profile, add).await,
            ChannelKind::Email => {
                let (local, domain) = match add.identifier.and_then(|address| address.rsplit_once('@')) {
                    Some((local, domain)) => (Some(local), Some(domain)),
                    None => (add.mail_local_part.or(add.identifier), add.mail_domain),
                };
                self.add_mail(caller, &agent.id, (local, domain), &agent.display_name, add.label)
                    .await
            }
            ChannelKind::Line => {
                let address = add
                    .identifier
                    .map(str::trim)
                    .filter(|id| !id.is_empty())
                    .ok_or_else(|| {
                        Failure::new(Code::MissingFields, "identifier is the id of the LINE channel (U...)")
                            .detail("fields", json!(["identifier"]))
                    })?;
                self.add_address(caller, &agent.id, (Channel::Line, "line"), address, add.label)
                    .await
            }
            ChannelKind::Whatsapp => {
                let owned = self.store.list_senders(&agent.org_id, Some(&agent.id)).await?;
                let wanted = add.identifier.map(super::order::parse_number).transpose()?;
                let has_phone = owned.iter().any(|sender| {
                    sender.channel == Channel::Sms && wanted.as_ref().is_none_or(|wanted| *wanted == sender.address)
                });
                let bought = match has_phone {
                    true => None,
                    false => Some(self.add_phone(caller, profile, add).await?),
                };
                let added = self
                    .add_whatsapp(caller, &agent.id, &agent.display_name, add.label)
                    .await;
                if let (Err(_), Some(bought)) = (&added, &bought) {
                    self.discard(caller, std::slice::from_ref(bought)).await;
                }
                added
            }
        }
    }

    async fn add_phone(&self, caller: &Caller, profile: &Profile, add: &AddChannel<'_>) -> Result<Sender, Failure> {
        let agent = &profile.agent;
        if let Some(number) = add.identifier {
            let number = super::order::parse_number(number)?;
            if let Some(sender) = self.move_from_pool(caller, &agent.id, &number).await? {
                return Ok(sender);
            }
            let actor = caller.principal.token.as_str();
            let taken = self.take_back((&agent.org_id, actor), Some(&agent.id), &number).await?;
            if let Some(sender) = taken.into_iter().find(|sender| sender.channel == Channel::Sms) {
                return self.get(caller, sender.id.as_str()).await;
            }
        }
        let order = NumberOrder {
            agent: Some(agent.id.clone()),
            ..number_order(add)
        };
        let ordered = self.order_number(caller, order).await?;
        let sender = ordered.senders.first().ok_or_else(Failure::internal)?;
        self.get(caller, sender.as_str()).await
    }

    /// Gives an agent a number of the organization's pool. The conversations that the number serves for other agents end there.
    async fn move_from_pool(&self, caller: &Caller, agent: &AgentId, number: &str) -> Result<Option<Sender>, Failure> {
        let org = caller.org()?;
        let found = self.store.list_senders_by_address(org, number).await?;
        let pooled = found
            .into_iter()
            .filter(|sender| sender.agent.is_none() && sender.released_at.is_none());
        let mut moved = None;
        for sender in pooled {
            let detail = json!({ "channel": sender.channel, "agent": agent });
            let change = self.change_of(caller, "sender.move", sender.id.as_str(), detail)?;
            if change.assign_pooled_sender(org, &sender.id, agent).await? {
                self.announce(number, [sender.channel]).await;
                if moved.is_none() || sender.channel == Channel::Sms {
                    moved = Some(self.get(caller, sender.id.as_str()).await?);
                }
            }
        }
        Ok(moved)
    }

    /// Buys a number for the organization's pool.
    pub async fn add_to_pool(&self, caller: &Caller, add: &AddChannel<'_>) -> Result<Sender, Failure> {
        let ordered = self.order_number(caller, number_order(add)).await?;
        let sender = ordered.senders.first().ok_or_else(Failure::internal)?;
        self.get(caller, sender.as_str()).await
    }

    /// Gives an agent what it needs to send on a channel: in the mode `shared` a sender of the pool, which is bought if the pool is
    /// empty, otherwise its own. A channel that the agent has already is left as it is. Returns the senders that were added.
    pub async fn provide(
        &self,
        caller: &Caller,
        profile: &Profile,
        kind: ChannelKind,
        add: &AddChannel<'_>,
        mode: IdentityMode,
    ) -> Result<Option<Sender>, Failure> {
        let agent = &profile.agent;
        let owned = self.store.list_senders(&agent.org_id, Some(&agent.id)).await?;
        if owned.iter().any(|sender| ChannelKind::of(sender.channel) == kind) {
            return Ok(None);
        }
        if mode == IdentityMode::Shared && kind == ChannelKind::Phone && add.identifier.is_none() {
            let pool = self.list_pool(&agent.org_id).await?;
            return match pool.iter().any(|sender| sender.channel == Channel::Sms) {
                true => Ok(None),
                false => self.add_to_pool(caller, add).await.map(Some),
            };
        }
        self.add_channel(caller, profile, kind, add).await.map(Some)
    }

    /// Gives back at once what a failed request has obtained: bought numbers return to their vendor without a hold, and their
    /// rent is refunded.
    pub async fn discard(&self, caller: &Caller, senders: &[Sender]) {
        for sender in senders {
            if let Err(failure) = self.try_discard(caller, sender).await {
                tracing::error!(%failure, sender = %sender.id, "sender of a failed request not given back: an administrator has to release it");
            }
        }
    }

    async fn try_discard(&self, caller: &Caller, sender: &Sender) -> Result<(), Failure> {
        let same = self.release(caller, sender.id.as_str()).await?;
        let ids: Vec<_> = same.iter().map(|sender| sender.id.clone()).collect();
        // The sweep returns senders after the end of their hold.
        if !self.store.end_hold(&sender.org, &ids, self.due_before()).await? {
            return Err(no_such_sender());
        }
        for sender in &same {
            if let Some(price) = self.store.find_monthly_price(&sender.id).await? {
                self.billing
                    .refund_rent(&sender.org, sender.agent.as_ref(), price)
                    .await?;
            }
        }
        Ok(())
    }
}

fn number_order(add: &AddChannel<'_>) -> NumberOrder {
    NumberOrder {
        agent: None,
        country: add.country.unwrap_or("US").to_owned(),
        kind: NumberKind::Local,
        area_code: add.area_code.map(str::to_owned),
        number: add.identifier.map(str::to_owned),
        label: add.label.map(str::to_owned),
    }
}
