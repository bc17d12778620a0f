//! `comms_call_on_behalf`: somebody is called in the name of somebody else.

use butt_dial_comms::calls::place::{self, PlaceRequest};
use butt_dial_domain::{Address, Channel, Code, Failure, Scope, call::Purpose};
use schemars::JsonSchema;
use serde::Deserialize;

use super::views::PlacedView;
use crate::operations::{Context, Hints, Operation, Route};

pub struct CallOnBehalf;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Whom to call: a telephone number in E.164 form.
    target: String,
    /// The number of the person for whom you call, in E.164 form: it is where the target may call back.
    #[serde(alias = "requester_phone")]
    requester_phone: String,
    #[serde(default, alias = "target_name")]
    target_name: Option<String>,
    /// For whom you call; your own name where nothing is said.
    #[serde(default, alias = "requester_name")]
    requester_name: Option<String>,
    /// What the target is told first.
    #[serde(default)]
    message: Option<String>,
    /// What is spoken, as in en-US.
    #[serde(default)]
    language: Option<String>,
    /// The carrier's name of a voice.
    #[serde(default)]
    voice: Option<String>,
    /// How long the call may last: 30 to 3600 seconds.
    #[serde(default, alias = "time_limit_seconds")]
    time_limit_seconds: Option<u32>,
    /// The same key calls once: a repeat returns the first call.
    #[serde(default, alias = "idempotency_key")]
    idempotency_key: Option<String>,
    /// Taken, and not used.
    #[serde(default, alias = "recipient_timezone")]
    #[expect(dead_code, reason = "clients send it")]
    recipient_timezone: Option<String>,
    /// Taken, and not used: name a voice instead.
    #[serde(default, alias = "target_gender")]
    #[expect(dead_code, reason = "clients send it")]
    target_gender: Option<String>,
}

impl Operation for CallOnBehalf {
    const NAME: &'static str = "comms_call_on_behalf";
    const TITLE: &'static str = "Call for somebody";
    const DESCRIPTION: &'static str = "Calls a person in the name of somebody else, tells the message, and lets you talk with them as \
        comms_make_call does: attend the call with comms_attend_call. Returns callId and status. [scope: agent]";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/calls/on-behalf",
        status: 200,
    });

    type Args = Args;
    type Output = PlacedView;

    async fn run(context: Context, args: Args) -> Result<PlacedView, Failure> {
        let callback = Address::parse(Channel::Voice, &args.requester_phone).map_err(|error| {
            Failure::new(Code::InvalidArgument, format!("requesterPhone: {error}"))
                .remedy("give one number with its country code, such as +14155550123")
        })?;
        let words = words(&args, callback.as_str());
        let request = PlaceRequest {
            greeting: words.greeting,
            system_prompt: Some(words.system_prompt),
            name: args.requester_name,
            voice: args.voice,
            language: args.language,
            limit_seconds: args.time_limit_seconds,
            detects_machine: true,
            idempotency_key: args.idempotency_key,
            ..PlaceRequest::new(context.caller, args.target, Purpose::Converse)
        };
        Ok(place::place(&context.comms, request).await?.into())
    }
}

struct Words {
    /// After the disclosure, which says for whom is called.
    greeting: Option<String>,
    system_prompt: String,
}

fn words(args: &Args, callback: &str) -> Words {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let (message, target) = (given(&args.message), given(&args.target_name));
    let requester = given(&args.requester_name).unwrap_or_else(|| "the person who asked you to".to_owned());
    let whom = target.unwrap_or_else(|| "the person who answers".to_owned());
    let purpose = match &message {
        Some(message) => format!("You have told them this message: \"{message}\""),
        None => "Find out what they can do for that person.".to_owned(),
    };
    Words {
        system_prompt: format!(
            "You are an AI on the telephone, calling {whom} for {requester}, who can be called back at {callback}. {purpose} \
             Make sure that it was understood, answer what you can, promise nothing in the name of {requester} that you were \
             not told, and take down what is to be told to {requester}. One to three short sentences at a time that sound \
             well when they are read aloud."
        ),
        greeting: message,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_is_called_hears_the_message_and_the_model_learns_the_purpose() {
        let args = json!({
            "target": "+14155550123", "requesterPhone": "+14155550101", "requesterName": "Ann Lee", "targetName": "Bo",
            "message": "Dinner is at eight.", "recipientTimezone": "UTC", "unknown": 1,
        });
        let args: Args = serde_json::from_value(args).unwrap();
        let words = words(&args, "+14155550101");
        assert_eq!(words.greeting.as_deref(), Some("Dinner is at eight."));
        for part in ["Bo", "Ann Lee", "+14155550101", "Dinner is at eight."] {
            assert!(words.system_prompt.contains(part), "{part}");
        }
    }
}
