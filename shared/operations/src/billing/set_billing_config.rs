//! `POST /api/v1/billing/config`: the tier, markup and invoice address of an agent or of the organization.

use butt_dial_billing::BillingChange;
use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct SetBillingConfig;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The agent. Without it, the configuration applies to all agents without their own.
    #[serde(default)]
    agent_id: Option<String>,
    /// The tier sets the limits of actions and spend.
    #[serde(default)]
    #[schemars(extend("enum" = ["free", "starter", "pro", "enterprise"]))]
    tier: Option<String>,
    /// 0 to 500. Usage is billed at its cost and this much more.
    #[serde(default)]
    #[schemars(range(min = 0, max = bounds::MARKUP))]
    markup_percent: Option<f64>,
    #[serde(default)]
    billing_email: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    tier: Option<String>,
    markup_percent: f64,
    billing_email: Option<String>,
}

impl Operation for SetBillingConfig {
    const NAME: &'static str = "set_billing_config";
    const TITLE: &'static str = "Set tier and markup";
    const DESCRIPTION: &'static str = "Sets the tier, the markup and the invoice address of an agent or of the organization. A tier sets limits, which are enforced. \
        Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/billing/config",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let caller = &context.caller;
        if caller.principal.agent.is_some() {
            return Err(
                Failure::new(Code::AuthForbidden, "an agent can't change what it is billed").hint("use a team token"),
            );
        }
        let email = args.billing_email.as_deref().map(str::trim);
        if email.is_some_and(|email| butt_dial_domain::Address::parse(butt_dial_domain::Channel::Email, email).is_err())
        {
            return Err(Failure::new(
                Code::InvalidArgument,
                "billingEmail is not a valid e-mail address",
            ));
        }
        let change = BillingChange {
            agent: args.agent_id.as_deref(),
            tier: args.tier.as_deref(),
            markup_percent: args.markup_percent,
            billing_email: email,
        };
        let billing = &context.product.billing;
        let terms = billing
            .set_billing(caller.org()?, &caller.principal.token, change)
            .await?;
        context.product.guard.forget_callers();
        Ok(Output {
            success: true,
            agent_id: args.agent_id,
            tier: terms.tier,
            markup_percent: terms.markup_percent,
            billing_email: terms.billing_email,
        })
    }
}
