//! How long each stage of a send took: bars on one axis, with their numbers in a table.

use maud::{Markup, html};
use serde_json::Value;

use crate::format::text;

const WIDTH: u64 = 1_000;
/// A short stage must not look like none.
const NARROWEST: u64 = 4;

/// Renders the stages of a send, in their order.
pub fn render(stages: &[Value]) -> Markup {
    let took = |stage: &Value| stage["microseconds"].as_u64().unwrap_or_default();
    let whole = stages.iter().map(took).sum::<u64>().max(1);
    let mut before = 0;
    let rows: Vec<(&str, u64, u64, u64)> = stages
        .iter()
        .map(|stage| {
            let micros = took(stage);
            let width = (micros * WIDTH / whole).max(NARROWEST);
            let start = (before * WIDTH / whole).min(WIDTH - width.min(WIDTH));
            before += micros;
            (label(text(stage, "stage")), micros, start, width.min(WIDTH))
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            details class="stages" {
                summary { "Stages of the send: " (duration(whole)) }
                table {
                    thead class="hidden" { tr { th scope="col" { "Stage" } th scope="col" { "Share" } th scope="col" { "Duration" } } }
                    tbody {
                        @for (label, micros, start, width) in &rows {
                            tr {
                                th scope="row" { (label) }
                                td aria-hidden="true" {
                                    svg class="share" viewBox=(format!("0 0 {WIDTH} 10")) preserveAspectRatio="none" {
                                        rect class="bar" x=(start) y="0" width=(width) height="10" {}
                                    }
                                }
                                td class="num" { (duration(*micros)) }
                            }
                        }
                    }
                }
                p class="hint" { "Measured where it was sent, and stored with the outcome. Storing the outcome itself, the last stage, is not part of it." }
            }
        }
    }
}

/// Returns what a stage does.
fn label(stage: &str) -> &str {
    match stage {
        "authorize" => "Agent and sender",
        "validate" => "Cleaning",
        "deduplicate" => "Repeats, state of the contact",
        "comply" => "Rules",
        "reserve" => "Limits, content, budget",
        "dispatch" => "Request to the carrier",
        other => other,
    }
}

fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        10_000..10_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bars_follow_each_other_within_the_axis() {
        let stages = [
            json!({ "stage": "authorize", "microseconds": 0 }),
            json!({ "stage": "dispatch", "microseconds": 31_900 }),
            json!({ "stage": "<i>", "microseconds": 100 }),
        ];
        let shown = render(&stages).into_string();
        assert!(
            shown.contains("Stages of the send: 32 ms") && shown.contains("100 µs"),
            "{shown}"
        );
        assert!(shown.contains("x=\"996\"") && shown.contains("width=\"4\""), "{shown}");
        assert!(shown.contains("&lt;i&gt;"));
        assert_eq!(render(&[]).into_string(), "");
        assert_eq!(duration(1_234), "1.2 ms");
    }
}
