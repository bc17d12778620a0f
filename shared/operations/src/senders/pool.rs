//! `GET` and `POST /api/v1/pool`: the senders that all agents of the organization share.

use butt_dial_accounts::AddChannel;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::{RecordView, records};
use crate::{Context, Hints, Operation, Route, errors};

pub struct ListPool;
pub struct AddToPool;

#[derive(Deserialize, JsonSchema)]
pub struct NoArgs {}

#[derive(Serialize, JsonSchema)]
pub struct PoolView {
    records: Vec<RecordView>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddArgs {
    /// Two letters, such as US (the default).
    #[serde(default)]
    country: Option<String>,
    #[serde(default)]
    area_code: Option<String>,
    /// A number to buy, or one that your own provider account has; the default is any.
    #[serde(default)]
    identifier: Option<String>,
    #[serde(default)]
    label: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Added {
    record: RecordView,
}

impl Operation for ListPool {
    const NAME: &'static str = "list_pool";
    const TITLE: &'static str = "Shared senders";
    const DESCRIPTION: &'static str =
        "Lists the senders that all agents of the organization share. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/pool",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = NoArgs;
    type Output = PoolView;

    async fn run(context: Context, _: NoArgs) -> Result<PoolView, Failure> {
        context.caller.require(Scope::OrgAdmin)?;
        let pool = context.product.senders.list_pool(context.caller.org()?).await?;
        Ok(PoolView { records: records(pool) })
    }
}

impl Operation for AddToPool {
    const NAME: &'static str = "add_to_pool";
    const TITLE: &'static str = "Buy a shared number";
    const DESCRIPTION: &'static str =
        "Buys or adopts a number that all agents of the organization share. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/pool",
        status: 201,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::PROVISIONING];

    type Args = AddArgs;
    type Output = Added;

    async fn run(context: Context, args: AddArgs) -> Result<Added, Failure> {
        let add = AddChannel {
            identifier: args.identifier.as_deref(),
            country: args.country.as_deref(),
            area_code: args.area_code.as_deref(),
            label: args.label.as_deref(),
            ..AddChannel::default()
        };
        let sender = context.product.senders.add_to_pool(&context.caller, &add).await?;
        Ok(Added { record: sender.into() })
    }
}
