//! Legal holds: `GET` and `PUT /api/v1/holds`, and `DELETE /api/v1/holds/{id}`.

use butt_dial_accounts::Hold;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, contacts::contact_on, views::time};

pub struct ListHolds;
pub struct PutHold;
pub struct ReleaseHold;

#[derive(Deserialize, JsonSchema)]
pub struct NoArgs {}

#[derive(Serialize, JsonSchema)]
pub struct ListOutput {
    holds: Vec<HoldView>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldView {
    id: String,
    /// organization or contact.
    of: &'static str,
    reason: String,
    /// The id of a token.
    actor: String,
    created_at: String,
}

#[derive(Deserialize, JsonSchema)]
pub struct PutArgs {
    /// The person. The default is the whole organization.
    #[serde(default)]
    contact: Option<String>,
    /// The default follows from the address.
    #[serde(default)]
    channel: Option<String>,
    /// One line that does not name the person.
    reason: String,
}

#[derive(Deserialize, JsonSchema)]
pub struct ReleaseArgs {
    id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Done {
    success: bool,
}

const PATH: &str = "/api/v1/holds";

const fn route(method: &'static str, path: &'static str) -> Option<Route> {
    Some(Route {
        method,
        path,
        status: 200,
    })
}

impl From<Hold> for HoldView {
    fn from(hold: Hold) -> Self {
        Self {
            id: hold.id,
            of: if hold.is_of_organization {
                "organization"
            } else {
                "contact"
            },
            reason: hold.reason,
            actor: hold.actor,
            created_at: time(hold.created_at),
        }
    }
}

impl Operation for ListHolds {
    const NAME: &'static str = "list_holds";
    const TITLE: &'static str = "List legal holds";
    const DESCRIPTION: &'static str =
        "Lists the legal holds of the organization. While one is in force, nothing of the organization expires.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("GET", PATH);
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = NoArgs;
    type Output = ListOutput;

    async fn run(context: Context, _: NoArgs) -> Result<ListOutput, Failure> {
        let holds = context.product.subjects.list_holds(context.caller.org()?).await?;
        Ok(ListOutput {
            holds: holds.into_iter().map(HoldView::from).collect(),
        })
    }
}

impl Operation for PutHold {
    const NAME: &'static str = "put_hold";
    const TITLE: &'static str = "Put a legal hold";
    const DESCRIPTION: &'static str = "Puts a legal hold on a person or on the whole organization: erasure is refused, and nothing of the organization expires until the \
        hold is released.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("PUT", PATH);
    const ERRORS: &'static [&'static [Code]] = &[&[Code::InvalidRecipient, Code::Conflict]];

    type Args = PutArgs;
    type Output = HoldView;

    async fn run(context: Context, args: PutArgs) -> Result<HoldView, Failure> {
        let contact = args
            .contact
            .as_deref()
            .map(|contact| contact_on(args.channel.as_deref(), contact));
        let contact = contact.transpose()?.map(|(_, contact)| contact);
        let actor = context.caller.principal.token.as_str();
        let subjects = &context.product.subjects;
        let org = context.caller.org()?;
        let hold = subjects.put_hold(org, actor, contact.as_ref(), &args.reason).await?;
        Ok(hold.into())
    }
}

impl Operation for ReleaseHold {
    const NAME: &'static str = "release_hold";
    const TITLE: &'static str = "Release a legal hold";
    const DESCRIPTION: &'static str =
        "Releases a legal hold. What was due to expire meanwhile is deleted by the next sweep.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("DELETE", "/api/v1/holds/{id}");
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = ReleaseArgs;
    type Output = Done;

    async fn run(context: Context, args: ReleaseArgs) -> Result<Done, Failure> {
        let actor = context.caller.principal.token.as_str();
        let org = context.caller.org()?;
        context.product.subjects.release_hold(org, actor, &args.id).await?;
        Ok(Done { success: true })
    }
}
