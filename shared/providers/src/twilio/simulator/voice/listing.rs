//! The list of calls, filtered and paged, newest first (Twilio, API reference: Calls resource, paging).

use axum::{
    Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use serde_json::json;
use url::form_urlencoded::{self, Serializer};

use super::{ACCOUNT_SID, ApiError, ID, rendered};
use crate::{
    simulator::{SimulatorState, calls::Call},
    twilio::wire::VERSION,
};

const PAGE_SIZE: usize = 50;
const MAX_PAGE_SIZE: usize = 1_000;

pub async fn list(State(simulator): State<SimulatorState>, RawQuery(query): RawQuery) -> Response {
    let fields: Vec<(String, String)> = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .into_owned()
        .collect();
    let find = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let number = |name: &str, default: usize| find(name).map_or(Ok(default), str::parse);
    let (Ok(size), Ok(page)) = (number("PageSize", PAGE_SIZE), number("Page", 0)) else {
        return ApiError::bad(20001, "Bad query parameter").into_response();
    };
    let size = size.clamp(1, MAX_PAGE_SIZE);
    let is = |name: &str, value: &str| find(name).is_none_or(|expected| expected == value);
    let fits = |call: &Call| {
        call.vendor() == ID
            && is("To", call.to())
            && is("From", call.from())
            && is("Status", super::status_label(call.status()))
    };
    let found: Vec<Call> = simulator.calls().into_iter().rev().filter(fits).collect();
    let shown: Vec<_> = found.iter().skip(page * size).take(size).map(rendered).collect();
    let next = (found.len() > (page + 1) * size).then(|| {
        let same = fields.iter().filter(|(name, _)| name != "Page");
        let query = Serializer::new(String::new())
            .extend_pairs(same)
            .append_pair("Page", &(page + 1).to_string())
            .finish();
        format!("/{VERSION}/Accounts/{ACCOUNT_SID}/Calls.json?{query}")
    });
    Json(json!({ "page": page, "page_size": size, "next_page_uri": next, "calls": shown })).into_response()
}
