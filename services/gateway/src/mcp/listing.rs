//! The list of tools. It is part of each agent's context, so by default it is brief: a short sentence per tool, and names, types
//! and enums of its arguments. OpenAPI has the complete descriptions.

use std::sync::Arc;

use butt_dial_domain::Scope;
use butt_dial_identity::Caller;
use butt_dial_operations::{self as operations, Definition};
use http::request::Parts;
use rmcp::model::{Extensions, JsonObject, ProtocolVersion, Tool, ToolAnnotations};
use serde_json::Value;

/// The header that clients of 2025-06-18 and later send with every request.
const REVISION_HEADER: &str = "mcp-protocol-version";
/// An argument that only administrators may use, unless a tool requires it.
const OF_ADMINISTRATORS: &str = "agentId";

/// The contents of the list.
#[derive(Clone, Copy, Debug)]
pub struct ListingSettings {
    /// Also the tools that the client's token may not use.
    pub all_tools: bool,
    /// Complete descriptions, titles and hints.
    pub full_descriptions: bool,
    /// The schemas of results, for clients of revisions that have them.
    pub output_schemas: bool,
}

pub struct Listing {
    settings: ListingSettings,
    tools: Vec<Entry>,
}

struct Entry {
    definition: &'static Definition,
    for_agents: Tool,
    for_administrators: Tool,
    output_schema: Arc<JsonObject>,
}

impl Listing {
    pub fn new(settings: ListingSettings) -> Self {
        let entry = |definition| Entry::new(definition, settings);
        Self {
            settings,
            tools: operations::all().iter().filter_map(entry).collect(),
        }
    }

    /// Returns the tools that a client sees.
    pub fn of(&self, caller: &Caller, extensions: &Extensions) -> Vec<Tool> {
        let has_output_schemas = self.has_output_schemas(extensions);
        let is_administrator = caller.require(Scope::OrgAdmin).is_ok();
        let shown = |entry: &&Entry| self.settings.all_tools || entry.definition.is_granted(caller);
        let tools = self.tools.iter().filter(shown).map(|entry| {
            let mut tool = match is_administrator {
                true => entry.for_administrators.clone(),
                false => entry.for_agents.clone(),
            };
            tool.output_schema = has_output_schemas.then(|| entry.output_schema.clone());
            tool
        });
        tools.collect()
    }

    pub fn find(&self, name: &str) -> Option<Tool> {
        let entry = self.tools.iter().find(|entry| entry.definition.name == name);
        entry.map(|entry| entry.for_agents.clone())
    }

    /// Returns whether results have structured content. The list has the schema of such results exactly then: clients throw when
    /// a tool has a schema and its result no structured content.
    pub fn has_output_schemas(&self, extensions: &Extensions) -> bool {
        self.settings.output_schemas && revision(extensions) >= Some(ProtocolVersion::V_2025_06_18.as_str())
    }
}

/// Returns the revision of the protocol that a request names. Revisions are dates, so they compare as texts.
fn revision(extensions: &Extensions) -> Option<&str> {
    let revision = extensions.get::<Parts>()?.headers.get(REVISION_HEADER)?;
    revision.to_str().ok()
}

impl Entry {
    fn new(definition: &'static Definition, settings: ListingSettings) -> Option<Self> {
        let for_administrators = match settings.full_descriptions {
            true => full(definition)?,
            false => brief(definition, settings.all_tools)?,
        };
        let mut for_agents = for_administrators.clone();
        if !settings.full_descriptions {
            for_agents.input_schema = Arc::new(without_optional(&for_agents.input_schema, OF_ADMINISTRATORS));
        }
        Some(Self {
            definition,
            for_agents,
            for_administrators,
            output_schema: Arc::new(definition.output_schema.clone()),
        })
    }
}

fn full(definition: &Definition) -> Option<Tool> {
    let hints = definition.hints?;
    let schema = Arc::new(definition.tool_schema.clone());
    let mut tool = Tool::new(definition.name, definition.description, schema);
    tool.title = Some(definition.title.to_owned());
    // Every value that is the default costs the client's model tokens.
    let annotations = ToolAnnotations::new().read_only(hints.read_only);
    let annotations = match hints.read_only {
        true => annotations,
        false => annotations.destructive(false),
    };
    let annotations = match hints.idempotent && !hints.read_only {
        true => annotations.idempotent(true),
        false => annotations,
    };
    tool.annotations = Some(match hints.open_world {
        true => annotations,
        false => annotations.open_world(false),
    });
    Some(tool)
}

fn brief(definition: &Definition, names_scope: bool) -> Option<Tool> {
    let hints = definition.hints?;
    let schema = Arc::new(definition.brief_schema.clone());
    let mut description = definition.brief.to_owned();
    // In a list of what the token may use, the scope has no meaning.
    let scope = definition.description.rfind(" [scope: ");
    match scope.and_then(|start| definition.description.get(start..)) {
        Some(scope) if names_scope && !description.ends_with(scope) => description.push_str(scope),
        Some(scope) if !names_scope => {
            let length = description.trim_end_matches(scope).len();
            description.truncate(length);
        }
        _ => {}
    }
    let mut tool = Tool::new(definition.name, description, schema);
    tool.annotations = hints.read_only.then(|| ToolAnnotations::new().read_only(true));
    Some(tool)
}

/// Returns a schema without an argument that it does not require.
fn without_optional(schema: &JsonObject, name: &str) -> JsonObject {
    let mut schema = schema.clone();
    let required = schema.get("required").and_then(Value::as_array);
    if required.is_some_and(|names| names.iter().any(|required| required == name)) {
        return schema;
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove(name);
    }
    schema
}
