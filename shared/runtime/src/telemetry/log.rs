//! Log lines: text for people, JSON objects for machines. Each JSON object names its process, and its trace.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use butt_dial_domain::Clock;
use opentelemetry::trace::TraceContextExt;
use serde_json::json;
use tracing::{Event, Subscriber, dispatcher};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, JsonFields, Writer},
        time::SystemTime,
    },
    registry::LookupSpan,
};

/// The process that writes the lines.
#[derive(Clone)]
pub struct ProcessFacts {
    /// The command, such as `gateway`.
    pub role: &'static str,
    /// Role and version as members of a JSON object, each followed by a comma. Rendered once, because each line begins with them.
    members: Arc<str>,
    /// The replica, which is known once the process is assembled.
    replica: Arc<OnceLock<Replica>>,
}

struct Replica {
    name: String,
    /// As a member of a JSON object, followed by a comma.
    member: String,
}

impl ProcessFacts {
    pub fn new(role: &'static str) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self {
            role,
            members: format!(r#""role":{},"version":{},"#, json!(role), json!(version)).into(),
            replica: Arc::default(),
        }
    }

    /// Names the replica in all further lines. Only the first call has an effect.
    pub fn set_replica(&self, replica: &str) {
        self.replica.get_or_init(|| Replica {
            name: replica.to_owned(),
            member: format!(r#""replica":{},"#, json!(replica)),
        });
    }

    pub(super) fn replica(&self) -> Option<&str> {
        self.replica.get().map(|replica| replica.name.as_str())
    }

    /// Writes the beginning of a line.
    fn write(&self, writer: &mut impl fmt::Write) -> fmt::Result {
        writer.write_char('{')?;
        writer.write_str(&self.members)?;
        writer.write_str(self.replica.get().map_or("", |replica| replica.member.as_str()))
    }
}

/// Writes an error as a line of this format without a logger, because the settings of the logger could not be read.
pub fn fatal_line(role: &'static str, text: &str) -> String {
    let facts = ProcessFacts::new(role);
    let timestamp = Clock::System.now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    format!(
        r#"{{{}"timestamp":{},"level":"ERROR","message":"start failed","error":{}}}"#,
        facts.members,
        json!(timestamp),
        json!(text)
    )
}

/// Formats events as JSON objects.
pub(super) struct JsonLines {
    facts: ProcessFacts,
    /// Spans have a trace id only if traces are exported.
    has_traces: bool,
    inner: Format<Json, SystemTime>,
}

impl JsonLines {
    pub fn new(facts: ProcessFacts, has_traces: bool) -> Self {
        Self {
            facts,
            has_traces,
            inner: Format::default()
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false),
        }
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let Some(rest) = line.strip_prefix('{') else {
            return writer.write_str(&line);
        };
        self.facts.write(&mut writer)?;
        if let Some(trace) = self.has_traces.then(|| trace_id(context, event)).flatten() {
            write!(writer, r#""trace_id":"{trace}","#)?;
        }
        writer.write_str(rest)
    }
}

fn trace_id<S, N>(context: &FmtContext<'_, S, N>, event: &Event<'_>) -> Option<String>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    let parent = event.parent().and_then(|id| context.span(id));
    let span = parent.or_else(|| context.lookup_current())?;
    let context = dispatcher::get_default(|dispatch| tracing_opentelemetry::get_otel_context(&span.id(), dispatch))?;
    let trace = context.span().span_context().trace_id();
    Some(trace.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn fatal_line_is_one_json_object() {
        let line = fatal_line("gateway", "NATS_URL is \"wrong\"\nsee the docs");
        assert!(!line.contains('\n'));
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["role"], "gateway");
        assert_eq!(line["level"], "ERROR");
        assert_eq!(line["error"], "NATS_URL is \"wrong\"\nsee the docs");
    }

    #[test]
    fn line_names_process_and_span() {
        use std::sync::Mutex;
        use tracing_subscriber::layer::SubscriberExt;

        let lines: Arc<Mutex<Vec<u8>>> = Arc::default();
        let written = lines.clone();
        let facts = ProcessFacts::new("dispatcher");
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines::new(facts.clone(), false))
            .with_writer(move || Lines(written.clone()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(count = 1, "before");
            facts.set_replica("r-1");
            facts.set_replica("r-2");
            let span = tracing::info_span!("http", request = "q-1");
            span.in_scope(|| tracing::warn!(status = 500, "request failed"));
        });
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&lines[0]["role"], &lines[0]["count"]),
            (&json!("dispatcher"), &json!(1))
        );
        assert_eq!(lines[0].get("replica"), None);
        assert_eq!(
            (&lines[1]["replica"], &lines[1]["message"]),
            (&json!("r-1"), &json!("request failed"))
        );
        assert_eq!(lines[1]["span"]["request"], "q-1");
    }

    struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
