//! Dead letters with the same cause: replayed or dropped together, after a preview that counts them. Later ones are left alone.

use std::collections::BTreeMap;

use butt_dial_domain::Failure;
use maud::{Markup, html};
use serde_json::json;

use crate::{
    app::App,
    format::{list, text, time},
    member::Member,
    page,
    parts::{self, Tone},
    session::Posted,
};

/// Rows of a request, and requests for one page: groups are made from the oldest 500.
const PAGE: usize = 100;
const PAGES: usize = 5;
/// A group of one is in the list below.
const SMALLEST: usize = 2;

/// Dead letters of one reason, carrier and kind, oldest first.
#[derive(Clone, Default)]
pub struct Group {
    reason: String,
    carrier: String,
    kind: String,
    ids: Vec<String>,
    oldest: String,
}

/// Reads the groups of the oldest dead letters.
pub async fn read(app: &App, member: &Member) -> Result<Vec<Group>, Failure> {
    let (mut groups, mut after): (BTreeMap<_, Group>, Option<String>) = (BTreeMap::new(), None);
    for _ in 0..PAGES {
        let mut args = json!({ "limit": PAGE });
        if let Some(after) = &after {
            args["after"] = json!(after);
        }
        let found = app.call_as_operator(member, "list_dead_letters", args).await?;
        let rows = list(&found, "deadLetters");
        for row in rows {
            let of = |name: &str| text(row, name).to_owned();
            let (reason, carrier, kind) = (of("reason"), of("carrier"), of("kind"));
            let group = groups.entry((reason.clone(), carrier.clone(), kind.clone()));
            let group = group.or_insert_with(|| Group {
                reason,
                carrier,
                kind,
                ids: Vec::new(),
                oldest: of("createdAt"),
            });
            group.ids.push(of("id"));
        }
        after = rows.last().map(|row| text(row, "id").to_owned());
        if rows.len() < PAGE {
            break;
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.ids.len()));
    Ok(groups)
}

/// Returns the group of a form, as it was when its count was shown.
pub fn choose(groups: Vec<Group>, posted: &Posted) -> Option<Group> {
    let mut groups = groups.into_iter();
    let mut group = groups.find(|group| {
        [
            (&group.reason, "reason"),
            (&group.carrier, "carrier"),
            (&group.kind, "kind"),
        ]
        .iter()
        .all(|(value, name)| *value == posted.get(name))
    })?;
    let last = posted.get("last");
    if !last.is_empty() {
        let end = group.ids.iter().position(|id| id == last)?;
        group.ids.truncate(end + 1);
    }
    Some(group)
}

/// Counts what a step with a group would do, and asks.
pub fn preview(app: &App, member: &Member, group: &Group, is_drop: bool) -> Markup {
    let (count, now) = (group.ids.len(), app.clock().now());
    let deed = if is_drop { "Drop" } else { "Replay" };
    parts::note(
        if is_drop { Tone::Bad } else { Tone::Warn },
        &html! {
            p { strong { (deed) " " (count) " dead letters?" } }
            p {
                "Reason " code { (group.reason) } ", carrier " (shown(&group.carrier)) ", kind " (shown(&group.kind)) ", the oldest from " (time(&group.oldest, now)) ". "
                @if is_drop { "What they report is lost for good." } @else { "Each is applied again; one that fails again comes back." }
            }
            form class="row" method="post" action=(app.path("/dead-letters")) {
                (page::token(member))
                (names(group))
                input type="hidden" name="last" value=(group.ids.last().map_or("", String::as_str));
                input type="hidden" name="step" value=(if is_drop { "drop" } else { "replay" });
                button class=(if is_drop { "danger" } else { "primary" }) name="do" value="do-group" { (deed) " these " (count) }
                a class="button" href=(app.path("/dead-letters")) { "Cancel" }
            }
        },
    )
}

/// Replays or drops a group, and says for how many it did.
pub async fn apply(app: &App, member: &Member, group: &Group, is_drop: bool) -> Markup {
    let operation = if is_drop {
        "drop_dead_letter"
    } else {
        "replay_dead_letter"
    };
    let (mut done, mut failure) = (0, None);
    for id in &group.ids {
        match app
            .call_as_operator(member, operation, json!({ "deadLetterId": id }))
            .await
        {
            Ok(_) => done += 1,
            // Others may still work: another operator may have dealt with this one.
            Err(error) => failure = Some(error),
        }
    }
    html! {
        (parts::note(if failure.is_none() { Tone::Ok } else { Tone::Warn }, &html! {
            p role="status" { (done) " of " (group.ids.len()) @if is_drop { " were dropped." } @else { " are replayed." } }
        }))
        @if let Some(failure) = &failure { (parts::failure(failure)) }
    }
}

/// Renders the groups with more than one dead letter.
pub fn table(app: &App, member: &Member, groups: &[Group]) -> Markup {
    let now = app.clock().now();
    let large: Vec<&Group> = groups.iter().filter(|group| group.ids.len() >= SMALLEST).collect();
    html! {
        @if !large.is_empty() {
            section class="card flush" aria-labelledby="groups" {
                div class="card-head" { h2 id="groups" { "By cause" } span class="small muted" { "Of the oldest " (PAGE * PAGES) } }
                div class="scroll" tabindex="0" role="region" aria-label="Dead letters by cause" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Reason" } th scope="col" { "Carrier" } th scope="col" { "Kind" } th scope="col" class="num" { "Number" } th scope="col" { "Oldest" } th scope="col" { span class="hidden" { "Actions" } } } }
                        tbody {
                            @for group in large {
                                tr {
                                    td data-label="Reason" { (parts::badge(Tone::Bad, &group.reason)) }
                                    td data-label="Carrier" { (shown(&group.carrier)) }
                                    td data-label="Kind" { (shown(&group.kind)) }
                                    td data-label="Number" class="num" { (group.ids.len()) }
                                    td data-label="Oldest" { (time(&group.oldest, now)) }
                                    td {
                                        form class="row" method="post" action=(app.path("/dead-letters")) {
                                            (page::token(member))
                                            (names(group))
                                            input type="hidden" name="do" value="preview-group";
                                            button class="slim" name="step" value="replay" { "Replay all" }
                                            button class="slim danger" name="step" value="drop" { "Drop all" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns a name, or a dash: an unreadable entry has none.
fn shown(name: &str) -> &str {
    if name.is_empty() { "–" } else { name }
}

fn names(group: &Group) -> Markup {
    html! {
        input type="hidden" name="reason" value=(group.reason);
        input type="hidden" name="carrier" value=(group.carrier);
        input type="hidden" name="kind" value=(group.kind);
    }
}
