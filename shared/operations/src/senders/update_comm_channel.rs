//! `PATCH /api/v1/comm-channels/{recordId}`: renames, pauses or resumes a sender, or makes it the primary one.

use butt_dial_accounts::SenderChange;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::RecordView;
use crate::{Context, Hints, Operation, Route};

pub struct UpdateCommChannel;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    record_id: String,
    #[serde(default)]
    label: Option<String>,
    /// A paused sender sends nothing.
    #[serde(default)]
    paused: Option<bool>,
    /// true: the sender is used first on its channel.
    #[serde(default)]
    primary: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    #[serde(flatten)]
    fields: RecordView,
    /// The same fields, for clients that read them here.
    record: RecordView,
}

impl Operation for UpdateCommChannel {
    const NAME: &'static str = "update_comm_channel";
    const TITLE: &'static str = "Change a sender";
    const DESCRIPTION: &'static str =
        "Renames, pauses or resumes a sender, or makes it the primary one of its channel. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "PATCH",
        path: "/api/v1/comm-channels/{recordId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound, Code::ChannelUnavailable]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let change = SenderChange {
            label: args.label.as_deref(),
            paused: args.paused,
            primary: args.primary,
        };
        let senders = &context.product.senders;
        let sender = senders.change(&context.caller, &args.record_id, change).await?;
        Ok(Output {
            fields: sender.clone().into(),
            record: sender.into(),
        })
    }
}
