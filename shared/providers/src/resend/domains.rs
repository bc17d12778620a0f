//! Mail domains (Resend, API reference: Domains).

use async_trait::async_trait;
use butt_dial_domain::ports::{
    carrier::{Outcome, RefusalClass},
    mail_domains::{DnsRecord, MailDomain, MailDomains},
    numbers::NumberError,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::client::Client;
use crate::http::{self, Response};

/// Domains of a page. The largest number that Resend allows.
const PAGE: u32 = 100;

#[derive(Deserialize)]
struct Domain {
    id: String,
    name: String,
    status: String,
    #[serde(default)]
    records: Vec<Record>,
}

/// A page of a list (Resend, API reference: Pagination).
#[derive(Deserialize)]
struct Page {
    data: Vec<Domain>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    value: String,
    #[serde(default)]
    priority: Option<u16>,
}

impl From<Domain> for MailDomain {
    fn from(domain: Domain) -> Self {
        let record = |record: Record| DnsRecord {
            kind: record.kind,
            name: record.name,
            value: record.value,
            priority: record.priority,
        };
        Self {
            id: domain.id,
            name: domain.name,
            is_verified: domain.status == "verified",
            records: domain.records.into_iter().map(record).collect(),
        }
    }
}

#[async_trait]
impl MailDomains for Client {
    async fn create(&self, name: &str) -> Result<MailDomain, NumberError> {
        let request = self
            .request(reqwest::Method::POST, "/domains")
            .json(&json!({ "name": name }));
        match read::<Domain>(http::exchange(request).await) {
            // Resend refuses a domain that an account has.
            Err(NumberError::Refused(_)) => Err(NumberError::Unavailable),
            read => read.map(MailDomain::from),
        }
    }

    async fn find(&self, name: &str) -> Result<Option<MailDomain>, NumberError> {
        let mut path = format!("/domains?limit={PAGE}");
        loop {
            let request = self.request(reqwest::Method::GET, &path);
            let page: Page = read(http::exchange(request).await)?;
            let last = page.data.last().map(|domain| domain.id.clone());
            let found = page.data.into_iter().find(|domain| domain.name == name);
            match last {
                Some(last) if found.is_none() && page.has_more && is_id(&last) => {
                    path = format!("/domains?limit={PAGE}&after={last}");
                }
                _ => return Ok(found.map(MailDomain::from)),
            }
        }
    }

    async fn fetch(&self, id: &str) -> Result<MailDomain, NumberError> {
        if !is_id(id) {
            return Err(NumberError::NotFound);
        }
        let path = format!("/domains/{id}");
        let found: Domain = read(http::exchange(self.request(reqwest::Method::GET, &path)).await)?;
        let found = MailDomain::from(found);
        if !found.is_verified {
            // Its result is in the next answer.
            let verify = self.request(reqwest::Method::POST, &format!("{path}/verify"));
            if let Err(outcome) = http::exchange(verify).await {
                tracing::info!(?outcome, "verification of a mail domain not requested; it is repeated");
            }
        }
        Ok(found)
    }

    async fn remove(&self, id: &str) -> Result<(), NumberError> {
        if !is_id(id) {
            return Err(NumberError::NotFound);
        }
        let request = self.request(reqwest::Method::DELETE, &format!("/domains/{id}"));
        read::<serde_json::Value>(http::exchange(request).await).map(drop)
    }
}

/// Returns whether an id may be a part of a URL.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn read<T: DeserializeOwned>(response: Result<Response, Outcome>) -> Result<T, NumberError> {
    let response = response.map_err(|outcome| match outcome {
        Outcome::Refused(refusal) if refusal.class == RefusalClass::Unreachable => NumberError::Unreachable,
        _ => NumberError::Unknown,
    })?;
    match response.status.as_u16() {
        200..=299 => serde_json::from_slice(&response.body).map_err(|_| NumberError::Unknown),
        401 => Err(NumberError::Unauthorized),
        404 => Err(NumberError::NotFound),
        429 => Err(NumberError::Unreachable),
        status @ 400..=499 => Err(NumberError::Refused(status.to_string())),
        _ => Err(NumberError::Unknown),
    }
}
