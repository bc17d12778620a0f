//! The Events extension (SEP-3415, `io.modelcontextprotocol/events`) for the stateless revision: the agent's log by kind,
//! polled or pushed. Reading acknowledges no event. Webhooks are not offered: the callback URL serves them. Turns of calls
//! are not logged and can only be pushed (`call_events.rs`).

use butt_dial_domain::{AgentId, Channel, Code, Failure, clock::Timestamp};
use butt_dial_identity::Caller;
use butt_dial_messaging::delivery::{EVENT_KINDS, Page, PageQuery};
use butt_dial_operations::{Product, granted};
use chrono::{DateTime, TimeDelta};
use futures::StreamExt;
use rmcp::{
    ErrorData, RoleServer,
    model::{CustomRequest, CustomResult, ErrorCode},
    service::RequestContext,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use super::{
    call_events,
    event_stream::{EventStream, HEARTBEAT, PREFIX, complete, error_of, forbidden},
};

const NOT_FOUND: ErrorCode = ErrorCode(-32011);
const UNSUPPORTED: ErrorCode = ErrorCode(-32014);

const NEXT_POLL_MS: u64 = 5_000;
const MAX_EVENTS: u32 = 100;
const INVALID_PARAMS: &str =
    "name is required; arguments may hold channel; cursor is text or null; maxAgeMs and maxEvents are numbers";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    name: String,
    #[serde(default)]
    arguments: Option<Arguments>,
    /// `None`: the end of the log.
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
    product: &'a Product,
    caller: &'a Caller,
    kind: &'static str,
    channel: Option<Channel>,
    oldest: Option<Timestamp>,
    limit: u32,
}

/// Answers a request of the extension. Returns `None` for any other request.
pub async fn answer(
    product: &Product,
    caller: &Caller,
    request: &CustomRequest,
    context: &RequestContext<RoleServer>,
    draining: &CancellationToken,
    revoked: impl Future<Output = ()>,
) -> Option<Result<CustomResult, ErrorData>> {
    let params = request.params.clone().unwrap_or_default();
    Some(match request.method.as_str() {
        "events/list" => Ok(catalog()),
        "events/poll" => poll(product, caller, params).await,
        "events/stream" => {
            let stream = EventStream { context };
            match call_events::find(&params) {
                Some(event) => call_events::stream(product, caller, event, &stream, draining, revoked).await,
                None => push_log(product, caller, params, &stream, draining, revoked).await,
            }
        }
        "events/subscribe" | "events/unsubscribe" => {
            let failure = Failure::new(
                Code::NotSupported,
                "events are not delivered to webhooks by this extension",
            )
            .hint("use poll or push, or PUT /api/v1/callback-url")
            .detail("delivery", "webhook");
            Err(error_with(UNSUPPORTED, &failure))
        }
        _ => return None,
    })
}

fn catalog() -> CustomResult {
    let channels: Vec<&str> = Channel::ALL.into_iter().map(Channel::as_str).collect();
    let events: Vec<Value> = EVENT_KINDS
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
        .chain(call_events::catalog())
        .collect();
    complete(json!({ "events": events, "ttlMs": 3_600_000, "cacheScope": "public" }))
}

fn error_with(code: ErrorCode, failure: &Failure) -> ErrorData {
    ErrorData::new(code, failure.message.clone(), Some(failure.envelope()))
}

fn invalid_params(message: impl Into<std::borrow::Cow<'static, str>>) -> ErrorData {
    error_with(ErrorCode::INVALID_PARAMS, &Failure::new(Code::InvalidArgument, message))
}

impl<'a> Subscription<'a> {
    /// Returns the subscription and the position at which it starts.
    async fn open(product: &'a Product, caller: &'a Caller, params: Value) -> Result<(Self, i64), ErrorData> {
        granted::require_events(caller).map_err(forbidden)?;
        let params: Params =
            // serde's text quotes the parameters, and errors are logged.
            serde_json::from_value(params).map_err(|_| invalid_params(INVALID_PARAMS))?;
        let kind = params.name.strip_prefix(PREFIX).unwrap_or_default();
        let known = EVENT_KINDS.into_iter().find(|(known, _)| *known == kind);
        let (kind, _) = known.ok_or_else(|| {
            let failure = Failure::new(Code::NotFound, "there is no event with this name");
            error_with(
                NOT_FOUND,
                &failure.hint("events/list returns all names").detail("kind", "event"),
            )
        })?;
        let age = params
            .max_age_ms
            .map(|age| TimeDelta::milliseconds(i64::try_from(age).unwrap_or(i64::MAX / 2)));
        let subscription = Self {
            product,
            caller,
            kind,
            channel: params.arguments.unwrap_or_default().channel,
            oldest: age.and_then(|age| product.clock.now().checked_sub_signed(age)),
            limit: params.max_events.unwrap_or(MAX_EVENTS).clamp(1, MAX_EVENTS),
        };
        let position = match params.cursor {
            None => product
                .delivery
                .last_event(subscription.agent()?)
                .await
                .map_err(|failure| error_of(&failure))?,
            Some(cursor) => {
                let position = cursor.parse().ok().filter(|position| *position >= 0);
                let position =
                    position.ok_or_else(|| invalid_params("the cursor is invalid; pass one that a result returned"))?;
                let checked = product.delivery.check_cursor(subscription.agent()?, position).await;
                checked.map_err(|failure| error_with(ErrorCode::INVALID_PARAMS, &failure))?;
                position
            }
        };
        Ok((subscription, position))
    }

    fn agent(&self) -> Result<&'a AgentId, ErrorData> {
        self.caller.agent().map(|profile| &profile.agent.id).map_err(forbidden)
    }

    /// Reads a page. Returns it with whether events were left out because of their age.
    async fn read(&self, after: i64) -> Result<(Page, bool), Failure> {
        let agent = &self.caller.agent()?.agent;
        let query = PageQuery {
            after: Some(after),
            kinds: vec![self.kind.to_owned()],
            limit: self.limit,
        };
        let mut page = self
            .product
            .delivery
            .list_events(&agent.org_id, &agent.id, &query)
            .await?;
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
        self.channel.is_none_or(|requested| channel == Some(requested.as_str()))
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

async fn poll(product: &Product, caller: &Caller, params: Value) -> Result<CustomResult, ErrorData> {
    let (subscription, position) = Subscription::open(product, caller, params).await?;
    let (page, is_truncated) = subscription
        .read(position)
        .await
        .map_err(|failure| error_of(&failure))?;
    let events = page.events.into_iter().map(|event| subscription.occurrence(event));
    Ok(complete(json!({
        "events": events.collect::<Vec<_>>(),
        "cursor": page.cursor.to_string(),
        "truncated": is_truncated,
        "hasMore": page.has_more,
        "nextPollMs": NEXT_POLL_MS,
    })))
}

/// Pushes the log until the client disconnects, the replica drains, or the token is revoked.
async fn push_log(
    product: &Product,
    caller: &Caller,
    params: Value,
    stream: &EventStream<'_>,
    draining: &CancellationToken,
    revoked: impl Future<Output = ()>,
) -> Result<CustomResult, ErrorData> {
    let (subscription, mut position) = Subscription::open(product, caller, params).await?;
    // Subscribes before the first read, so that no event is missed between the two.
    let changes = product.delivery.subscribe_events(subscription.agent()?).await;
    let mut changes = changes.map_err(|failure| error_of(&failure))?;
    let active = json!({ "cursor": position.to_string(), "truncated": false });
    stream.send("active", active).await?;
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    tokio::pin!(revoked);
    loop {
        if let Err(failure) = push_new(&subscription, stream, &mut position).await? {
            let error = json!({ "code": ErrorCode::INTERNAL_ERROR.0, "message": failure.message });
            stream.send("error", json!({ "error": error })).await?;
        }
        tokio::select! {
            () = stream.context.ct.cancelled() => break,
            // The client reconnects to another replica with its cursor.
            () = draining.cancelled() => break,
            () = &mut revoked => {
                stream.send_revoked().await?;
                break;
            }
            change = changes.next() => if change.is_none() {
                return Err(error_of(&Failure::unavailable("events are not available right now")));
            },
            // The next read finds events with notifications that the bus lost.
            _ = heartbeat.tick() => stream.send("heartbeat", json!({ "cursor": position.to_string() })).await?,
        }
    }
    Ok(complete(json!({ "_meta": {} })))
}

/// Sends all events after `position`. The outer error means that the client is gone, the inner one that the log can't be
/// read now.
async fn push_new(
    subscription: &Subscription<'_>,
    stream: &EventStream<'_>,
    position: &mut i64,
) -> Result<Result<(), Failure>, ErrorData> {
    loop {
        let page = match subscription.read(*position).await {
            Ok((page, _)) => page,
            Err(failure) => return Ok(Err(failure)),
        };
        for event in page.events {
            let cursor = event.get("seq").and_then(Value::as_i64).unwrap_or(page.cursor);
            let mut occurrence = subscription.occurrence(event);
            occurrence.insert("cursor".into(), json!(cursor.to_string()));
            stream.send("event", Value::Object(occurrence)).await?;
        }
        *position = page.cursor;
        if !page.has_more {
            return Ok(Ok(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalog_lists_kinds_of_the_log() {
        let listed = catalog().0;
        assert_eq!(listed["events"][0]["name"], "comms.message.received");
        assert_eq!(listed["events"][0]["delivery"], json!(["poll", "push"]));
        assert_eq!(listed["resultType"], "complete");
    }

    #[test]
    fn accepts_null_cursor_and_rejects_unknown_arguments() {
        let parse = |arguments: Value| {
            serde_json::from_value::<Params>(
                json!({ "name": "comms.message.received", "cursor": null, "arguments": arguments }),
            )
        };
        assert!(parse(json!({ "channel": "sms" })).is_ok_and(|params| params.cursor.is_none()));
        assert!(parse(json!({ "colour": "red" })).is_err());
    }
}
