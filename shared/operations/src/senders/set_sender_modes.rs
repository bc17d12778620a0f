//! `PUT /api/v1/sender-modes`: the identity of the organization's agents, and the accounts at the vendor that it uses.

use butt_dial_domain::{
    Code, Failure, Scope,
    senders::{IdentityMode, IsolationMode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct SetSenderModes;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// dedicated: own senders. shared: the pool. hybrid: own senders where there are any, otherwise the pool.
    #[serde(default)]
    identity_mode: Option<IdentityMode>,
    /// Numbers that are bought from now on belong to such an account.
    #[serde(default)]
    isolation_mode: Option<IsolationMode>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    success: bool,
}

impl Operation for SetSenderModes {
    const NAME: &'static str = "set_sender_modes";
    const TITLE: &'static str = "Set identity and isolation";
    const DESCRIPTION: &'static str = "Sets who the organization's agents send as, and whose provider account its numbers are bought in. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "PUT",
        path: "/api/v1/sender-modes",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let senders = &context.product.senders;
        senders
            .set_modes(&context.caller, args.identity_mode, args.isolation_mode)
            .await?;
        Ok(Output { success: true })
    }
}
