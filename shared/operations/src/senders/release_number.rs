//! `POST /api/v1/release-number`: releases the senders with a number.

use butt_dial_domain::{Channel, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::{RecordView, records};
use crate::{Context, Hints, Operation, Route};

pub struct ReleaseNumber;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// In E.164 form.
    phone_number: String,
    /// whatsapp: only the WhatsApp sender of the number.
    #[serde(default)]
    source: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    phone_number: String,
    released: Vec<RecordView>,
}

impl Operation for ReleaseNumber {
    const NAME: &'static str = "release_number";
    const TITLE: &'static str = "Release a number";
    const DESCRIPTION: &'static str = "Takes a number of the organization out of use at once; a bought one returns to its provider after the hold. Requires a \
        team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/release-number",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let only = match args.source.as_deref() {
            Some("whatsapp") => Some(Channel::Whatsapp),
            None | Some("phone") => None,
            Some(_) => {
                return Err(Failure::new(
                    Code::InvalidArgument,
                    "source is whatsapp, or absent for the whole number",
                ));
            }
        };
        let senders = &context.product.senders;
        let released = senders
            .release_address(&context.caller, &args.phone_number, only)
            .await?;
        Ok(Output {
            success: true,
            phone_number: args.phone_number,
            released: records(released),
        })
    }
}
