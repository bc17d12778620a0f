//! Edits of an agent that another person may have made meanwhile.

use axum::response::Response;
use butt_dial_domain::Failure;
use serde_json::json;

use super::{
    conflict::{self, Edited},
    limit_forms::edited,
};
use crate::{app::App, format::text, session::Posted};

/// Returns the page that shows both versions, if the values of a form are others now.
pub async fn changed_meanwhile(app: &App, posted: &Posted, id: &str) -> Result<Option<Response>, Failure> {
    let (member, tab) = (&posted.member, posted.get("tab"));
    let back = app.path(&format!("/agents/{id}?tab={tab}"));
    match posted.get("do") {
        "limits" => {
            let usage = app
                .call_as_agent(member, id, "comms_get_usage_dashboard", json!({}))
                .await?;
            let limits = &usage["limits"];
            Ok(conflict::required(app, posted, &back, limits, &edited(posted, limits)))
        }
        "callback" => {
            let agent = app.call(member, "get_agent", json!({ "agentId": id })).await?;
            let edited = [Edited {
                name: "url",
                label: "Callback",
                now: text(&agent, "callbackUrl").to_owned(),
            }];
            Ok(conflict::required(app, posted, &back, &agent["callbackUrl"], &edited))
        }
        _ => Ok(None),
    }
}
