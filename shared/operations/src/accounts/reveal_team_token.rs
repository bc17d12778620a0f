//! `POST /api/orgs/{orgId}/reveal-team-token`: a team token for the host that has lost it.

use butt_dial_accounts::ReplayGuard;
use butt_dial_domain::{Code, Failure, OrgId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::views::BothCasings;
use crate::{Context, Header, Hints, Operation, Route};

pub struct RevealTeamToken;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    org_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The secret. It is returned only once.
    token: String,
    team_token: String,
    /// It replaces another token.
    rotated: bool,
    org_id: String,
    org_name: String,
}

impl Operation for RevealTeamToken {
    const NAME: &'static str = "reveal_team_token";
    const TITLE: &'static str = "Get a team token again";
    const DESCRIPTION: &'static str = "Mints a team token for the holder of the webhook secret, which is the bearer token. It replaces the team tokens without a label.";
    const SCOPE: Scope = Scope::Anyone;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/{orgId}/reveal-team-token",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[
        Code::AuthMissingHeader,
        Code::AuthForbidden,
        Code::AuthTimestampExpired,
        Code::AuthNonceReplay,
        Code::WebhookSecretUnregistered,
    ]];
    const HEADERS: &'static [Header] = &[
        Header {
            name: "X-Request-Timestamp",
            description: "The time in seconds since 1970, at most 60 seconds off.",
        },
        Header {
            name: "X-Request-Nonce",
            description: "32 random hexadecimal digits, used once.",
        },
    ];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let headers = &context.request.headers;
        let accounts = &context.product.accounts;
        accounts.take_open_request("reveal", headers.client).await?;
        let guard = ReplayGuard {
            timestamp: headers.timestamp.as_deref(),
            nonce: headers.nonce.as_deref(),
        };
        let revealed = accounts
            .reveal_team_token(&OrgId::from(args.org_id), headers.bearer.as_deref(), guard)
            .await?;
        context.product.guard.forget_callers();
        Ok(BothCasings(Output {
            token: revealed.token.clone(),
            team_token: revealed.token,
            rotated: revealed.rotated,
            org_id: revealed.org.into_string(),
            org_name: revealed.name,
        }))
    }
}
