//! Wire formats that several operations of accounts share.

use butt_dial_accounts::{Verified, VerifiedOutcome};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{time, views::BothCasings};

/// The result of a verification. Before the terms are accepted there is no token.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedView {
    org_id: String,
    /// The secret of the team token. It is returned only once. null: the terms have to be accepted first.
    team_token: Option<String>,
    owner_token: Option<String>,
    scopes: &'static str,
    verified_at: String,
    requires_onboarding: bool,
    /// The token is sent to the webhook of the registration.
    webhook_notified: bool,
    /// Pass it to POST /api/orgs/onboarding/accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    onboarding_session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    onboarding_expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    onboarding_url: Option<String>,
    /// The version of the terms to accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    terms_version: Option<String>,
    /// The URL at which the owner's browser continues. Without a webhook, its fragment contains the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    fragment_redirect_url: Option<String>,
}

impl VerifiedView {
    pub fn new(verified: Verified) -> BothCasings<Self> {
        let mut view = Self {
            org_id: verified.org.into_string(),
            team_token: None,
            owner_token: None,
            scopes: "org-admin",
            verified_at: time(verified.verified_at),
            requires_onboarding: false,
            webhook_notified: false,
            onboarding_session_id: None,
            onboarding_expires_at: None,
            onboarding_url: None,
            terms_version: None,
            fragment_redirect_url: None,
        };
        match verified.outcome {
            VerifiedOutcome::Active {
                team_token,
                redirect,
                webhook_notified,
            } => {
                view.webhook_notified = webhook_notified;
                view.owner_token = Some(team_token.clone());
                view.team_token = Some(team_token);
                view.fragment_redirect_url = redirect;
            }
            VerifiedOutcome::NeedsTerms {
                session,
                expires_at,
                url,
                version,
            } => {
                view.requires_onboarding = true;
                view.onboarding_url = Some(url.unwrap_or_else(|| format!("/onboarding?s={session}")));
                view.onboarding_session_id = Some(session);
                view.onboarding_expires_at = Some(time(expires_at));
                view.terms_version = Some(version);
            }
        }
        BothCasings(view)
    }
}
