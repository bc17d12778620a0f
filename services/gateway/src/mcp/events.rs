//! The Events extension (SEP-3415, `io.modelcontextprotocol/events`), for the stateless revision: the agent's log by kind,
//! polled or pushed. Reading here acknowledges nothing; webhooks are the callback's business, and are not offered.

use std::time::Duration;

use butt_dial_comms::{
    Comms,
    delivery::{
        log::{self, Page, Wanted},
        view::KINDS,
    },
    identity::Caller,
};
use butt_dial_domain::{AgentId, Channel, Failure, clock::Timestamp};
use chrono::{DateTime, TimeDelta};
use futures::StreamExt;
use rmcp::{
    ErrorData, RoleServer,
    model::{CustomNotification, CustomRequest, CustomResult, ErrorCode, ServerNotification},
    service::RequestContext,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

pub const EXTENSION: &str = "io.modelcontextprotocol/events";
const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

const NOT_FOUND: ErrorCode = ErrorCode(-32011);
const FORBIDDEN: ErrorCode = ErrorCode(-32012);
const UNSUPPORTED: ErrorCode = ErrorCode(-32014);

/// Clients give a stream up that is silent for 30 s.
const HEARTBEAT: Duration = Duration::from_secs(25);
const NEXT_POLL_MS: u64 = 5_000;
const MAX_EVENTS: u32 = 100;
const WRONG_PARAMS: &str =
    "name is required; arguments may hold channel; cursor is text or null; maxAgeMs and maxEvents are numbers";
/// In front of the log's own kinds.
const PREFIX: &str = "comms.";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    name: String,
    #[serde(default)]
    arguments: Option<Arguments>,
    /// `None`: from now on.
    #[serde(default)]
    cursor: Option<String>,
    #[serde(default)]
    max_age_ms: Option<u64>,
    #[serde(default)]
    max_events: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    #[serde(default)]
    channel: Option<Channel>,
}

/// One subscription of one agent.
struct Subscription<'a> {
    comms: &'a Comms,
    caller: &'a Caller,
    kind: &'static str,
    channel: Option<Channel>,
    oldest: Option<Timestamp>,
    limit: u32,
}

/// Answers a request of the extension; `None` when it is none.
pub async fn answer(
    comms: &Comms,
    caller: &Caller,
    request: &CustomRequest,
    context: &RequestContext<RoleServer>,
    draining: &CancellationToken,
    revoked: impl Future<Output = ()>,
) -> Option<Result<CustomResult, ErrorData>> {
    let params = request.params.clone().unwrap_or_default();
    Some(match request.method.as_str() {
        "events/list" => Ok(catalogue()),
        "events/poll" => poll(comms, caller, params).await,
        "events/stream" => stream(comms, caller, params, context, draining, revoked).await,
        "events/subscribe" | "events/unsubscribe" => Err(ErrorData::new(
            UNSUPPORTED,
            "webhooks are not offered here; use poll or push, or PUT /api/v1/callback-url",
            Some(json!({ "delivery": "webhook" })),
        )),
        _ => return None,
    })
}

fn catalogue() -> CustomResult {
    let channels: Vec<&str> = Channel::MESSAGES.into_iter().map(Channel::as_str).collect();
    let events: Vec<Value> = KINDS
        .into_iter()
        .map(|(kind, description)| {
            json!({
                "name": format!("{PREFIX}{kind}"),
                "description": description,
                "delivery": ["poll", "push"],
                "inputSchema": {
                    "type": "object",
                    "properties": { "channel": { "type": "string", "enum": channels } },
                    "additionalProperties": false,
                },
                "payloadSchema": {
                    "type": "object",
                    "properties": {
                        "id": { "type": "string" }, "seq": { "type": "integer" }, "event": { "type": "string" },
                        "channel": { "type": "string" }, "messageId": { "type": "string" },
                        "timestamp": { "type": "string", "format": "date-time" },
                    },
                    "required": ["id", "seq", "event"],
                },
            })
        })
        .collect();
    complete(json!({ "events": events, "ttlMs": 3_600_000, "cacheScope": "public" }))
}

fn complete(mut result: Value) -> CustomResult {
    result["resultType"] = json!("complete");
    CustomResult::new(result)
}

impl<'a> Subscription<'a> {
    /// With where it begins.
    async fn open(comms: &'a Comms, caller: &'a Caller, params: Value) -> Result<(Self, i64), ErrorData> {
        let params: Params =
            // Not serde's own words: they hold what was sent, and errors are logged.
            serde_json::from_value(params).map_err(|_| ErrorData::invalid_params(WRONG_PARAMS, None))?;
        let kind = params.name.strip_prefix(PREFIX).unwrap_or_default();
        let known = KINDS.into_iter().find(|(known, _)| *known == kind);
        let (kind, _) = known
            .ok_or_else(|| ErrorData::new(NOT_FOUND, "there is no such event", Some(json!({ "kind": "event" }))))?;
        let age = params
            .max_age_ms
            .map(|age| TimeDelta::milliseconds(i64::try_from(age).unwrap_or(i64::MAX / 2)));
        let subscription = Self {
            comms,
            caller,
            kind,
            channel: params.arguments.unwrap_or_default().channel,
            oldest: age.and_then(|age| comms.clock.now().checked_sub_signed(age)),
            limit: params.max_events.unwrap_or(MAX_EVENTS).clamp(1, MAX_EVENTS),
        };
        let position = match params.cursor {
            None => log::end(comms, subscription.agent()?)
                .await
                .map_err(|error| failed(&error))?,
            Some(cursor) => {
                let position = cursor.parse().ok().filter(|position| *position >= 0);
                let position =
                    position.ok_or_else(|| ErrorData::invalid_params("the cursor is not one of ours", None))?;
                let checked = log::check_cursor(comms, subscription.agent()?, position).await;
                checked.map_err(|error| ErrorData::invalid_params(error.message, None))?;
                position
            }
        };
        Ok((subscription, position))
    }

    fn agent(&self) -> Result<&'a AgentId, ErrorData> {
        self.caller
            .agent()
            .map(|profile| &profile.agent.id)
            .map_err(|error| ErrorData::new(FORBIDDEN, error.message, None))
    }

    /// The page, and whether something in it was left out because of its age.
    async fn read(&self, after: i64) -> Result<(Page, bool), Failure> {
        let agent = &self.caller.agent()?.agent;
        let wanted = Wanted {
            after: Some(after),
            kinds: vec![self.kind.to_owned()],
            limit: self.limit,
        };
        let mut page = log::list(self.comms, &agent.org_id, &agent.id, &wanted).await?;
        let found = page.events.len();
        page.events.retain(|event| !self.is_too_old(event));
        let is_truncated = page.events.len() < found;
        page.events.retain(|event| self.is_on_channel(event));
        Ok((page, is_truncated))
    }

    fn is_too_old(&self, event: &Map<String, Value>) -> bool {
        let at = event.get("timestamp").and_then(Value::as_str);
        let at = at.and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        matches!((self.oldest, at), (Some(oldest), Some(at)) if at < oldest)
    }

    fn is_on_channel(&self, event: &Map<String, Value>) -> bool {
        let channel = event.get("channel").and_then(Value::as_str);
        self.channel.is_none_or(|wanted| channel == Some(wanted.as_str()))
    }

    fn occurrence(&self, event: Map<String, Value>) -> Map<String, Value> {
        let mut occurrence = Map::new();
        occurrence.insert("eventId".into(), event.get("id").cloned().unwrap_or_default());
        occurrence.insert("name".into(), json!(format!("{PREFIX}{}", self.kind)));
        occurrence.insert("timestamp".into(), event.get("timestamp").cloned().unwrap_or_default());
        occurrence.insert("data".into(), Value::Object(event));
        occurrence
    }
}

async fn poll(comms: &Comms, caller: &Caller, params: Value) -> Result<CustomResult, ErrorData> {
    let (subscription, position) = Subscription::open(comms, caller, params).await?;
    let (page, is_truncated) = subscription.read(position).await.map_err(|error| failed(&error))?;
    let events = page.events.into_iter().map(|event| subscription.occurrence(event));
    Ok(complete(json!({
        "events": events.collect::<Vec<_>>(),
        "cursor": page.cursor.to_string(),
        "truncated": is_truncated,
        "hasMore": page.has_more,
        "nextPollMs": NEXT_POLL_MS,
    })))
}

async fn stream(
    comms: &Comms,
    caller: &Caller,
    params: Value,
    context: &RequestContext<RoleServer>,
    draining: &CancellationToken,
    revoked: impl Future<Output = ()>,
) -> Result<CustomResult, ErrorData> {
    let (subscription, mut position) = Subscription::open(comms, caller, params).await?;
    // Before the first look, so that nothing can come between the two.
    let news = log::subscribe(comms, subscription.agent()?).await;
    let mut news = news.map_err(|error| failed(&error))?;
    let outlet = Outlet { context };
    let active = json!({ "cursor": position.to_string(), "truncated": false });
    outlet.send("active", active).await?;
    let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    tokio::pin!(revoked);
    loop {
        if let Err(error) = push(&subscription, &outlet, &mut position).await? {
            let error = json!({ "code": ErrorCode::INTERNAL_ERROR.0, "message": error.message });
            outlet.send("error", json!({ "error": error })).await?;
        }
        tokio::select! {
            () = context.ct.cancelled() => break,
            // The client comes back with its cursor, to another replica.
            () = draining.cancelled() => break,
            () = &mut revoked => {
                let error = json!({ "code": FORBIDDEN.0, "message": "the token has been revoked" });
                outlet.send("terminated", json!({ "error": error })).await?;
                break;
            }
            heard = news.next() => if heard.is_none() {
                return Err(failed(&Failure::unavailable("events can't be waited for right now")));
            },
            // The look that follows it finds what the bus may have lost.
            _ = beat.tick() => outlet.send("heartbeat", json!({ "cursor": position.to_string() })).await?,
        }
    }
    Ok(complete(json!({ "_meta": {} })))
}

/// Sends all there is after `position`. The outer error: the client is gone; the inner one: try again later.
async fn push(
    subscription: &Subscription<'_>,
    outlet: &Outlet<'_>,
    position: &mut i64,
) -> Result<Result<(), Failure>, ErrorData> {
    loop {
        let page = match subscription.read(*position).await {
            Ok((page, _)) => page,
            Err(error) => return Ok(Err(error)),
        };
        for event in page.events {
            let cursor = event.get("seq").and_then(Value::as_i64).unwrap_or(page.cursor);
            let mut occurrence = subscription.occurrence(event);
            occurrence.insert("cursor".into(), json!(cursor.to_string()));
            outlet.send("event", Value::Object(occurrence)).await?;
        }
        *position = page.cursor;
        if !page.has_more {
            return Ok(Ok(()));
        }
    }
}

/// Where the notifications of one stream go.
struct Outlet<'a> {
    context: &'a RequestContext<RoleServer>,
}

impl Outlet<'_> {
    async fn send(&self, what: &str, mut params: Value) -> Result<(), ErrorData> {
        params["_meta"] = json!({ SUBSCRIPTION_ID: self.context.id });
        let notification = CustomNotification::new(format!("notifications/events/{what}"), Some(params));
        self.context
            .peer
            .send_notification(ServerNotification::CustomNotification(notification))
            .await
            .map_err(|_| ErrorData::internal_error("the client is gone", None))
    }
}

fn failed(failure: &Failure) -> ErrorData {
    ErrorData::internal_error(failure.message.clone(), Some(failure.envelope()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_names_what_the_log_holds() {
        let listed = catalogue().0;
        assert_eq!(listed["events"][0]["name"], "comms.message.received");
        assert_eq!(listed["events"][0]["delivery"], json!(["poll", "push"]));
        assert_eq!(listed["resultType"], "complete");
    }

    #[test]
    fn a_cursor_may_be_null_and_foreign_arguments_are_refused() {
        let read = |arguments: Value| {
            serde_json::from_value::<Params>(
                json!({ "name": "comms.message.received", "cursor": null, "arguments": arguments }),
            )
        };
        assert!(read(json!({ "channel": "sms" })).is_ok_and(|params| params.cursor.is_none()));
        assert!(read(json!({ "colour": "red" })).is_err());
    }
}
