//! REST: operations with a route, the OpenAPI document that describes them, Swagger UI, and the documents of the repository.

mod documentation;
mod groups;
mod openapi;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use axum::{
    Extension, Router,
    extract::{
        Path, Query,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Redirect, Response},
    routing::{MethodFilter, get, on},
};
use butt_dial_domain::{Code, Failure, Scope};
use butt_dial_identity::{Caller, Origin};
use butt_dial_operations::{
    self as operations, Context, Definition, Deprecation, Interface, Product, RequestContext, RequestHeaders, Route,
    is_same_name,
};
use butt_dial_runtime::{
    Platform,
    http::{BodyRejection, FullBody, bearer, failure},
};
use butt_dial_sessions::RevocationFeed;
use bytes::Bytes;
use serde_json::{Map, Value};
use tracing::Instrument;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    auth::{AuthLayer, ClientAddress, any_caller, anyone},
    http_errors::{method_not_allowed, route_not_found},
    response_sent,
};

pub use openapi::document;

const MAX_BODY: usize = 4 * 1024 * 1024;
const KEY_ARGUMENT: &str = "idempotencyKey";
/// The route of the API description that the page `/docs` reads.
const DESCRIPTION: &str = "/api-docs/openapi.json";
/// The header of Stripe and of the IETF draft.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub fn router(platform: &Platform, product: &Arc<Product>, revocations: &RevocationFeed) -> Router {
    let auth = AuthLayer::new(platform);
    let for_callers = routes(platform, product, revocations, |scope| scope != Scope::Anyone);
    let for_callers = for_callers.layer(from_fn_with_state(auth.clone(), any_caller));
    let open = routes(platform, product, revocations, |scope| scope == Scope::Anyone);
    let open = open.layer(from_fn_with_state(auth, anyone));
    for_callers
        .merge(open)
        .merge(description())
        .merge(documentation::router())
        .route("/", get(async || Redirect::temporary("docs")))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(route_not_found)
}

/// The API description. Most processes are never asked for it. As text it takes a fraction of the memory of its value.
static DESCRIPTION_TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));

/// The routes of the API description, and of its page. The description holds no data, so it needs no token.
fn description() -> Router {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let description = get(async move || (kind, DESCRIPTION_TEXT.clone()));
    Router::from(SwaggerUi::new("/docs").config(page_settings()))
        .route("/openapi.json", description.clone())
        .route(DESCRIPTION, description)
}

/// The settings of the page `/docs`. The browser keeps the token for the next visit.
fn page_settings() -> Config<'static> {
    Config::new([DESCRIPTION])
        .persist_authorization(true)
        .try_it_out_enabled(true)
        .doc_expansion("none")
        .filter(true)
}

/// Builds the routes of the operations with these scopes.
fn routes(
    platform: &Platform,
    product: &Arc<Product>,
    revocations: &RevocationFeed,
    has_scope: fn(Scope) -> bool,
) -> Router {
    operations::all()
        .iter()
        .filter(|definition| has_scope(definition.scope))
        .filter_map(|definition| Some((definition, definition.route?)))
        .fold(Router::new(), |router, (definition, route)| {
            let (product, draining) = (product.clone(), platform.lifecycle.draining().clone());
            let revocations = revocations.clone();
            let handler = move |method: Method,
                                Extension(caller): Extension<Arc<Caller>>,
                                client: Option<Extension<ClientAddress>>,
                                origin: Option<Extension<Origin>>,
                                path: Result<Path<Fields>, PathRejection>,
                                query: Result<Query<Fields>, QueryRejection>,
                                headers: HeaderMap,
                                FullBody(body): FullBody<MAX_BODY>| async move {
                // axum routes HEAD to the handler of GET, and some operations lease events.
                if method == Method::HEAD {
                    return method_not_allowed().await;
                }
                let request = RequestContext {
                    origin: origin.map(|Extension(origin)| origin).unwrap_or_default(),
                    ..RequestContext::new(Interface::Rest, &caller, &revocations, &product.wait_slots, draining)
                };
                let context = Context {
                    request: request.with_headers(read_headers(&headers, client)),
                    product,
                    caller,
                };
                match arguments(definition, path, query, &headers, body) {
                    Ok(args) => run(definition, route, context, args).await,
                    Err(reason) => failure(&reason),
                }
            };
            let handler = on(filter(route.method), handler);
            router
                .route(&format!("{}/", route.path), handler.clone())
                .route(route.path, handler)
        })
}

fn read_headers(headers: &HeaderMap, client: Option<Extension<ClientAddress>>) -> RequestHeaders {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    RequestHeaders {
        bearer: bearer(headers),
        timestamp: text("x-request-timestamp"),
        nonce: text("x-request-nonce"),
        client: client.map(|Extension(ClientAddress(address))| address),
    }
}

/// Runs the operation as a task: it completes when the client disconnects. Only waiting is cancelled then.
async fn run(definition: &'static Definition, route: Route, context: Context, args: Map<String, Value>) -> Response {
    let (on_sent, tasks) = (context.request.on_sent.clone(), context.product.tasks.clone());
    let _gone = context.request.gone.clone().drop_guard();
    let running = tasks.spawn(definition.run(context, args).in_current_span());
    let result = running.await.unwrap_or_else(|error| {
        tracing::error!(%error, operation = definition.name, "operation task failed");
        Err(Failure::internal())
    });
    match result {
        Ok(text) => {
            let status = StatusCode::from_u16(route.status).unwrap_or(StatusCode::OK);
            let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(definition.content_type))];
            let mut response = (status, kind, text).into_response();
            if let Some(deprecated) = definition.deprecated {
                add_deprecation(response.headers_mut(), deprecated);
            }
            if on_sent.is_empty() {
                return response;
            }
            response_sent::watch(response, on_sent, tasks)
        }
        Err(reason) => failure(&reason),
    }
}

/// Adds the headers of a route that is going to be removed (RFC 8594, RFC 9745).
fn add_deprecation(headers: &mut HeaderMap, deprecated: Deprecation) {
    let link = format!(
        "<{}>; rel=\"successor-version\", </docs/api-reference>; rel=\"deprecation\"",
        deprecated.successor
    );
    headers.insert("deprecation", HeaderValue::from_static("true"));
    headers.insert("sunset", HeaderValue::from_static(deprecated.sunset));
    if let Ok(link) = HeaderValue::from_str(&link) {
        headers.insert(header::LINK, link);
    }
}

type Fields = HashMap<String, String>;

/// Collects the arguments from body, query and path. The path overrides the others: it names the resource.
fn arguments(
    definition: &Definition,
    path: Result<Path<Fields>, PathRejection>,
    query: Result<Query<Fields>, QueryRejection>,
    headers: &HeaderMap,
    body: Result<Bytes, BodyRejection>,
) -> Result<Map<String, Value>, Failure> {
    let invalid = |message| Failure::new(Code::InvalidArgument, message);
    let Path(path) = path.map_err(|_| invalid("the path is not valid UTF-8"))?;
    let Query(query) = query.map_err(|_| invalid("the query string is not valid"))?;
    let body = body?;
    let mut args = match body.is_empty() {
        true => Map::new(),
        false => serde_json::from_slice(&body).map_err(|_| invalid("the body must be a JSON object"))?,
    };
    for (name, text) in query.into_iter().chain(path) {
        let value = typed(definition, &name, text);
        args.insert(name, value);
    }
    if definition.input_schema["properties"].get(KEY_ARGUMENT).is_some() {
        add_idempotency_key(&mut args, headers)?;
    }
    Ok(args)
}

/// Adds the idempotency key of the header. Refuses a key that can't be read or that differs from another one of the request:
/// a dropped key would send the message again.
fn add_idempotency_key(args: &mut Map<String, Value>, headers: &HeaderMap) -> Result<(), Failure> {
    let invalid = |message| Failure::new(Code::InvalidArgument, message).detail("fields", [KEY_ARGUMENT]);
    let mut present = args
        .iter()
        .find(|(name, value)| is_same_name(name, KEY_ARGUMENT) && !value.is_null())
        .map(|(_, value)| value.clone());
    for header in headers.get_all(IDEMPOTENCY_KEY) {
        let key = std::str::from_utf8(header.as_bytes())
            .map_err(|_| invalid("the header Idempotency-Key must be valid UTF-8"))?;
        let key = Value::from(unquoted(key));
        if present.as_ref().is_some_and(|present| *present != key) {
            return Err(invalid(
                "the request has two different idempotency keys, in its header and in its body",
            ));
        }
        present = Some(key);
    }
    if let Some(key) = present {
        args.retain(|name, _| !is_same_name(name, KEY_ARGUMENT));
        args.insert(KEY_ARGUMENT.into(), key);
    }
    Ok(())
}

/// Returns the key of a header. The IETF draft writes it as a string with quotes.
fn unquoted(key: &str) -> &str {
    let key = key.trim();
    key.strip_prefix('"')
        .and_then(|key| key.strip_suffix('"'))
        .filter(|key| !key.contains(['"', '\\']))
        .unwrap_or(key)
}

/// Converts text of a URL to the type that the schema declares for the argument, in whatever spelling its name is.
fn typed(definition: &Definition, name: &str, text: String) -> Value {
    let properties = definition.input_schema.get("properties").and_then(Value::as_object);
    let declared = properties.and_then(|properties| {
        let other = || properties.iter().find(|(other, _)| is_same_name(other, name));
        properties.get(name).or_else(|| other().map(|(_, schema)| schema))
    });
    let kind = declared.map_or(&Value::Null, |schema| &schema["type"]);
    let is = |expected: &str| {
        kind.as_str() == Some(expected)
            || kind
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| kind == expected))
    };
    match (text.parse::<i64>(), text.parse::<f64>(), text.parse::<bool>()) {
        (Ok(number), _, _) if is("integer") => number.into(),
        // `5.0` is whole, which is decided later.
        (_, Ok(number), _) if number.is_finite() && (is("integer") || is("number")) => number.into(),
        (_, _, Ok(yes)) if is("boolean") => yes.into(),
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
