//! The steps of an order, from the one where it is, and the way back. The state of an order is stored before each step that the
//! vendor sees. A process that dies leaves its order to the sweep of another one, which finds out at the vendor what was done. A
//! purchase is identified by the label of the number (`bd:` and the id of the order), so it is found again and never made twice. A
//! failed order is undone.

use std::time::Duration;

use butt_dial_billing::Rent;
use butt_dial_domain::{
    Channel, ChannelId, Code, Failure, Micros, ProviderAccountId, SenderOrderId,
    ports::numbers::{NumberError, NumberKey, NumberUrls, Numbers, OwnedNumber},
    senders::US,
};
use butt_dial_store::{NewSender, OrderState, OrderStep, Sender, SenderOrder, StoreError};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{NUMBER_VENDOR, Senders, failure_of, no_number_vendor};
use crate::audit::SYSTEM;

/// How long a process works on an order before another one takes it over. Longer than all requests to the vendor together.
pub(super) const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How long a purchase with an unknown outcome may still reach the vendor.
const LATE_PURCHASE: TimeDelta = TimeDelta::seconds(45);
/// Looks for a purchase with an unknown outcome, before the request returns.
const LOOKUPS: u32 = 3;
const LOOKUP_INTERVAL: Duration = Duration::from_millis(300);
/// Claims after which an order that can't be undone is left to an operator.
const MAX_ATTEMPTS: i64 = 50;
const BATCH: u32 = 20;

/// The senders of an order.
#[derive(Clone, Debug)]
pub struct OrderedSender {
    pub order: SenderOrderId,
    pub number: String,
    /// The sender of texts, then the one of calls.
    pub senders: Vec<ChannelId>,
}

/// The data with which any process can finish an order.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Request {
    pub country: String,
    pub label: Option<String>,
    /// Micro-units that were charged.
    pub price: i64,
    /// The number was bought before, by the organization. It is not returned to the vendor.
    pub adopted: bool,
    /// The URLs that an adopted number had.
    #[serde(default)]
    pub former_sms: Option<String>,
    #[serde(default)]
    pub former_voice: Option<String>,
    #[serde(default)]
    pub former_status: Option<String>,
}

/// Why an order does not proceed.
pub(super) enum Stop {
    /// For good: it is undone.
    Failed(Failure),
    /// For now: the sweep continues.
    Later(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Later(failure)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Later(error.into())
    }
}

impl Senders {
    /// Takes the steps of an order from where it is.
    pub(super) async fn drive(&self, order: &mut SenderOrder, urls: &NumberUrls) -> Result<OrderedSender, Stop> {
        let request = read_request(order)?;
        let account = order.account();
        let numbers = self.accounts.numbers(NUMBER_VENDOR, account.as_ref()).await?;
        let numbers = numbers.ok_or_else(|| Stop::Later(no_number_vendor()))?;
        let address = order.address.clone().ok_or_else(|| Stop::Failed(Failure::internal()))?;
        if order.step <= OrderStep::Buy {
            let bought = self.buy(order, numbers.as_ref(), &address, urls).await?;
            order.number_id = Some(bought.id);
            order.step = OrderStep::Configure;
            self.keep(order).await?;
        }
        let id = order
            .number_id
            .clone()
            .ok_or_else(|| Stop::Failed(Failure::internal()))?;
        if order.step == OrderStep::Configure {
            numbers.configure(&id, urls).await.map_err(|error| match error {
                NumberError::Unreachable | NumberError::Unknown if order.attempts > 0 => {
                    Stop::Later(failure_of(&error, "configure the number"))
                }
                error => Stop::Failed(wire_failed(&error)),
            })?;
            order.step = OrderStep::Activate;
            self.keep(order).await?;
        }
        self.activate(order, &request, &address, &id).await
    }

    /// Buys the number, or finds that it was bought.
    async fn buy(
        &self,
        order: &SenderOrder,
        numbers: &dyn Numbers,
        address: &str,
        urls: &NumberUrls,
    ) -> Result<OwnedNumber, Stop> {
        let label = purchase_label(order);
        if order.attempts > 0 {
            // Another process may have bought it.
            match numbers.find(NumberKey::Label(&label)).await {
                Ok(Some(owned)) => return Ok(owned),
                Ok(None) if self.clock.now() - order.created_at < LATE_PURCHASE => {
                    return Err(Stop::Later(failure_of(&NumberError::Unknown, "buy the number")));
                }
                Ok(None) => {}
                Err(error) => return Err(Stop::Later(failure_of(&error, "find the number"))),
            }
        }
        match numbers.buy(address, &label, urls).await {
            Ok(owned) => Ok(owned),
            Err(NumberError::Unknown) => {
                for _ in 0..LOOKUPS {
                    if let Ok(Some(owned)) = numbers.find(NumberKey::Label(&label)).await {
                        return Ok(owned);
                    }
                    tokio::time::sleep(LOOKUP_INTERVAL).await;
                }
                Err(Stop::Later(failure_of(&NumberError::Unknown, "buy the number")))
            }
            // No number was sold.
            Err(error) => Err(Stop::Failed(failure_of(&error, "sell the number"))),
        }
    }

    /// Stores the senders. Safe to repeat.
    async fn activate(
        &self,
        order: &mut SenderOrder,
        request: &Request,
        address: &str,
        number_id: &str,
    ) -> Result<OrderedSender, Stop> {
        let (org, agent, account) = (order.org_id.clone(), order.agent(), order.account());
        let sender = |channel, price: Option<i64>| NewSender {
            org: &org,
            agent: agent.as_ref(),
            channel,
            address,
            label: request.label.as_deref(),
            account: account.as_ref(),
            number_id: (!request.adopted).then_some(number_id),
            country: Some(&request.country),
            monthly_price: price,
            registration: None,
        };
        let price = Some(request.price).filter(|price| *price > 0);
        let new = [sender(Channel::Sms, price), sender(Channel::Voice, None)];
        let detail = json!({ "order": order.id, "agent": agent });
        let change = self.audit.change(&org, SYSTEM, "sender.add", "", detail);
        let senders = match change.create_senders(&new, self.clock.now()).await {
            Ok(ids) => ids,
            Err(StoreError::Conflict) => {
                let known = self.store.list_senders_by_address(&org, address).await?;
                let is_ours =
                    |known: &&Sender| known.account == account && known.agent == agent && known.released_at.is_none();
                let ids: Vec<ChannelId> = known.iter().filter(is_ours).map(|known| known.id.clone()).collect();
                if ids.is_empty() || order.attempts == 0 {
                    return Err(Stop::Failed(
                        Failure::new(Code::AlreadyExists, "this number has an owner here already").on(Channel::Sms),
                    ));
                }
                ids
            }
            Err(error) => return Err(error.into()),
        };
        if request.country == US {
            // A long code joins the campaign of its organization.
            self.store.hasten_approved_registrations(&org, self.clock.now()).await?;
        }
        order.state = OrderState::Done;
        self.keep(order).await?;
        self.announce(address, [Channel::Sms, Channel::Voice]).await;
        Ok(OrderedSender {
            order: order.id.clone(),
            number: address.to_owned(),
            senders,
        })
    }

    /// Undoes an order that failed. The sweep repeats it until the vendor has undone everything.
    pub(super) async fn undo(&self, order: &mut SenderOrder, failure: &Failure) {
        order.state = OrderState::Undoing;
        order.failure = Some(failure.code.as_str().to_owned());
        if let Err(Stop::Later(failure) | Stop::Failed(failure)) = self.try_undo(order).await {
            tracing::warn!(%failure, order = %order.id, "order not undone yet; the sweep repeats it");
        }
    }

    async fn try_undo(&self, order: &mut SenderOrder) -> Result<(), Stop> {
        self.keep(order).await?;
        let request = read_request(order)?;
        let account = order.account();
        let numbers = self.accounts.numbers(NUMBER_VENDOR, account.as_ref()).await?;
        let numbers = numbers.ok_or_else(|| Stop::Later(no_number_vendor()))?;
        if request.adopted {
            let former = NumberUrls {
                sms: request.former_sms.clone(),
                voice: request.former_voice.clone(),
                status: request.former_status.clone(),
            };
            if let Some(id) = &order.number_id {
                match numbers.configure(id, &former).await {
                    Ok(_) | Err(NumberError::NotFound) => {}
                    Err(error) => return self.cannot_undo(order, &error).await,
                }
            }
        } else {
            let id = match &order.number_id {
                Some(id) => Some(id.clone()),
                None => {
                    let found = numbers.find(NumberKey::Label(&purchase_label(order))).await;
                    let found = found.map_err(|error| Stop::Later(failure_of(&error, "find the number")))?;
                    found.map(|owned| owned.id)
                }
            };
            if let Some(id) = id {
                match numbers.release(&id).await {
                    Ok(()) | Err(NumberError::NotFound) => {}
                    Err(error) => return self.cannot_undo(order, &error).await,
                }
            }
        }
        order.state = OrderState::Failed;
        let agent = order.agent();
        let refund = self
            .billing
            .refund_of_rent(&order.org_id, agent.as_ref(), Micros(request.price));
        self.keep_and_refund(order, refund.as_ref()).await
    }

    /// Leaves an order to the sweep, or to an operator if the vendor refuses for good.
    async fn cannot_undo(&self, order: &mut SenderOrder, error: &NumberError) -> Result<(), Stop> {
        if order.attempts >= MAX_ATTEMPTS || matches!(error, NumberError::Refused(_)) {
            order.state = OrderState::Stuck;
            self.keep(order).await?;
            tracing::error!(order = %order.id, org = %order.org_id, %error, "order not undone: an operator has to release the number at the provider");
            return Ok(());
        }
        Err(Stop::Later(failure_of(error, "release the number")))
    }

    /// Finishes or undoes the orders that their processes have left. Returns how many were claimed.
    pub async fn resume_orders(&self) -> Result<usize, Failure> {
        let now = self.clock.now();
        let claimed = self.store.claim_sender_orders(BATCH, now, now + LEASE).await?;
        let count = claimed.len();
        for mut order in claimed {
            let urls = self.number_urls(NUMBER_VENDOR)?;
            let outcome = match order.state {
                OrderState::Undoing => self.try_undo(&mut order).await,
                _ => match self.drive(&mut order, &urls).await {
                    Ok(_) => Ok(()),
                    Err(Stop::Failed(failure)) => {
                        self.undo(&mut order, &failure).await;
                        Ok(())
                    }
                    Err(later) => Err(later),
                },
            };
            match outcome {
                Ok(()) => tracing::info!(order = %order.id, state = %order.state, "order of a sender concluded"),
                Err(Stop::Later(failure) | Stop::Failed(failure)) => {
                    tracing::warn!(%failure, order = %order.id, "order of a sender not concluded; it stays due");
                }
            }
        }
        Ok(count)
    }

    /// Stores the progress. Fails if another process has taken the order over.
    async fn keep(&self, order: &SenderOrder) -> Result<(), Stop> {
        self.keep_and_refund(order, None).await
    }

    async fn keep_and_refund(&self, order: &SenderOrder, refund: Option<&Rent>) -> Result<(), Stop> {
        let now = self.clock.now();
        let refund = refund.map(Rent::charge);
        match self.store.update_sender_order(order, now + LEASE, now, refund).await? {
            true => Ok(()),
            false => Err(Stop::Later(Failure::unavailable(
                "another process continues this order",
            ))),
        }
    }

    pub(super) async fn is_subaccount(&self, account: &ProviderAccountId) -> Result<bool, Failure> {
        let found = self.store.find_provider_account(account).await?;
        Ok(found.is_some_and(|account| account.is_subaccount))
    }
}

/// The label of a purchase at the vendor, by which it is found again.
fn purchase_label(order: &SenderOrder) -> String {
    format!("bd:{}", order.id)
}

fn read_request(order: &SenderOrder) -> Result<Request, Stop> {
    serde_json::from_str(&order.request).map_err(|error| {
        tracing::error!(%error, order = %order.id, "stored order unreadable");
        Stop::Later(Failure::internal())
    })
}

fn wire_failed(error: &NumberError) -> Failure {
    match error {
        NumberError::Unauthorized => failure_of(error, "configure the number"),
        _ => Failure::new(
            Code::ProviderWebhookWireFailed,
            "the provider did not accept the webhook configuration; nothing was kept",
        )
        .hint("try again; if it repeats, check WEBHOOK_BASE_URL and the number at the provider"),
    }
}
