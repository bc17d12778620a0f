//! `comms_list_available_numbers`: numbers that the organization can buy.

use butt_dial_accounts::requirements_of;
use butt_dial_billing::PriceList;
use butt_dial_domain::{
    Code, Failure, Scope, bounds,
    ports::numbers::{AvailableNumber, NumberKind, NumberQuery},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Context, Hints, Operation, Route, errors,
    number_registrations::views::{RequirementView, number_kind},
};

pub struct ListAvailableNumbers;

const DEFAULT_LIMIT: u32 = 10;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Two letters, such as US (the default).
    #[serde(default)]
    country: Option<String>,
    /// local (the default), mobile or toll_free.
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    area_code: Option<String>,
    /// Digits that the number contains; * stands for any digit.
    #[serde(default)]
    contains: Option<String>,
    /// 1 to 50; the default is 10.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::FOUND_NUMBERS))]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NumberView {
    phone_number: String,
    country: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    locality: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    capabilities: Vec<&'static str>,
    /// The provider sells it only to an account with such an address: any, local or foreign.
    #[serde(skip_serializing_if = "Option::is_none")]
    address_requirement: Option<String>,
    /// US dollars, by the price list of this server.
    monthly_price: f64,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    numbers: Vec<NumberView>,
    count: usize,
    /// The registrations that these numbers need before they may send texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requirements: Vec<RequirementView>,
}

impl Operation for ListAvailableNumbers {
    const NAME: &'static str = "comms_list_available_numbers";
    const TITLE: &'static str = "Numbers for sale";
    const DESCRIPTION: &'static str = "Searches phone numbers that your organization can buy, with their monthly price and the address that the provider \
        requires. [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/numbers/available",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::PROVISIONING];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let kind = number_kind(args.kind.as_deref())?;
        let query = NumberQuery {
            country: args.country.unwrap_or_else(|| "US".to_owned()),
            kind,
            area_code: digits(args.area_code, "areaCode", "")?,
            contains: digits(args.contains, "contains", "*")?,
            limit: args.limit.unwrap_or(DEFAULT_LIMIT),
        };
        let requirements = requirements_of(&query.country.trim().to_ascii_uppercase(), kind).iter();
        let requirements = requirements.map(RequirementView::from).collect();
        let found = context.product.senders.search(&context.caller, query).await?;
        let prices = context.product.billing.prices();
        let numbers: Vec<NumberView> = found.into_iter().map(|number| view(prices, number, kind)).collect();
        Ok(Output {
            count: numbers.len(),
            numbers,
            requirements,
        })
    }
}

/// Checks a pattern of digits.
fn digits(text: Option<String>, field: &'static str, more: &str) -> Result<Option<String>, Failure> {
    let Some(text) = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.len() > 16 || !text.chars().all(|c| c.is_ascii_digit() || more.contains(c)) {
        return Err(
            Failure::new(Code::InvalidArgument, format!("{field} has up to 16 digits"))
                .detail("fields", json!([field])),
        );
    }
    Ok(Some(text))
}

fn view(prices: PriceList<'_>, number: AvailableNumber, kind: NumberKind) -> NumberView {
    let has = number.capabilities;
    let capabilities = [(has.sms, "sms"), (has.mms, "mms"), (has.voice, "voice")];
    NumberView {
        monthly_price: prices.number_month(&number.country, kind).as_units(),
        phone_number: number.number,
        locality: number.locality,
        region: number.region,
        country: number.country,
        capabilities: capabilities
            .into_iter()
            .filter(|(has, _)| *has)
            .map(|(_, name)| name)
            .collect(),
        address_requirement: number.address_requirement,
    }
}
