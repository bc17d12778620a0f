//! The trait of operations, and their type-erased form that the transports use.

use std::{future::Future, sync::Arc, time::Instant};

use butt_dial_domain::{Code, Failure, Scope};
use butt_dial_identity::Caller;
use futures::{FutureExt, future::BoxFuture};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::product::Product;

use super::{
    arguments::{Normalized, accept_null, brief, close, declare_lengths, normalize, portable, read_args, remove_brief},
    errors,
    request_context::RequestContext,
};

/// The product, the verified caller, and the request of an operation. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub product: Arc<Product>,
    pub caller: Arc<Caller>,
    pub request: RequestContext,
}

/// Hints for MCP clients about a tool.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    pub read_only: bool,
    /// A repeated call with the same arguments has no further effect.
    pub idempotent: bool,
    /// The tool reaches people or external systems.
    pub open_world: bool,
}

/// The REST route of an operation. `{name}` in the path is an argument.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    /// The HTTP status of success.
    pub status: u16,
}

/// A route that is going to be removed. Its responses name the route to use instead.
#[derive(Clone, Copy, Debug)]
pub struct Deprecation {
    /// When it is removed, as an HTTP date.
    pub sunset: &'static str,
    pub successor: &'static str,
}

const JSON: &str = "application/json";

/// A header that an operation reads besides the token, for the API description.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    pub name: &'static str,
    pub description: &'static str,
}

pub trait Operation: 'static {
    /// The tool's name and OpenAPI's operation id.
    const NAME: &'static str;
    const TITLE: &'static str;
    /// For language models: what the operation does, when to use it, what it returns. Two to four plain sentences.
    const DESCRIPTION: &'static str;
    /// The description in a brief list of tools: one short sentence. The default is `DESCRIPTION`.
    const BRIEF: &'static str = Self::DESCRIPTION;
    /// Arguments for the description of the API, as a JSON object. The operation succeeds with them where carriers are simulated.
    /// `None`: they are made from the examples of required arguments.
    const EXAMPLE: Option<&'static str> = None;
    const SCOPE: Scope;
    /// `None`: the operation is no tool and only has a route.
    const HINTS: Option<Hints>;
    const ROUTE: Option<Route>;
    /// Groups of codes that the operation may return besides `errors::COMMON`.
    const ERRORS: &'static [&'static [Code]];
    /// Arguments that the operation does not know are ignored and named in the result instead of refused: the Python client passes
    /// what its callers add to the tools and routes that it has methods for.
    const ACCEPTS_EXTRA_ARGUMENTS: bool = false;
    const DEPRECATED: Option<Deprecation> = None;
    /// Headers that the operation reads from `RequestContext::headers`.
    const HEADERS: &'static [Header] = &[];
    /// Other names of arguments, with the declared one.
    const ALIASES: &'static [(&'static str, &'static str)] = &[];

    /// The type of the result over REST. Another one than JSON needs `text`, and no tool.
    const CONTENT_TYPE: &'static str = JSON;

    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    type Output: Serialize + JsonSchema;

    /// Renders a result that is not JSON.
    fn text(_output: &Self::Output) -> Option<String> {
        None
    }

    fn run(context: Context, args: Self::Args) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

type Run = fn(Context, Map<String, Value>, &'static Definition) -> BoxFuture<'static, Result<String, Failure>>;

/// A type-erased operation.
pub struct Definition {
    pub name: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    pub brief: &'static str,
    pub example: Option<&'static str>,
    pub scope: Scope,
    pub hints: Option<Hints>,
    pub route: Option<Route>,
    pub deprecated: Option<Deprecation>,
    /// All arguments that the operation accepts. For OpenAPI and for errors.
    pub input_schema: Map<String, Value>,
    /// The same for MCP tools, in the subset that all model APIs take.
    pub tool_schema: Map<String, Value>,
    /// The same for a brief list of tools: without descriptions and rare arguments.
    pub brief_schema: Map<String, Value>,
    pub output_schema: Map<String, Value>,
    pub headers: &'static [Header],
    pub content_type: &'static str,
    accepts_extra_arguments: bool,
    aliases: &'static [(&'static str, &'static str)],
    errors: &'static [&'static [Code]],
    run: Run,
}

impl Definition {
    pub fn of<O: Operation>() -> Self {
        let accepts_extra_arguments = O::ACCEPTS_EXTRA_ARGUMENTS;
        let mut input_schema = schema::<O::Args>(SchemaSettings::draft2020_12().for_deserialize());
        declare_lengths(&mut input_schema);
        let mut brief_schema = brief(&portable(&input_schema));
        remove_brief(&mut input_schema);
        let mut tool_schema = portable(&input_schema);
        if !accepts_extra_arguments {
            close(&mut tool_schema, &mut brief_schema);
        }
        accept_null(&mut input_schema);
        input_schema.insert("additionalProperties".into(), json!(accepts_extra_arguments));
        Self {
            name: O::NAME,
            title: O::TITLE,
            description: O::DESCRIPTION,
            brief: O::BRIEF,
            example: O::EXAMPLE,
            scope: O::SCOPE,
            hints: O::HINTS,
            route: O::ROUTE,
            deprecated: O::DEPRECATED,
            input_schema,
            tool_schema,
            brief_schema,
            // Fields that are omitted when empty are not required.
            output_schema: schema::<O::Output>(SchemaSettings::draft2020_12().for_serialize()),
            headers: O::HEADERS,
            content_type: O::CONTENT_TYPE,
            accepts_extra_arguments,
            aliases: O::ALIASES,
            errors: O::ERRORS,
            run: |context, args, definition| run::<O>(context, args, definition).boxed(),
        }
    }

    /// Returns every code that the operation may return.
    pub fn errors(&self) -> impl Iterator<Item = Code> + '_ {
        let common = match self.scope {
            Scope::Anyone => errors::OPEN,
            _ => errors::COMMON,
        };
        common.iter().chain(self.errors.iter().copied().flatten()).copied()
    }

    /// Parses arguments. Returns also the names that have no effect.
    pub fn read_args<T: DeserializeOwned>(&self, args: Map<String, Value>) -> Result<(T, Vec<String>), Failure> {
        let Normalized { values, ignored } =
            normalize(args, &self.input_schema, self.aliases, self.accepts_extra_arguments)?;
        Ok((read_args(values, &self.input_schema)?, ignored))
    }

    /// Returns whether the operation changes nothing.
    pub fn is_read_only(&self) -> bool {
        match (self.hints, self.route) {
            (Some(hints), _) => hints.read_only,
            (None, Some(route)) => route.method == "GET",
            (None, None) => false,
        }
    }

    /// Returns whether the caller's scope and the grants of its token include the operation. An operation that needs no token is
    /// open to restricted ones as well.
    pub fn is_granted(&self, caller: &Caller) -> bool {
        let is_open = self.scope == Scope::Anyone;
        caller.require(self.scope).is_ok() && (is_open || caller.may_use(self.name, self.is_read_only()))
    }

    /// Fails unless the caller's scope and the grants of its token include the operation.
    pub fn authorize(&self, caller: &Caller) -> Result<(), Failure> {
        if self.is_granted(caller) {
            return Ok(());
        }
        caller.require(self.scope)?;
        caller.require_tool(self.name, self.is_read_only())
    }

    /// Runs the operation. Returns the result as text, mostly JSON. Scope and grants are checked here, for every transport.
    pub async fn run(&'static self, context: Context, args: Map<String, Value>) -> Result<String, Failure> {
        let (product, interface) = (context.product.clone(), context.request.interface);
        let started = Instant::now();
        let result = match self.authorize(&context.caller) {
            Ok(()) => {
                let origin = context.request.origin.clone();
                origin.scope((self.run)(context, args, self)).await
            }
            Err(failure) => Err(failure),
        };
        let code = result.as_ref().err().map(|failure| failure.code.as_str());
        product.metrics.record(self.name, interface, code, started.elapsed());
        if let Err(failure) = &result {
            self.check_declared(failure);
        }
        result
    }

    /// Reports a code that the operation does not declare; panics in builds with debug assertions, so that tests fail.
    pub fn check_declared(&self, failure: &Failure) {
        if self.errors().any(|code| code == failure.code) {
            return;
        }
        tracing::error!(
            operation = self.name,
            code = failure.code.as_str(),
            "undeclared error code"
        );
        debug_assert!(false, "{} returned {} without declaring it", self.name, failure.code);
    }
}

async fn run<O: Operation>(
    context: Context,
    args: Map<String, Value>,
    definition: &'static Definition,
) -> Result<String, Failure> {
    let (args, ignored) = definition.read_args(args)?;
    let output = O::run(context, args).await?;
    if let Some(text) = O::text(&output) {
        return Ok(text);
    }
    let text = match ignored.is_empty() {
        true => serde_json::to_string(&output),
        false => serde_json::to_value(&output).map(|output| with_ignored(output, &ignored).to_string()),
    };
    text.map_err(|error| {
        tracing::error!(%error, operation = O::NAME, "result not serializable");
        Failure::internal()
    })
}

/// Names the arguments that had no effect, as a list for programs and as a sentence among the advisories.
fn with_ignored(mut output: Value, ignored: &[String]) -> Value {
    if let Some(fields) = output.as_object_mut() {
        let advisories = fields.entry("advisories").or_insert_with(|| json!([]));
        if let Some(advisories) = advisories.as_array_mut() {
            let names = ignored.join(", ");
            advisories.push(format!("unknown arguments have no effect: {names}").into());
        }
        fields.insert("ignoredArguments".into(), json!(ignored));
    }
    output
}

fn schema<T: JsonSchema>(mut settings: SchemaSettings) -> Map<String, Value> {
    // Some clients do not resolve references.
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("$schema");
    schema.remove("title");
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    // An operation without arguments also takes an object.
    schema.entry("type").or_insert_with(|| json!("object"));
    if schema["type"] == "object" {
        schema.entry("properties").or_insert_with(|| json!({}));
    }
    schema
}
