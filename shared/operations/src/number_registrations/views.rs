//! Wire formats of registrations of numbers.

use butt_dial_accounts::{RegistrationData, RegistrationView, Requirement};
use butt_dial_domain::{
    Code, Failure,
    ports::{
        numbers::NumberKind,
        registrations::{BrandData, CampaignData, RegistrationKind, TollfreeData},
    },
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::views::time;

/// A registration of numbers.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredView {
    id: String,
    kind: RegistrationKind,
    /// submitting, pending, in_review, approved or failed.
    state: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// The provider's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<String>,
    /// The provider's id of the messaging service of a campaign.
    #[serde(skip_serializing_if = "Option::is_none")]
    messaging_service: Option<String>,
    /// The account of the organization at the provider. Absent: the installation's account.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    brand: Option<BrandData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign: Option<CampaignData>,
    /// The number of a toll-free verification.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tollfree: Option<TollfreeData>,
    created_at: String,
    updated_at: String,
}

impl From<RegistrationView> for RegisteredView {
    fn from(view: RegistrationView) -> Self {
        let RegistrationView { stored, data } = view;
        let (mut brand, mut campaign, mut tollfree, mut number) = (None, None, None, None);
        match data {
            RegistrationData::Brand { data } => brand = Some(data),
            RegistrationData::Campaign { data } => campaign = Some(*data),
            RegistrationData::Tollfree { number: of, data } => (number, tollfree) = (Some(of), Some(*data)),
        }
        Self {
            id: stored.id.into_string(),
            kind: stored.kind,
            state: stored.state.into(),
            failure: stored.failure,
            provider_id: stored.external_id,
            messaging_service: stored.service_id,
            account_id: stored.account_id,
            brand,
            campaign,
            number,
            tollfree,
            created_at: time(stored.created_at),
            updated_at: time(stored.updated_at),
        }
    }
}

/// A registration that a number needs before it may send texts.
#[derive(Serialize, JsonSchema)]
pub struct RequirementView {
    kind: RegistrationKind,
    title: &'static str,
    /// How long the provider takes.
    duration: &'static str,
    notes: Vec<&'static str>,
}

impl From<&Requirement> for RequirementView {
    fn from(requirement: &Requirement) -> Self {
        Self {
            kind: requirement.kind,
            title: requirement.title,
            duration: requirement.duration,
            notes: requirement.notes.to_vec(),
        }
    }
}

/// Reads the kind of a number.
pub fn number_kind(text: Option<&str>) -> Result<NumberKind, Failure> {
    match text {
        None => Ok(NumberKind::default()),
        Some("tollfree") => Ok(NumberKind::TollFree),
        Some(text) => text.parse().map_err(|_| {
            Failure::new(Code::InvalidArgument, "type is one of local, mobile, toll_free")
                .detail("fields", json!(["type"]))
        }),
    }
}
