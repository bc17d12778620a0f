//! The port to a vendor's mail domains: from a verified domain, mail can be sent with any local part.

use async_trait::async_trait;

use super::numbers::NumberError;

/// A record that the owner of a domain publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsRecord {
    /// `TXT`, `MX` or `CNAME`.
    pub kind: String,
    /// Relative to the domain.
    pub name: String,
    pub value: String,
    /// Of an `MX` record.
    pub priority: Option<u16>,
}

/// A domain at the vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailDomain {
    /// The vendor's id.
    pub id: String,
    pub name: String,
    /// The vendor has found the records.
    pub is_verified: bool,
    pub records: Vec<DnsRecord>,
}

/// The mail domains of an account.
#[async_trait]
pub trait MailDomains: Send + Sync {
    /// Adds a domain. `Unavailable`: an account of the vendor has it already.
    async fn create(&self, name: &str) -> Result<MailDomain, NumberError>;

    /// Finds a domain of this account by its name, in lower case. Its records are empty.
    async fn find(&self, name: &str) -> Result<Option<MailDomain>, NumberError>;

    /// Returns a domain, and has the vendor look for its records if it is not verified.
    async fn fetch(&self, id: &str) -> Result<MailDomain, NumberError>;

    /// Removes a domain. `NotFound`: there is none.
    async fn remove(&self, id: &str) -> Result<(), NumberError>;
}
