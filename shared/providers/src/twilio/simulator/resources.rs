//! The resources of registrations: read from requests, stored, advanced and shown. One with `REJECT` in a field fails.

use axum::{
    Json,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{accounts, error::ApiError};
use crate::simulator::{SimulatedResource, SimulatorState};

pub const SERVICE: &str = "MG";
pub const BRAND: &str = "BN";
pub const CAMPAIGN: &str = "QE";
pub const TOLLFREE: &str = "HH";
pub const STATUS: &str = "Status";
/// The service of a number or a campaign.
pub const PARENT: &str = "Service";
pub const TOLLFREE_NUMBER: &str = "TollfreePhoneNumberSid";

type Fields = Vec<(String, String)>;

/// A request with its account and its form.
pub struct Form {
    pub account: String,
    pub fields: Fields,
}

impl Form {
    pub fn of(simulator: &SimulatorState, headers: &HeaderMap, body: &[u8]) -> Self {
        Self {
            account: accounts::authentic_user(simulator, headers).unwrap_or_default(),
            fields: form_urlencoded::parse(body).into_owned().collect(),
        }
    }

    pub fn find(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let all = self.fields.iter().filter(|(known, _)| known == name);
        all.map(|(_, value)| value.as_str()).collect()
    }

    /// Checks that each of these fields has a value.
    pub fn require(&self, names: &[&str]) -> Result<(), ApiError> {
        match names.iter().find(|name| self.find(name).trim().is_empty()) {
            Some(name) => Err(ApiError::bad(
                20001,
                format!("Missing required parameter {name} in the post body"),
            )),
            None => Ok(()),
        }
    }

    pub fn is_rejected(&self) -> bool {
        self.fields.iter().any(|(_, value)| value.contains("REJECT"))
    }

    /// Stores a resource with these fields.
    pub fn store(&self, simulator: &SimulatorState, kind: &'static str, more: &[(&str, &str)]) -> SimulatedResource {
        let own = self.fields.iter().map(|(name, value)| (name.clone(), value.clone()));
        let more = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let rejected = ("Rejected".to_owned(), self.is_rejected().to_string());
        let resource = SimulatedResource {
            id: format!("{kind}{}", uuid::Uuid::new_v4().simple()),
            kind,
            account: self.account.clone(),
            fields: own.chain(more).chain([rejected]).collect(),
            created_at: simulator.now(),
        };
        simulator.account_book().put_resource(resource.clone());
        resource
    }
}

/// Finds a resource of the account.
pub fn find(
    simulator: &SimulatorState,
    headers: &HeaderMap,
    kind: &str,
    id: &str,
) -> Result<SimulatedResource, ApiError> {
    let account = accounts::authentic_user(simulator, headers).unwrap_or_default();
    let all = simulator.account_book().resources(kind);
    let found = all
        .into_iter()
        .find(|resource| resource.id == id && resource.account == account);
    found.ok_or_else(ApiError::not_found)
}

/// Lists resources of the account that fit.
pub fn listed(
    simulator: &SimulatorState,
    headers: &HeaderMap,
    (kind, key): (&str, &str),
    fits: impl Fn(&SimulatedResource) -> bool,
) -> Response {
    let account = accounts::authentic_user(simulator, headers).unwrap_or_default();
    let all = simulator.account_book().resources(kind);
    let own = all
        .iter()
        .filter(|resource| resource.account == account && fits(resource));
    let shown: Vec<Value> = own.map(shown).collect();
    Json(json!({ key: shown, "meta": { "key": key, "page": 0, "next_page_url": null } })).into_response()
}

/// Advances a registration by one step, as the days at the vendor do.
pub fn advance(simulator: &SimulatorState, mut resource: SimulatedResource) -> SimulatedResource {
    let failed = resource.field("Rejected") == "true";
    let next = match (resource.kind, resource.field(STATUS), failed) {
        (TOLLFREE, "PENDING_REVIEW", _) => "IN_REVIEW",
        (TOLLFREE, "IN_REVIEW", false) => "TWILIO_APPROVED",
        (TOLLFREE, "IN_REVIEW", true) => "TWILIO_REJECTED",
        (CAMPAIGN, "PENDING", _) => "IN_PROGRESS",
        (CAMPAIGN, "IN_PROGRESS", false) => "VERIFIED",
        (BRAND, "PENDING", _) => "IN_REVIEW",
        (BRAND, "IN_REVIEW", false) => "APPROVED",
        (CAMPAIGN, "IN_PROGRESS", true) | (BRAND, "IN_REVIEW", true) => "FAILED",
        _ => return resource,
    };
    resource.fields.insert(STATUS.to_owned(), next.to_owned());
    simulator.account_book().put_resource(resource.clone());
    resource
}

/// Renders a resource.
pub fn shown(resource: &SimulatedResource) -> Value {
    let field = |name: &str| json!(resource.field(name));
    let mut shown = json!({
        "sid": resource.id,
        "account_sid": resource.account,
        "date_created": resource.created_at.to_rfc3339(),
    });
    let failed = matches!(resource.field(STATUS), "FAILED" | "TWILIO_REJECTED");
    let more = match resource.kind {
        BRAND => json!({
            "customer_profile_bundle_sid": field("CustomerProfileBundleSid"),
            "a2p_profile_bundle_sid": field("A2PProfileBundleSid"),
            "brand_type": field("BrandType"),
            "status": field(STATUS),
            "failure_reason": failed.then_some("Brand registration failed: the tax id does not match (30794)"),
            "errors": [],
        }),
        CAMPAIGN => json!({
            "brand_registration_sid": field("BrandRegistrationSid"),
            "messaging_service_sid": field(PARENT),
            "us_app_to_person_usecase": field("UsAppToPersonUsecase"),
            "campaign_status": field(STATUS),
            "errors": match failed {
                true => json!([{ "error_code": 30896, "description": "Campaign rejected: the opt-in information is not valid" }]),
                false => json!([]),
            },
        }),
        TOLLFREE => json!({
            "tollfree_phone_number_sid": field(TOLLFREE_NUMBER),
            "business_name": field("BusinessName"),
            "status": field(STATUS),
            "rejection_reason": failed.then_some("Consent for messaging is a requirement for service"),
            "error_code": failed.then_some(30475),
        }),
        _ => json!({
            "friendly_name": field("FriendlyName"),
            "use_inbound_webhook_on_number": resource.field("UseInboundWebhookOnNumber") == "true",
        }),
    };
    if let (Some(shown), Value::Object(more)) = (shown.as_object_mut(), more) {
        shown.extend(more);
    }
    shown
}
