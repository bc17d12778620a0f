//! REST: the operations that have a route, the OpenAPI document made from them, and a page to try them on.

mod openapi;

use std::{collections::HashMap, sync::Arc};

use axum::{
    Extension, Json, Router,
    extract::{Path, Query},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Redirect, Response},
    routing::{MethodFilter, get, on},
};
use butt_dial_comms::identity::Caller;
use butt_dial_domain::{Code, Failure};
use butt_dial_runtime::{
    Platform,
    http::{Unread, Whole, failure},
};
use bytes::Bytes;
use serde_json::{Map, Value};
use tracing::Instrument;
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    auth::{Door, any_caller},
    operations::{self, Call, Context, Definition, Route},
    sent::confirm,
};

pub use openapi::document;

const MAX_BODY: usize = 4 * 1024 * 1024;
/// As Stripe has it; the draft of the IETF too.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub fn router(platform: &Platform) -> Router {
    let api = operations::all()
        .iter()
        .filter_map(|definition| Some((definition, definition.route?)))
        .fold(Router::new(), |router, (definition, route)| {
            let (comms, draining) = (platform.comms.clone(), platform.lifecycle.draining().clone());
            let handler = move |method: Method,
                                Extension(caller): Extension<Arc<Caller>>,
                                Path(path): Path<HashMap<String, String>>,
                                Query(query): Query<HashMap<String, String>>,
                                headers: HeaderMap,
                                Whole(body): Whole<MAX_BODY>| async move {
                // axum sends HEAD to GET's handler, and some of these hand something out.
                if method == Method::HEAD {
                    return failure(&wrong_method());
                }
                let context = Context {
                    comms,
                    caller,
                    call: Call::new(draining),
                };
                match arguments(definition, path, query, &headers, body) {
                    Ok(args) => run(definition, route, context, args).await,
                    Err(refusal) => failure(&refusal),
                }
            };
            router.route(route.path, on(filter(route.method), handler))
        });
    let api = api.layer(from_fn_with_state(Door::new(platform), any_caller));
    let description = document();
    let raw = description.clone();
    // A description of the interface and nothing else: open to whoever asks.
    let docs = Router::from(SwaggerUi::new("/docs").external_url_unchecked("/api-docs/openapi.json", description))
        .route("/openapi.json", get(move || async move { Json(raw) }));
    api.merge(docs)
        .route("/", get(async || Redirect::temporary("/docs")))
        .method_not_allowed_fallback(async || failure(&wrong_method()))
        .fallback(async || {
            failure(&Failure::new(
                Code::NotFound,
                "there is nothing here; /docs shows what there is",
            ))
        })
}

fn wrong_method() -> Failure {
    Failure::new(
        Code::MethodNotAllowed,
        "this route takes another method; /docs shows which",
    )
}

/// The operation is a task of the program's own: a caller that hangs up stops nothing midway, but what waits learns of it.
async fn run(definition: &'static Definition, route: Route, context: Context, args: Map<String, Value>) -> Response {
    let (after, tasks) = (context.call.after.clone(), context.comms.tasks.clone());
    let _gone = context.call.gone.clone().drop_guard();
    let running = tasks.spawn(definition.run(context, args).in_current_span());
    let result = running.await.unwrap_or_else(|error| {
        tracing::error!(%error, operation = definition.name, "an operation ended without a result");
        Err(Failure::internal())
    });
    match result {
        Ok(text) => {
            let status = StatusCode::from_u16(route.status).unwrap_or(StatusCode::OK);
            let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            let response = (status, json, text).into_response();
            if after.is_empty() {
                return response;
            }
            confirm(response, after, tasks)
        }
        Err(refusal) => failure(&refusal),
    }
}

/// The arguments from wherever they stand. The path wins over the body: it says what the request is about.
fn arguments(
    definition: &Definition,
    path: HashMap<String, String>,
    query: HashMap<String, String>,
    headers: &HeaderMap,
    body: Result<Bytes, Unread>,
) -> Result<Map<String, Value>, Failure> {
    let body = body.map_err(|unread| match unread {
        Unread::TooLarge => Failure::new(Code::PayloadTooLarge, "the body is larger than 4 MiB"),
        Unread::Broken => Failure::new(Code::InvalidArgument, "the body broke off"),
    })?;
    let mut args = match body.is_empty() {
        true => Map::new(),
        false => serde_json::from_slice(&body)
            .map_err(|_| Failure::new(Code::InvalidArgument, "the body must be a JSON object"))?,
    };
    for (name, text) in query.into_iter().chain(path) {
        let value = typed(definition, &name, text);
        args.insert(name, value);
    }
    if let Some(key) = headers.get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok())
        && definition.input_schema["properties"].get("idempotencyKey").is_some()
    {
        args.entry("idempotencyKey").or_insert_with(|| key.into());
    }
    Ok(args)
}

/// Text in a URL has no type; the schema knows which arguments are numbers or booleans.
fn typed(definition: &Definition, name: &str, text: String) -> Value {
    let kind = &definition.input_schema["properties"][name]["type"];
    let is = |wanted: &str| {
        kind.as_str() == Some(wanted)
            || kind
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| kind == wanted))
    };
    match (text.parse::<i64>(), text.parse::<bool>()) {
        (Ok(number), _) if is("integer") => number.into(),
        (_, Ok(yes)) if is("boolean") => yes.into(),
        _ => text.into(),
    }
}

fn filter(method: &str) -> MethodFilter {
    match method {
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "PATCH" => MethodFilter::PATCH,
        "DELETE" => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    }
}
