//! `comms_validate_number`: what the numbering plans say about a number.

use butt_dial_domain::{
    Address, Code, Destination, Failure, Scope,
    numbers::{self, LineType},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct ValidateNumber;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    #[schemars(extend("examples" = ["+14155550123"]))]
    phone_number: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The number is possible. Whether it is assigned, only its carrier knows.
    valid: bool,
    /// In E.164 form, or as it was given.
    phone_number: String,
    /// ISO 3166-1.
    country_code: Option<&'static str>,
    calling_code: Option<String>,
    /// By the numbering plan: mobile, landline, mobile_or_landline, toll_free, premium, shared_cost, voip or personal.
    line_type: Option<&'static str>,
    /// null: this installation asks no vendor for it.
    carrier: Option<String>,
    /// null: not known.
    can_receive_sms: Option<bool>,
    can_receive_call: Option<bool>,
    message: &'static str,
}

impl Operation for ValidateNumber {
    const NAME: &'static str = "comms_validate_number";
    const TITLE: &'static str = "Check a telephone number";
    const DESCRIPTION: &'static str = "Returns whether a telephone number is possible, its country and its kind by the numbering plan. It contacts no one and costs \
        nothing. [scope: agent]";
    const BRIEF: &'static str = "Checks a telephone number.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;
    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("number", "phoneNumber"),
        ("phone", "phoneNumber"),
        ("to", "phoneNumber"),
        ("contact", "phoneNumber"),
        ("contactAddress", "phoneNumber"),
    ];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        context.caller.agent()?;
        Ok(describe(&args.phone_number))
    }
}

fn describe(text: &str) -> Output {
    let Some(facts) = numbers::describe(text) else {
        return Output {
            valid: false,
            phone_number: text.trim().to_owned(),
            country_code: None,
            calling_code: None,
            line_type: None,
            carrier: None,
            can_receive_sms: Some(false),
            can_receive_call: Some(false),
            message: "this is no telephone number in international form, such as +14155550123",
        };
    };
    let is_ordinary = Destination::of(&Address::Phone(facts.number.clone())) == Destination::Ordinary;
    let can_receive_sms = match facts.line_type {
        Some(LineType::Mobile) => Some(true),
        Some(LineType::Landline | LineType::TollFree | LineType::Premium | LineType::SharedCost) => Some(false),
        Some(LineType::MobileOrLandline | LineType::Voip | LineType::Personal) | None => None,
    };
    Output {
        valid: true,
        country_code: facts.country,
        calling_code: Some(facts.calling_code),
        line_type: facts.line_type.map(LineType::as_str),
        carrier: None,
        can_receive_sms,
        can_receive_call: facts.line_type.map(|_| true),
        message: match (is_ordinary, facts.line_type) {
            (false, _) => {
                "a satellite, premium or Caribbean number: an operator has to allow it before you can reach it"
            }
            (true, Some(_)) => "the number is possible",
            (true, None) => "the number has a possible length, but its range is not in use",
        },
        phone_number: facts.number,
    }
}
