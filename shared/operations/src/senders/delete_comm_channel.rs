//! `DELETE /api/v1/comm-channels/{recordId}`: releases a sender.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct DeleteCommChannel;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    record_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    success: bool,
    id: String,
    /// The addresses that are out of use. They can be taken back during the hold.
    released: Vec<String>,
}

impl Operation for DeleteCommChannel {
    const NAME: &'static str = "delete_comm_channel";
    const TITLE: &'static str = "Release a sender";
    const DESCRIPTION: &'static str = "Takes a sender out of use at once. A bought number returns to its provider after the hold; until then adding it again \
        takes it back. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/v1/comm-channels/{recordId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let released = context
            .product
            .senders
            .release(&context.caller, &args.record_id)
            .await?;
        let mut addresses: Vec<String> = released.into_iter().map(|sender| sender.address).collect();
        addresses.dedup();
        Ok(Output {
            success: true,
            id: args.record_id,
            released: addresses,
        })
    }
}
