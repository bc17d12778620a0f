//! The shape of an operation, and its erased form that the transports work with.

use std::{future::Future, sync::Arc};

use butt_dial_comms::{Comms, identity::Caller};
use butt_dial_domain::{Code, Failure, Scope};
use futures::{FutureExt, future::BoxFuture};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::call::Call;

/// What an operation runs with. The caller is verified.
#[derive(Clone)]
pub struct Context {
    pub comms: Comms,
    pub caller: Arc<Caller>,
    pub call: Call,
}

/// Hints for MCP clients about a tool.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    pub read_only: bool,
    /// Repeating it with the same arguments changes nothing more.
    pub idempotent: bool,
    /// It reaches people or systems outside.
    pub open_world: bool,
}

/// Where REST has it. `{name}` in the path is an argument.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    /// The status of success.
    pub status: u16,
}

pub trait Operation: 'static {
    /// The tool's name, and OpenAPI's operation id.
    const NAME: &'static str;
    const TITLE: &'static str;
    /// For a model to choose by: what it does, what it needs, what comes back.
    const DESCRIPTION: &'static str;
    const SCOPE: Scope;
    /// `None`: no tool, only a route.
    const HINTS: Option<Hints>;
    const ROUTE: Option<Route>;

    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    type Output: Serialize + JsonSchema;

    fn run(context: Context, args: Self::Args) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

type Run = fn(Context, Map<String, Value>) -> BoxFuture<'static, Result<String, Failure>>;

/// An operation, whatever its types.
pub struct Definition {
    pub name: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    pub scope: Scope,
    pub hints: Option<Hints>,
    pub route: Option<Route>,
    pub input_schema: Map<String, Value>,
    pub output_schema: Map<String, Value>,
    run: Run,
}

impl Definition {
    pub fn of<O: Operation>() -> Self {
        Self {
            name: O::NAME,
            title: O::TITLE,
            description: O::DESCRIPTION,
            scope: O::SCOPE,
            hints: O::HINTS,
            route: O::ROUTE,
            input_schema: schema::<O::Args>(SchemaSettings::draft2020_12().for_deserialize()),
            // What a result leaves out when it is empty is not required of it.
            output_schema: schema::<O::Output>(SchemaSettings::draft2020_12().for_serialize()),
            run: |context, args| run::<O>(context, args).boxed(),
        }
    }

    /// Runs it and returns the result as JSON text, or the failure. The scope is checked here, for every transport.
    pub async fn run(&self, context: Context, args: Map<String, Value>) -> Result<String, Failure> {
        context.caller.require(self.scope)?;
        (self.run)(context, args).await
    }
}

async fn run<O: Operation>(context: Context, args: Map<String, Value>) -> Result<String, Failure> {
    let output = O::run(context, read_args(args)?).await?;
    serde_json::to_string(&output).map_err(|error| {
        tracing::error!(%error, operation = O::NAME, "a result could not be written");
        Failure::internal()
    })
}

pub fn read_args<T: DeserializeOwned>(args: Map<String, Value>) -> Result<T, Failure> {
    serde_path_to_error::deserialize(Value::Object(args)).map_err(|error| unreadable(&error))
}

/// Names the field, in words that an agent can repair its call with.
fn unreadable(error: &serde_path_to_error::Error<serde_json::Error>) -> Failure {
    let (path, text) = (error.path().to_string(), error.inner().to_string());
    if let Some(field) = text
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next())
    {
        return Failure::new(Code::MissingFields, format!("{field} is required")).detail("fields", json!([field]));
    }
    let mut words = text;
    for (rust, plain) in [
        ("a sequence", "a list"),
        ("a map", "an object"),
        ("u32", "a whole number, 0 or more"),
        ("f64", "a number"),
    ] {
        words = words.replace(rust, plain);
    }
    Failure::new(Code::InvalidArgument, format!("{path}: {words}")).detail("fields", json!([path]))
}

fn schema<T: JsonSchema>(mut settings: SchemaSettings) -> Map<String, Value> {
    // Some clients do not follow references.
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("$schema");
    schema.remove("title");
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    // An operation without arguments still takes an object.
    schema.entry("type").or_insert_with(|| json!("object"));
    schema.entry("properties").or_insert_with(|| json!({}));
    schema
}
