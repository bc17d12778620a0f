//! `comms_create_session`: opens a conversation.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use butt_dial_messaging::{Participant, ParticipantKind};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::views::SessionView;
use crate::{Context, Hints, Operation, Route, contacts::parse_channel, named_values::JsonObject};

pub struct CreateSession;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// The others: at most 20.
    #[schemars(length(min = 1, max = bounds::PARTICIPANTS))]
    participants: Vec<ParticipantArgs>,
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    channel: Option<String>,
    /// The subject of the conversation, for you to read later: a text or an object.
    #[serde(default)]
    #[schemars(with = "Option<JsonObject>")]
    context: Option<Value>,
}

#[derive(Deserialize, JsonSchema)]
pub struct ParticipantArgs {
    /// The id of an agent, or the address of a person.
    id: String,
    /// agent or human.
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    #[schemars(length(max = bounds::NAME))]
    name: Option<String>,
}

impl Operation for CreateSession {
    const NAME: &'static str = "comms_create_session";
    const TITLE: &'static str = "Open a session";
    const DESCRIPTION: &'static str = "Opens a conversation with people and agents. Until it is closed, all messages with them, on any channel, carry its sessionId. \
        [scope: agent]";
    const BRIEF: &'static str = "Opens a conversation with people and agents.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound, Code::InvalidRecipient, Code::RateLimited]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = SessionView;

    async fn run(context: Context, args: Args) -> Result<SessionView, Failure> {
        let channel = args.channel.as_deref().map(parse_channel).transpose()?;
        let participants = args.participants.into_iter().map(participant);
        let participants = participants.collect::<Result<_, _>>()?;
        let opened = context
            .product
            .conversations
            .create(&context.caller, participants, channel, args.context)
            .await?;
        Ok(SessionView::split(opened).0)
    }
}

fn participant(args: ParticipantArgs) -> Result<Participant, Failure> {
    let kind = match args.kind.as_deref() {
        Some("agent") => ParticipantKind::Agent,
        Some("human") | None => ParticipantKind::Human,
        Some(_) => {
            return Err(Failure::new(
                Code::InvalidArgument,
                "participants.type is one of agent, human",
            ));
        }
    };
    Ok(Participant {
        id: args.id,
        kind,
        name: args.name,
    })
}
