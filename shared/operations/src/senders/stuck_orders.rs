//! `GET /api/v1/sender-orders/stuck` and `POST /api/v1/sender-orders/{orderId}/retry`: orders that could not be undone.

use butt_dial_accounts::SenderOrder;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pool::NoArgs;
use crate::{Context, Hints, Operation, Route, views::time};

pub struct ListStuckOrders;
pub struct RetryStuckOrder;

/// An order, with what the vendor still has.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    id: String,
    org_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// Absent: the installation's account.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    /// The vendor's id of the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    number_id: Option<String>,
    /// Why the order failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    created_at: String,
}

impl From<SenderOrder> for OrderView {
    fn from(order: SenderOrder) -> Self {
        Self {
            id: order.id.as_str().to_owned(),
            org_id: order.org_id.as_str().to_owned(),
            agent_id: order.agent().map(|agent| agent.host_id().to_owned()),
            account_id: order.account_id,
            number: order.address,
            number_id: order.number_id,
            failure: order.failure,
            created_at: time(order.created_at),
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    orders: Vec<OrderView>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    order_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Done {
    success: bool,
}

impl Operation for ListStuckOrders {
    const NAME: &'static str = "list_stuck_orders";
    const TITLE: &'static str = "List stuck orders";
    const DESCRIPTION: &'static str = "Lists orders of numbers that failed and could not be undone, the oldest first. Requires the orchestrator's token.";
    const SCOPE: Scope = Scope::SuperAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/sender-orders/stuck",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = NoArgs;
    type Output = Output;

    async fn run(context: Context, _: NoArgs) -> Result<Output, Failure> {
        let orders = context.product.senders.list_stuck_orders(&context.caller).await?;
        Ok(Output {
            orders: orders.into_iter().map(OrderView::from).collect(),
        })
    }
}

impl Operation for RetryStuckOrder {
    const NAME: &'static str = "retry_stuck_order";
    const TITLE: &'static str = "Retry a stuck order";
    const DESCRIPTION: &'static str = "Undoes a failed order of a number once more, within seconds: the number is returned to its provider, and its price is \
        refunded. Requires the orchestrator's token.";
    const SCOPE: Scope = Scope::SuperAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/sender-orders/{orderId}/retry",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Named;
    type Output = Done;

    async fn run(context: Context, args: Named) -> Result<Done, Failure> {
        let senders = &context.product.senders;
        senders.retry_stuck_order(&context.caller, &args.order_id).await?;
        Ok(Done { success: true })
    }
}
