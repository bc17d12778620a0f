//! Orders of phone numbers; `order_steps` has their steps.

use butt_dial_domain::{
    Address, AgentId, Channel, Code, Failure, Micros, ProviderAccountId, Scope, SenderOrderId,
    ports::numbers::{NumberError, NumberKey, NumberKind, NumberQuery, Numbers, OwnedNumber},
    senders::country_of,
};
use butt_dial_identity::Caller;
use butt_dial_store::{OrderState, OrderStep, SenderOrder, StoreError};
use serde_json::json;

use super::{
    NUMBER_VENDOR, Senders, failure_of, no_number_vendor, no_such_country,
    order_steps::{LEASE, OrderedSender, Request, Stop},
};

/// Numbers that are tried when others buy them meanwhile.
const CANDIDATES: u32 = 5;

/// A request for a number.
pub struct NumberOrder {
    /// The agent that gets the number. `None`: the pool of the organization.
    pub agent: Option<AgentId>,
    pub country: String,
    pub kind: NumberKind,
    pub area_code: Option<String>,
    /// A number to buy, or to adopt if the organization's own account has it. `None`: any.
    pub number: Option<String>,
    pub label: Option<String>,
}

impl Senders {
    /// Buys a number, or adopts one that the organization's own account has, and gives it to an agent or to the pool. When the
    /// vendor does not say whether it sold the number, this fails with `ServiceUnavailable` and the id of the order, which
    /// another process finishes or undoes.
    pub async fn order_number(&self, caller: &Caller, wanted: NumberOrder) -> Result<OrderedSender, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let org = caller.org()?;
        let urls = self.number_urls(NUMBER_VENDOR)?;
        let account = self.choose_account(org, wanted.agent.as_ref()).await?;
        let numbers = self.accounts.numbers(NUMBER_VENDOR, account.as_ref()).await?;
        let numbers = numbers.ok_or_else(no_number_vendor)?;
        let owned = match (&wanted.number, &account) {
            (Some(number), Some(_)) => {
                let number = parse_number(number)?;
                let found = numbers.find(NumberKey::Number(&number)).await;
                found.map_err(|error| failure_of(&error, "find the number"))?
            }
            _ => None,
        };
        let mut order = match owned {
            Some(owned) => self.adopt(caller, &wanted, account.as_ref(), &owned).await?,
            None => {
                self.prepare(caller, &wanted, account.as_ref(), numbers.as_ref())
                    .await?
            }
        };
        let done = self.drive(&mut order, &urls).await;
        match done {
            Ok(senders) => {
                let detail = json!({ "order": order.id, "agent": order.agent_id });
                self.record(caller, "number.order", senders.number.as_str(), detail)
                    .await?;
                Ok(senders)
            }
            Err(Stop::Failed(failure)) => {
                self.undo(&mut order, &failure).await;
                Err(failure)
            }
            Err(Stop::Later(failure)) => Err(failure
                .hint("the order is finished or undone by itself; do not repeat it")
                .detail("orderId", order.id.as_str())),
        }
    }

    /// Stores the order of a number that the organization's own account has.
    async fn adopt(
        &self,
        caller: &Caller,
        wanted: &NumberOrder,
        account: Option<&ProviderAccountId>,
        owned: &OwnedNumber,
    ) -> Result<SenderOrder, Failure> {
        let request = Request {
            country: country_of(&owned.number).unwrap_or_else(|| wanted.country.clone()),
            label: wanted.label.clone(),
            price: 0,
            adopted: true,
            former_sms: owned.urls.sms.clone(),
            former_voice: owned.urls.voice.clone(),
            former_status: owned.urls.status.clone(),
        };
        let mut order = self.new_order(caller, wanted, account, &request)?;
        order.step = OrderStep::Configure;
        order.address = Some(owned.number.clone());
        order.number_id = Some(owned.id.clone());
        self.store_order(&order).await?;
        Ok(order)
    }

    /// Finds a number to buy, charges its first month, and stores the order.
    async fn prepare(
        &self,
        caller: &Caller,
        wanted: &NumberOrder,
        account: Option<&ProviderAccountId>,
        numbers: &dyn Numbers,
    ) -> Result<SenderOrder, Failure> {
        let country = match &wanted.number {
            Some(number) => country_of(&parse_number(number)?).unwrap_or_else(|| wanted.country.clone()),
            None => wanted.country.clone(),
        };
        let country = self.check_country(&country)?;
        let address = match &wanted.number {
            Some(number) => parse_number(number)?,
            None => {
                let query = NumberQuery {
                    country: country.clone(),
                    kind: wanted.kind,
                    area_code: wanted.area_code.clone(),
                    contains: None,
                    limit: CANDIDATES,
                };
                let found = numbers.search(&query).await.map_err(|error| match error {
                    NumberError::NotFound => no_such_country(&country),
                    error => failure_of(&error, "search numbers"),
                })?;
                let free = found.iter().find(|number| number.address_requirement.is_none());
                match (free, found.first()) {
                    (Some(number), _) => number.number.clone(),
                    (None, Some(_)) => {
                        return Err(Failure::new(
                            Code::NumberUnavailable,
                            format!("numbers of {country} need an address in that country"),
                        )
                        .hint("register the address at the provider and adopt the number, or choose another country"));
                    }
                    (None, None) => {
                        return Err(Failure::new(
                            Code::NumberUnavailable,
                            "the provider has no such number for sale right now",
                        )
                        .hint("choose another area code, type of number or country"));
                    }
                }
            }
        };
        let org = caller.org()?;
        let price = match account {
            // The organization pays its own vendor itself.
            Some(account) if !self.is_subaccount(account).await? => Micros::ZERO,
            _ => self.billing.prices().number_month(&country, wanted.kind),
        };
        let profile = match &wanted.agent {
            Some(agent) => self.store.find_profile(agent).await?,
            None => None,
        };
        let request = Request {
            country,
            label: wanted.label.clone(),
            price: price.0,
            adopted: false,
            former_sms: None,
            former_voice: None,
            former_status: None,
        };
        let mut order = self.new_order(caller, wanted, account, &request)?;
        order.address = Some(address);
        if price == Micros::ZERO {
            self.store_order(&order).await?;
            return Ok(order);
        }
        let rent = self.billing.prepare_rent(org, profile, price).await?;
        let lease_until = self.clock.now() + LEASE;
        let stored = self.store.create_sender_order(&order, lease_until, Some(rent.charge()));
        match stored.await {
            Ok(()) => Ok(order),
            Err(StoreError::OverBudget) => Err(self.billing.explain_unaffordable_rent(&rent).await),
            Err(error) => Err(error.into()),
        }
    }

    fn new_order(
        &self,
        caller: &Caller,
        wanted: &NumberOrder,
        account: Option<&ProviderAccountId>,
        request: &Request,
    ) -> Result<SenderOrder, Failure> {
        Ok(SenderOrder {
            id: SenderOrderId::generate(),
            org_id: caller.org()?.clone(),
            agent_id: wanted.agent.as_ref().map(|agent| agent.as_str().to_owned()),
            account_id: account.map(|account| account.as_str().to_owned()),
            request: serde_json::to_string(request).map_err(|_| Failure::internal())?,
            step: OrderStep::Buy,
            state: OrderState::Running,
            address: None,
            number_id: None,
            failure: None,
            attempts: 0,
            created_at: self.clock.now(),
        })
    }

    async fn store_order(&self, order: &SenderOrder) -> Result<(), Failure> {
        Ok(self
            .store
            .create_sender_order(order, self.clock.now() + LEASE, None)
            .await?)
    }
}

pub(crate) fn parse_number(text: &str) -> Result<String, Failure> {
    let parsed = Address::parse(Channel::Sms, text).map_err(|error| {
        Failure::new(Code::InvalidArgument, format!("the number is not valid: {error}"))
            .hint("use E.164 form, such as +14155550100")
    })?;
    Ok(parsed.as_str().to_owned())
}
