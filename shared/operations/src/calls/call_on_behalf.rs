//! `comms_call_on_behalf`: places a call on behalf of another person.

use butt_dial_calls::originate::{self, DisclosedName, OriginateRequest};
use butt_dial_domain::{Address, Channel, Code, Failure, Scope, bounds, call::Purpose, text::clean_line};
use schemars::JsonSchema;
use serde::Deserialize;

use super::views::PlacedView;
use crate::{Context, Hints, Operation, Route, errors};

/// Characters of a name.
const MAX_NAME: usize = 128;

pub struct CallOnBehalf;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The telephone number to call, in E.164 form.
    #[schemars(extend("examples" = ["+14155550123"]))]
    target: String,
    /// The telephone number of the person that you call for, in E.164 form. The target may call it back.
    #[schemars(extend("examples" = ["+14155550188"]))]
    requester_phone: String,
    #[serde(default)]
    target_name: Option<String>,
    /// The name of the person that you call for. The default is your name. The disclosure also names your organization.
    #[serde(default)]
    #[schemars(length(max = bounds::REQUESTER))]
    requester_name: Option<String>,
    /// The message that the target hears first.
    #[serde(default)]
    #[schemars(length(max = bounds::GREETING))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    message: Option<String>,
    /// The spoken language, such as en-US.
    #[serde(default)]
    language: Option<String>,
    /// The carrier's name for a voice.
    #[serde(default)]
    #[schemars(length(max = bounds::VOICE))]
    voice: Option<String>,
    /// How long the call may last: 30 to 3600 seconds.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    time_limit_seconds: Option<u32>,
    /// A repeated request with the same key places no second call and returns the first one.
    #[serde(default)]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    idempotency_key: Option<String>,
    /// The task that this is charged to, besides your account: 1 to 64 letters, digits, -, _, . or :.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    #[schemars(length(max = bounds::TASK))]
    task_id: Option<String>,
}

impl Operation for CallOnBehalf {
    const NAME: &'static str = "comms_call_on_behalf";
    const TITLE: &'static str = "Call on behalf of a person";
    const DESCRIPTION: &'static str = "Calls a person on behalf of another person and speaks the message. Then you talk with the person as with \
        comms_make_call: attend the call with comms_attend_call. Returns callId and status. [scope: agent]";
    const BRIEF: &'static str = "Calls a person for another person and speaks the message.";
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
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND];
    // The Python client sends a time zone and a gender, among others.
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = PlacedView;

    async fn run(context: Context, args: Args) -> Result<PlacedView, Failure> {
        let callback = Address::parse(Channel::Voice, &args.requester_phone).map_err(|error| {
            Failure::new(Code::InvalidArgument, format!("requesterPhone: {error}"))
                .hint("give one number with its country code, such as +14155550123")
        })?;
        let calls = &context.product.calls;
        let name = DisclosedName::on_behalf_of(calls, &context.caller, args.requester_name.as_deref()).await?;
        let script = script(&args, callback.as_str());
        let request = OriginateRequest {
            greeting: script.greeting,
            system_prompt: Some(script.system_prompt),
            name: Some(name),
            voice: args.voice,
            language: args.language,
            limit_seconds: args.time_limit_seconds,
            detects_machine: true,
            idempotency_key: args.idempotency_key,
            task: args.task_id,
            ..OriginateRequest::new(context.caller, args.target, Purpose::Converse)
        };
        Ok(originate::originate(calls, request).await?.into())
    }
}

struct Script {
    /// Spoken after the disclosure, which names the person that the call is for.
    greeting: Option<String>,
    system_prompt: String,
}

fn script(args: &Args, callback: &str) -> Script {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let named = |name: &Option<String>| {
        given(name)
            .map(|name| clean_line(&name, MAX_NAME))
            .filter(|name| !name.is_empty())
    };
    let (message, target) = (given(&args.message), named(&args.target_name));
    let requester = named(&args.requester_name).unwrap_or_else(|| "the person who asked you to".to_owned());
    let callee = target.unwrap_or_else(|| "the person who answers".to_owned());
    let purpose = match &message {
        Some(message) => format!("You have told them this message: \"{message}\""),
        None => "Find out what they can do for that person.".to_owned(),
    };
    Script {
        system_prompt: format!(
            "You are an AI on the telephone, calling {callee} for {requester}, who can be called back at {callback}. {purpose} \
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
    fn greeting_is_the_message_and_prompt_names_the_parties() {
        let args = json!({
            "target": "+14155550123", "requesterPhone": "+14155550101", "requesterName": "Ann Lee", "targetName": "Bo",
            "message": "Dinner is at eight.", "recipientTimezone": "UTC", "unknown": 1,
        });
        let args: Args = serde_json::from_value(args).unwrap();
        let script = script(&args, "+14155550101");
        assert_eq!(script.greeting.as_deref(), Some("Dinner is at eight."));
        for part in ["Bo", "Ann Lee", "+14155550101", "Dinner is at eight."] {
            assert!(script.system_prompt.contains(part), "{part}");
        }
    }
}
