//! Wire formats of bills. Amounts are US dollars.

use std::collections::BTreeMap;

use butt_dial_billing::{Bill, Charge, Task};
use butt_dial_domain::{Channel, Failure, Scope};
use butt_dial_identity::Caller;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{Context, Product};

/// An amount of usage.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargeView {
    actions: i64,
    provider_cost: f64,
    billed_cost: f64,
    income: f64,
}

impl From<&Charge> for ChargeView {
    fn from(charge: &Charge) -> Self {
        Self {
            actions: charge.actions,
            provider_cost: charge.cost.as_units(),
            billed_cost: charge.billed.as_units(),
            income: charge.income().as_units(),
        }
    }
}

/// A task with its spend and its budget.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    task_id: String,
    /// The known cost of messages and calls.
    spent: f64,
    /// Held until the cost of further messages and calls is known.
    reserved: f64,
    /// Absent: the task has no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_spend: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<f64>,
    currency: &'static str,
}

impl From<Task> for TaskView {
    fn from(task: Task) -> Self {
        Self {
            spent: task.spent.as_units(),
            reserved: task.reserved.as_units(),
            max_spend: task.limit.map(|limit| limit.as_units()),
            remaining: task.remaining().map(|left| left.as_units()),
            task_id: task.id,
            currency: "USD",
        }
    }
}

/// Lists usage by channel, with every channel.
pub fn by_channel(bill: &Bill) -> BTreeMap<String, ChargeView> {
    let of = |channel: &str| bill.by_channel.get(channel).copied().unwrap_or_default();
    let known = Channel::ALL.into_iter().map(|channel| channel.as_str().to_owned());
    known
        .chain(bill.by_channel.keys().cloned())
        .map(|channel| {
            let view = ChargeView::from(&of(&channel));
            (channel, view)
        })
        .collect()
}

/// Bills the agent that is named, or the calling agent, or the organization of an administrator.
/// With `for_administrators`, an administrator that names no agent gets the bill of the organization.
pub async fn bill(
    context: &Context,
    named: Option<&str>,
    period: Option<&str>,
    for_administrators: bool,
) -> Result<Bill, Failure> {
    let (product, caller): (&Product, &Caller) = (&context.product, &context.caller);
    let span = butt_dial_billing::Span::parse(period.unwrap_or("month"))?;
    let agent = match (named, &caller.profile) {
        (Some(named), _) => Some(product.agents.get(caller, named).await?.agent.id),
        (None, Some(own)) if !(for_administrators && caller.principal.scope.allows(Scope::OrgAdmin)) => {
            Some(own.agent.id.clone())
        }
        (None, _) => None,
    };
    product.billing.bill(caller.org()?, agent.as_ref(), span).await
}
