//! `DELETE /api/v1/contact-pauses/{pauseId}`: end the pause of a contact.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct EndContactPause;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    pause_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    success: bool,
}

impl Operation for EndContactPause {
    const NAME: &'static str = "end_contact_pause";
    const TITLE: &'static str = "End the pause of a contact";
    const DESCRIPTION: &'static str = "Ends the pause of a contact at once and dismisses its anomaly: the agent may write to the contact, and is not paused again \
        while this exchange lasts.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/v1/contact-pauses/{pauseId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let anomalies = &context.product.anomalies;
        anomalies.end_pause(&context.caller, &args.pause_id).await?;
        Ok(Output { success: true })
    }
}
