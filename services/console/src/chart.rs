//! Charts as SVG, drawn on the server. Each has a table with the same numbers for screen readers and for copying.

use maud::{Markup, html};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 170.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 14.0;

/// A bar of a chart.
pub struct Bar {
    pub label: String,
    pub value: f64,
    /// The value as text.
    pub text: String,
}

/// Draws bars with their values. `title` names what they show.
pub fn bars(title: &str, unit: &str, bars: &[Bar]) -> Markup {
    let highest = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let step = WIDTH / bars.len().max(1) as f64;
    let scale = if highest > 0.0 {
        (HEIGHT - TOP - BOTTOM) / highest
    } else {
        0.0
    };
    // Labels must not overlap.
    let every = bars.len().div_ceil(8).max(1);
    html! {
        svg class="chart" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
            line class="axis" x1="0" x2=(WIDTH) y1=(HEIGHT - BOTTOM) y2=(HEIGHT - BOTTOM) {}
            @for (place, bar) in bars.iter().enumerate() {
                // A small value must not look like none.
                @let height = if bar.value > 0.0 { (bar.value * scale).max(2.0) } else { 0.0 };
                @let x = place as f64 * step;
                rect class="bar" x=(number(x + step * 0.14)) y=(number(HEIGHT - BOTTOM - height)) width=(number(step * 0.72)) height=(number(height)) rx="2" {
                    title { (bar.label) ": " (bar.text) }
                }
                @if place % every == 0 {
                    text x=(number(if place == 0 { 0.0 } else { x + step / 2.0 })) y=(HEIGHT - 6.0) text-anchor=(if place == 0 { "start" } else { "middle" }) { (bar.label) }
                }
            }
            @if let Some(top) = bars.iter().find(|bar| bar.value > 0.0 && bar.value >= highest) {
                text x="0" y="10" { "highest: " (top.text) }
            }
        }
        details class="small" {
            summary { "Numbers" }
            div class="scroll" tabindex="0" role="region" aria-label=(title) {
                table {
                    thead { tr { th scope="col" { "Day" } th scope="col" class="num" { (unit) } } }
                    tbody { @for bar in bars { tr { td { (bar.label) } td class="num" { (bar.text) } } } }
                }
            }
        }
    }
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_are_visible_and_none_is_not() {
        let bar = |value: f64| Bar {
            label: "d".into(),
            value,
            text: value.to_string(),
        };
        let drawn = bars("t", "n", &[bar(1_000_000.0), bar(1.0), bar(0.0)]).into_string();
        assert!(drawn.contains("height=\"2.0\"") && drawn.contains("height=\"0.0\""));
        let none = bars("t", "n", &[]).into_string();
        assert!(none.contains("<svg"));
    }
}
