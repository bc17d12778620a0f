//! The port to a vendor's registrations of US numbers: messaging services, brands and campaigns of long codes (A2P 10DLC), and
//! verifications of toll-free numbers. An adapter never repeats a creation: after `Unknown`, `find` shows whether it was made.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::numbers::NumberError;

/// The subject of a registration.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum RegistrationKind {
    /// The business that sends.
    Brand,
    /// The messages of a brand from long codes.
    Campaign,
    /// The messages from one toll-free number.
    Tollfree,
}

impl TryFrom<String> for RegistrationKind {
    type Error = strum::ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// How far a registration is at the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewState {
    Pending,
    InReview,
    Approved,
    Failed,
}

/// A registration at the vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorRegistration {
    /// The vendor's id.
    pub id: String,
    pub state: ReviewState,
    /// Why it failed, as the vendor says.
    pub failure: Option<String>,
}

/// The business that sends. The vendor has its names and addresses in two profiles, which the business fills in there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct BrandData {
    /// The approved customer profile at the provider (Twilio: BU and 32 hex digits).
    pub customer_profile_id: String,
    /// The A2P messaging profile at the provider (Twilio: BU and 32 hex digits).
    pub a2p_profile_id: String,
    /// standard (the default) or sole_proprietor.
    pub brand_type: Option<String>,
    /// true: a standard brand without secondary vetting, for low volumes.
    pub skip_vetting: bool,
}

/// The messages of a brand from long codes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CampaignData {
    /// The messages, their recipients and their purpose; 40 to 4096 characters.
    pub description: String,
    /// How people consent to the messages; 40 to 2048 characters.
    pub message_flow: String,
    /// 2 to 5 messages as they are sent, each 20 to 1024 characters.
    pub message_samples: Vec<String>,
    /// The use case as the provider names it, such as CUSTOMER_CARE, MIXED or LOW_VOLUME.
    pub use_case: String,
    pub has_embedded_links: bool,
    pub has_embedded_phone: bool,
    pub opt_in_message: Option<String>,
    pub opt_out_message: Option<String>,
    pub help_message: Option<String>,
    pub opt_in_keywords: Vec<String>,
    pub opt_out_keywords: Vec<String>,
    pub help_keywords: Vec<String>,
    pub privacy_policy_url: Option<String>,
    pub terms_url: Option<String>,
}

/// The messages from a toll-free number, and the business that sends them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct TollfreeData {
    pub business_name: String,
    pub business_website: String,
    /// The mail address that the provider informs.
    pub notification_email: String,
    /// 1 to 5 use cases as the provider names them, such as CUSTOMER_CARE.
    pub use_case_categories: Vec<String>,
    /// 10 to 500 characters.
    pub use_case_summary: String,
    /// A message as it is sent; 20 to 1000 characters.
    pub message_sample: String,
    /// 1 to 5 pictures of how people consent.
    pub opt_in_image_urls: Vec<String>,
    /// verbal, web_form, paper_form, via_text or mobile_qr_code.
    pub opt_in_type: String,
    /// Messages each month, such as 10, 100, 1,000 or 10,000.
    pub message_volume: String,
    pub business_street_address: Option<String>,
    pub business_city: Option<String>,
    pub business_state: Option<String>,
    pub business_postal_code: Option<String>,
    /// Two letters.
    pub business_country: Option<String>,
    pub contact_first_name: Option<String>,
    pub contact_last_name: Option<String>,
    pub contact_email: Option<String>,
    pub contact_phone: Option<String>,
    pub business_registration_number: Option<String>,
    /// Such as EIN.
    pub business_registration_authority: Option<String>,
    /// Two letters.
    pub business_registration_country: Option<String>,
    /// private_profit, public_profit, non_profit, government or sole_proprietor.
    pub business_type: Option<String>,
    pub additional_information: Option<String>,
}

/// A registration to create, or to find again.
#[derive(Clone, Copy, Debug)]
pub enum RegistrationRequest<'a> {
    Brand(&'a BrandData),
    Campaign {
        /// The vendor's id of the messaging service.
        service: &'a str,
        /// The vendor's id of the brand.
        brand: &'a str,
        data: &'a CampaignData,
    },
    Tollfree {
        /// The vendor's id of the number.
        number: &'a str,
        data: &'a TollfreeData,
    },
}

/// A registration that the vendor has.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationKey<'a> {
    pub kind: RegistrationKind,
    /// The vendor's id.
    pub id: &'a str,
    /// The vendor's id of the messaging service of a campaign.
    pub service: Option<&'a str>,
}

/// The registrations of an account.
#[async_trait]
pub trait NumberRegistrations: Send + Sync {
    /// Creates a messaging service, or returns the one with this label. Messages to its numbers keep the URLs of the numbers.
    async fn service(&self, label: &str) -> Result<String, NumberError>;

    /// Adds a number to a service. Safe to repeat.
    async fn add_number(&self, service: &str, number: &str) -> Result<(), NumberError>;

    /// Lists the vendor's ids of the numbers of a service.
    async fn numbers_of(&self, service: &str) -> Result<Vec<String>, NumberError>;

    async fn create(&self, request: RegistrationRequest<'_>) -> Result<VendorRegistration, NumberError>;

    /// Finds the registration that a request has created.
    async fn find(&self, request: RegistrationRequest<'_>) -> Result<Option<VendorRegistration>, NumberError>;

    async fn fetch(&self, key: RegistrationKey<'_>) -> Result<VendorRegistration, NumberError>;

    /// Submits a brand or a toll-free verification again, after a failure.
    async fn resubmit(&self, id: &str, request: RegistrationRequest<'_>) -> Result<VendorRegistration, NumberError>;

    /// Removes a campaign or a toll-free verification. `NotFound`: there is none.
    async fn remove(&self, key: RegistrationKey<'_>) -> Result<(), NumberError>;
}
