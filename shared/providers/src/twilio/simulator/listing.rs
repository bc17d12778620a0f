//! The list of messages, filtered and paged, newest first (Twilio, API reference: Messages resource, paging).

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Response},
};
use butt_dial_domain::Channel;
use chrono::NaiveDate;
use serde_json::json;
use url::form_urlencoded::{self, Serializer};

use super::{ID, accounts::owner_of, error::ApiError, rendered};
use crate::{
    simulator::{SimulatedMessage, SimulatorState},
    twilio::wire::{VERSION, WHATSAPP},
};

const PAGE_SIZE: usize = 50;
const MAX_PAGE_SIZE: usize = 1_000;

pub async fn list(
    State(simulator): State<SimulatorState>,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let fields: Vec<(String, String)> = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .into_owned()
        .collect();
    let Ok(filter) = Filter::read(&fields) else {
        return ApiError::bad(20001, "Bad query parameter").into_response();
    };
    let to = filter.to.as_ref().map(|(_, number)| number.as_str());
    // One more message than the page holds shows whether there is a next page.
    let mut messages = simulator.select(ID, to, filter.size + 1, |message| {
        filter.fits(message) && owner_of(&simulator, &message.from) == account
    });
    let has_more = messages.len() > filter.size;
    messages.truncate(filter.size);
    let next = messages
        .last()
        .filter(|_| has_more)
        .map(|last| filter.uri(&account, &fields, filter.page + 1, last.sequence));
    let path = path(&account);
    Json(json!({
        "page": filter.page,
        "page_size": filter.size,
        "start": filter.page * filter.size,
        "end": (filter.page * filter.size + messages.len()).saturating_sub(1),
        "uri": path,
        "first_page_uri": format!("{path}?PageSize={}&Page=0", filter.size),
        "previous_page_uri": null,
        "next_page_uri": next,
        "messages": messages.iter().map(|message| rendered(&simulator, message)).collect::<Vec<_>>(),
    }))
    .into_response()
}

fn path(account: &str) -> String {
    format!("/{VERSION}/Accounts/{account}/Messages.json")
}

/// An address and the channel of its prefix.
type Party = (Channel, String);

#[derive(Default)]
struct Filter {
    to: Option<Party>,
    from: Option<Party>,
    on: Option<NaiveDate>,
    not_before: Option<NaiveDate>,
    not_after: Option<NaiveDate>,
    size: usize,
    page: usize,
    /// Only messages older than this one.
    older_than: Option<u64>,
}

impl Filter {
    fn read(fields: &[(String, String)]) -> Result<Self, ()> {
        let mut filter = Self {
            size: PAGE_SIZE,
            ..Self::default()
        };
        for (name, value) in fields {
            match name.as_str() {
                "To" => filter.to = Some(party(value)),
                "From" => filter.from = Some(party(value)),
                "DateSent" => filter.on = Some(day(value)?),
                "DateSent>" => filter.not_before = Some(day(value)?),
                "DateSent<" => filter.not_after = Some(day(value)?),
                "PageSize" => filter.size = value.parse::<usize>().map_err(|_| ())?.clamp(1, MAX_PAGE_SIZE),
                "Page" => filter.page = value.parse().map_err(|_| ())?,
                "PageToken" => {
                    let token = value.strip_prefix(TOKEN).ok_or(())?;
                    filter.older_than = Some(token.parse().map_err(|_| ())?);
                }
                _ => {}
            }
        }
        Ok(filter)
    }

    fn fits(&self, message: &SimulatedMessage) -> bool {
        let day = message.at.date_naive();
        let is = |expected: &Option<Party>, address: &str| {
            expected
                .as_ref()
                .is_none_or(|(channel, expected)| *channel == message.channel && expected == address)
        };
        is(&self.to, &message.to)
            && is(&self.from, &message.from)
            && self.on.is_none_or(|on| day == on)
            && self.not_before.is_none_or(|first| day >= first)
            && self.not_after.is_none_or(|last| day <= last)
            && self.older_than.is_none_or(|sequence| message.sequence < sequence)
    }

    /// Returns the same query for the next page.
    fn uri(&self, account: &str, fields: &[(String, String)], page: usize, last: u64) -> String {
        let same = fields
            .iter()
            .filter(|(name, _)| !["Page", "PageToken"].contains(&name.as_str()));
        let query = Serializer::new(String::new())
            .extend_pairs(same)
            .append_pair("Page", &page.to_string())
            .append_pair("PageToken", &format!("{TOKEN}{last}"))
            .finish();
        format!("{}?{query}", path(account))
    }
}

const TOKEN: &str = "PASM";

fn party(text: &str) -> Party {
    match text.strip_prefix(WHATSAPP) {
        Some(number) => (Channel::Whatsapp, number.to_owned()),
        None => (Channel::Sms, text.to_owned()),
    }
}

fn day(text: &str) -> Result<NaiveDate, ()> {
    let day = text.get(..10).ok_or(())?;
    NaiveDate::parse_from_str(day, "%Y-%m-%d").map_err(|_| ())
}
