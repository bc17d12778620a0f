//! The conditions of the simulator: faults of carriers, receipts, and people who do not answer.

use butt_dial_runtime::phones::{CarrierState, FAULTS, MANNERS};
use maud::{Markup, html};

use super::simulator_views::{Scene, hidden};
use crate::parts::{self, Tone};

/// Renders the faults and the manner of the person.
pub fn conditions(scene: &Scene<'_>) -> Markup {
    let carriers = scene.phones.carriers();
    let changed: Vec<&CarrierState> = carriers.iter().filter(|carrier| is_changed(carrier)).collect();
    let names: Vec<(&str, &str)> = carriers.iter().map(|carrier| (carrier.id, carrier.title)).collect();
    let action = scene.app.path("/simulator");
    let delay = scene.phones.receipt_delay().as_secs().to_string();
    html! {
        details class="card" open[!changed.is_empty()] {
            summary { "Faults of carriers, late receipts, and people who do not answer" }
            div class="stack" {
                p class="muted small" { "They hold for the whole installation. No send is repeated blindly: the page of a message shows what happens while its carrier fails." }
                (waiting(scene, &changed))
                form method="post" action=(action) aria-label="Faults" {
                    (hidden(scene))
                    div class="filters" {
                        (select_with_id("fault-carrier", "carrier", "Carrier", &names, ""))
                        (parts::select("kind", "Fault", &FAULTS, ""))
                        (parts::select("times", "Of", &[("1", "the next send"), ("3", "the next three"), ("10", "the next ten")], "1"))
                        button name="do" value="fault" { "Inject" }
                    }
                }
                form method="post" action=(action) aria-label="Receipts" {
                    (hidden(scene))
                    div class="filters" {
                        (select_with_id("receipt-carrier", "carrier", "Carrier", &names, ""))
                        (parts::select("delay", "First receipt after", &[("0", "at once"), ("1", "1 second"), ("10", "10 seconds"), ("60", "1 minute"), ("300", "5 minutes")], &delay))
                        (parts::select("copies", "Each webhook comes", &[("1", "once"), ("2", "twice"), ("5", "five times")], "1"))
                        (parts::select("order", "Order", &[("", "as sent"), ("reversed", "reversed")], ""))
                        button name="do" value="receipts" { "Set receipts" }
                    }
                }
                @if scene.person.starts_with('+') {
                    form method="post" action=(action) aria-label="Manner" {
                        (hidden(scene))
                        div class="filters" {
                            (parts::select("manner", &format!("When an agent calls, {}", scene.person), &MANNERS, scene.phones.manner(scene.person)))
                            button name="do" value="manner" { "Set manner" }
                        }
                    }
                }
            }
        }
    }
}

fn is_changed(carrier: &CarrierState) -> bool {
    !carrier.faults.is_empty() || carrier.behavior.copies > 1 || carrier.behavior.reversed
}

/// Renders the faults that wait, and what carriers do to their webhooks.
fn waiting(scene: &Scene<'_>, changed: &[&CarrierState]) -> Markup {
    html! {
        @if !changed.is_empty() {
            (parts::note(Tone::Warn, &html! {
                @for carrier in changed {
                    @let sends: u32 = carrier.faults.iter().map(|(_, times)| times).sum();
                    div class="row" {
                        strong { (carrier.title) }
                        @if sends > 0 { span { "fails " (sends) (if sends == 1 { " more send" } else { " more sends" }) } }
                        @if carrier.behavior.copies > 1 { span { "each webhook comes " (carrier.behavior.copies) " times" } }
                        @if carrier.behavior.reversed { span { "receipts are reversed" } }
                        @if sends > 0 {
                            form method="post" action=(scene.app.path("/simulator")) {
                                (hidden(scene))
                                input type="hidden" name="carrier" value=(carrier.id);
                                button class="slim" name="do" value="clear" aria-label=(format!("Remove the faults of {}", carrier.title)) { "Remove" }
                            }
                        }
                    }
                }
            }))
        }
    }
}

fn select_with_id(id: &str, name: &str, label: &str, options: &[(&str, &str)], chosen: &str) -> Markup {
    html! {
        div class="field" {
            label for=(id) { (label) }
            select id=(id) name=(name) { @for (value, text) in options { option value=(value) selected[*value == chosen] { (text) } } }
        }
    }
}
