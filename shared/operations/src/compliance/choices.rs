//! The choices of an organization about compliance: `GET` and `PUT /api/v1/compliance-choices`.

use butt_dial_compliance::ComplianceChoices;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct GetChoices;
pub struct SetChoices;

/// The effect on a message outside its allowed hours.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutsideHours {
    /// It is scheduled for the allowed hours.
    Schedule,
    Refuse,
}

/// Whether the first message to a person says that an AI assistant writes.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AiDisclosure {
    On,
    Off,
    /// As the operator chose.
    Default,
}

/// The effect of a text that resembles instructions to the agent.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaintedTexts {
    /// The agent gets it with an advice.
    Advise,
    /// Besides, each message of the agent needs the approval of a person for 15 minutes, and calls are refused.
    Confirm,
}

#[derive(Deserialize, JsonSchema)]
pub struct NoArgs {}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The effect on a message outside its allowed hours. Absent: as before.
    #[serde(default)]
    outside_hours: Option<OutsideHours>,
    /// The name and postal address in the footer of marketing mails, at most 300 characters. An empty one removes it. Absent: as before.
    #[serde(default)]
    postal_address: Option<String>,
    /// Whether the first message to a person says that an AI assistant writes. default: as the operator chose, who can also demand it
    /// of all. Absent: as before.
    #[serde(default)]
    ai_disclosure: Option<AiDisclosure>,
    /// The words of this disclosure, in your language, at most 200 characters. An empty one restores those of the operator. Absent: as
    /// before.
    #[serde(default)]
    ai_disclosure_text: Option<String>,
    /// The effect of a received text that resembles instructions to the agent. confirm: for 15 minutes after the agent has got it, its
    /// messages wait for an approval, and its calls are refused. Absent: as before.
    #[serde(default)]
    tainted_texts: Option<TaintedTexts>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    outside_hours: OutsideHours,
    /// Absent: marketing mails are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    postal_address: Option<String>,
    ai_disclosure: AiDisclosure,
    /// Absent: the words of the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    ai_disclosure_text: Option<String>,
    tainted_texts: TaintedTexts,
}

const PATH: &str = "/api/v1/compliance-choices";

impl Operation for GetChoices {
    const NAME: &'static str = "get_compliance_choices";
    const TITLE: &'static str = "Get the choices about compliance";
    const DESCRIPTION: &'static str = "Returns what happens to messages outside their allowed hours, the postal address in marketing mails, the disclosure that an AI \
        assistant writes, and the effect of texts that resemble instructions.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: PATH,
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = NoArgs;
    type Output = Output;

    async fn run(context: Context, _: NoArgs) -> Result<Output, Failure> {
        let choices = context.product.compliance_choices.find(context.caller.org()?).await?;
        Ok(choices.into())
    }
}

impl Operation for SetChoices {
    const NAME: &'static str = "set_compliance_choices";
    const TITLE: &'static str = "Set the choices about compliance";
    const DESCRIPTION: &'static str = "Sets whether messages outside their allowed hours are scheduled or refused, the postal address in the footer of marketing \
        mails, the disclosure that an AI assistant writes, and the effect of texts that resemble instructions. All hold within a second.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "PUT",
        path: PATH,
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (choices, org) = (&context.product.compliance_choices, context.caller.org()?);
        let before = choices.find(org).await?;
        let given = ComplianceChoices {
            refuses_waiting: args
                .outside_hours
                .map_or(before.refuses_waiting, |choice| matches!(choice, OutsideHours::Refuse)),
            postal_address: args.postal_address.or(before.postal_address),
            discloses: match args.ai_disclosure {
                Some(AiDisclosure::On) => Some(true),
                Some(AiDisclosure::Off) => Some(false),
                Some(AiDisclosure::Default) => None,
                None => before.discloses,
            },
            disclosure_text: args.ai_disclosure_text.or(before.disclosure_text),
            confirms_tainted: args.tainted_texts.map_or(before.confirms_tainted, |choice| {
                matches!(choice, TaintedTexts::Confirm)
            }),
        };
        let actor = context.caller.principal.token.as_str();
        Ok(choices.set(org, actor, given).await?.into())
    }
}

impl From<ComplianceChoices> for Output {
    fn from(choices: ComplianceChoices) -> Self {
        Self {
            outside_hours: match choices.refuses_waiting {
                true => OutsideHours::Refuse,
                false => OutsideHours::Schedule,
            },
            postal_address: choices.postal_address,
            ai_disclosure: match choices.discloses {
                Some(true) => AiDisclosure::On,
                Some(false) => AiDisclosure::Off,
                None => AiDisclosure::Default,
            },
            ai_disclosure_text: choices.disclosure_text,
            tainted_texts: match choices.confirms_tainted {
                true => TaintedTexts::Confirm,
                false => TaintedTexts::Advise,
            },
        }
    }
}
