//! `comms_get_group_members`: the members of a WhatsApp group.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct GetGroupMembers;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The groupId of an event.
    group_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The number, or the user id of a person who hides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    group_id: String,
    members: Vec<Member>,
    count: usize,
    provider: &'static str,
}

impl Operation for GetGroupMembers {
    const NAME: &'static str = "comms_get_group_members";
    const TITLE: &'static str = "List members of a group";
    const DESCRIPTION: &'static str =
        "Lists the members of a WhatsApp group that has written to you, if the carrier can. [scope: agent]";
    const BRIEF: &'static str = "Lists the members of a WhatsApp group.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: true,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound, Code::NotSupported, Code::ProviderUnsupported]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let outbound = &context.product.outbound;
        let (provider, members) = outbound.list_group_members(&context.caller, &args.group_id).await?;
        let members: Vec<Member> = members
            .into_iter()
            .map(|member| Member {
                contact: member.address.map(|address| address.as_str().to_owned()),
                user_id: member.user_id,
                username: member.username,
            })
            .collect();
        Ok(Output {
            group_id: args.group_id,
            count: members.len(),
            members,
            provider,
        })
    }
}
