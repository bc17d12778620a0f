//! The ports to a vendor's phone numbers and subaccounts. An adapter makes one request per call and classifies the result; it
//! never repeats a purchase.

use async_trait::async_trait;

/// The kind of a phone number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum NumberKind {
    #[default]
    Local,
    Mobile,
    TollFree,
}

/// A search for numbers that can be bought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberQuery {
    /// Two letters (ISO 3166-1).
    pub country: String,
    pub kind: NumberKind,
    pub area_code: Option<String>,
    /// Digits that the number contains; `*` stands for any digit.
    pub contains: Option<String>,
    pub limit: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NumberCapabilities {
    pub voice: bool,
    pub sms: bool,
    pub mms: bool,
}

/// A number that can be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailableNumber {
    /// In E.164 form.
    pub number: String,
    pub locality: Option<String>,
    pub region: Option<String>,
    pub country: String,
    pub capabilities: NumberCapabilities,
    /// The vendor sells it only to an account with an address: `any`, `local` or `foreign`. `None`: to every account.
    pub address_requirement: Option<String>,
}

/// The URLs for messages and calls to a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberUrls {
    pub sms: Option<String>,
    pub voice: Option<String>,
    /// The status of calls.
    pub status: Option<String>,
}

/// A number that the account has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedNumber {
    /// The vendor's id.
    pub id: String,
    /// In E.164 form.
    pub number: String,
    pub label: String,
    pub capabilities: NumberCapabilities,
    pub urls: NumberUrls,
}

/// Why a request about numbers failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Another account has the number, or it is not for sale.
    #[error("the number is not available")]
    Unavailable,
    /// The account has no such number.
    #[error("the account does not have the number")]
    NotFound,
    /// The vendor refuses for good, such as for a missing address. With the vendor's code.
    #[error("the vendor refused the request ({0})")]
    Refused(String),
    /// The vendor refuses the credentials.
    #[error("the vendor refused the credentials")]
    Unauthorized,
    /// No request was made, or the vendor asks to wait. It may be repeated.
    #[error("the vendor is not reachable")]
    Unreachable,
    /// The vendor may have done what it was asked.
    #[error("the outcome of the request is unknown")]
    Unknown,
}

/// The numbers of an account.
#[async_trait]
pub trait Numbers: Send + Sync {
    async fn search(&self, query: &NumberQuery) -> Result<Vec<AvailableNumber>, NumberError>;

    /// Buys a number. `label` identifies the purchase: after `Unknown`, `find` with it shows whether it was made.
    async fn buy(&self, number: &str, label: &str, urls: &NumberUrls) -> Result<OwnedNumber, NumberError>;

    /// Finds a number of the account by its label or by its digits.
    async fn find(&self, by: NumberKey<'_>) -> Result<Option<OwnedNumber>, NumberError>;

    /// Sets the URLs. Safe to repeat.
    async fn configure(&self, id: &str, urls: &NumberUrls) -> Result<OwnedNumber, NumberError>;

    /// Gives the number back. `NotFound`: the account does not have it, or no longer.
    async fn release(&self, id: &str) -> Result<(), NumberError>;
}

/// The property that identifies a number of an account.
#[derive(Clone, Copy, Debug)]
pub enum NumberKey<'a> {
    Number(&'a str),
    Label(&'a str),
}

/// A subaccount of the installation's account.
#[derive(Clone)]
pub struct Subaccount {
    /// The vendor's id.
    pub id: String,
    /// The secret of the subaccount.
    pub token: String,
    pub is_active: bool,
}

/// The status of a subaccount. `Closed` is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SubaccountStatus {
    Active,
    Suspended,
    Closed,
}

/// The subaccounts of an account.
#[async_trait]
pub trait Subaccounts: Send + Sync {
    /// Creates a subaccount, or returns the one with this label: after an unknown outcome it is found again.
    async fn create(&self, label: &str) -> Result<Subaccount, NumberError>;

    async fn set_status(&self, id: &str, status: SubaccountStatus) -> Result<(), NumberError>;
}

/// How far the registration of a WhatsApp sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationStatus {
    Pending,
    Online,
    /// The vendor refuses it, or took it offline.
    Offline,
}

/// A WhatsApp sender at the vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhatsappSender {
    /// The vendor's id.
    pub id: String,
    pub status: RegistrationStatus,
}

/// The WhatsApp senders of an account.
#[async_trait]
pub trait WhatsappSenders: Send + Sync {
    /// Registers a number of the account, or returns its registration: after an unknown outcome it is found again.
    async fn register(&self, number: &str, name: &str, urls: &NumberUrls) -> Result<WhatsappSender, NumberError>;

    async fn fetch(&self, id: &str) -> Result<WhatsappSender, NumberError>;

    /// Removes a registration. `NotFound`: there is none.
    async fn remove(&self, id: &str) -> Result<(), NumberError>;
}
