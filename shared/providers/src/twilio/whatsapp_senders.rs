//! WhatsApp senders (Twilio, Messaging API v2: Channels Senders resource). On that host only the account's own credentials work.

use async_trait::async_trait;
use butt_dial_domain::ports::numbers::{NumberError, NumberUrls, RegistrationStatus, WhatsappSender, WhatsappSenders};
use serde::Deserialize;
use serde_json::json;

use super::{
    client::Client,
    numbers::{error_of, failure, read},
    wire::{self, WHATSAPP},
};

#[derive(Deserialize)]
struct Sender {
    sid: String,
    status: String,
    #[serde(default)]
    sender_id: String,
}

#[derive(Deserialize)]
struct SenderPage {
    senders: Vec<Sender>,
}

impl From<Sender> for WhatsappSender {
    fn from(sender: Sender) -> Self {
        let status = match sender.status.as_str() {
            // `ONLINE:UPDATING` still sends.
            status if status.starts_with("ONLINE") => RegistrationStatus::Online,
            "OFFLINE" => RegistrationStatus::Offline,
            _ => RegistrationStatus::Pending,
        };
        Self { id: sender.sid, status }
    }
}

#[async_trait]
impl WhatsappSenders for Client {
    async fn register(&self, number: &str, name: &str, urls: &NumberUrls) -> Result<WhatsappSender, NumberError> {
        let sender_id = format!("{WHATSAPP}{number}");
        let listed = self
            .get(&format!("{}?Channel=whatsapp&PageSize=1000", self.senders_url()))
            .await;
        let page: SenderPage = read(&listed.map_err(|outcome| error_of(&outcome))?)?;
        if let Some(known) = page.senders.into_iter().find(|sender| sender.sender_id == sender_id) {
            return Ok(known.into());
        }
        let body = json!({
            "sender_id": sender_id,
            "profile": { "name": name },
            "webhook": { "callback_url": urls.sms, "callback_method": "POST", "status_callback_url": urls.status },
        });
        let created = self.post_json(&self.senders_url(), &body).await;
        read::<Sender>(&created.map_err(|outcome| error_of(&outcome))?).map(WhatsappSender::from)
    }

    async fn fetch(&self, id: &str) -> Result<WhatsappSender, NumberError> {
        let response = self.get(&self.sender_url(id)?).await;
        read::<Sender>(&response.map_err(|outcome| error_of(&outcome))?).map(WhatsappSender::from)
    }

    async fn remove(&self, id: &str) -> Result<(), NumberError> {
        let response = self.delete_url(&self.sender_url(id)?).await;
        let response = response.map_err(|outcome| error_of(&outcome))?;
        match response.status.is_success() {
            true => Ok(()),
            false => Err(failure(&response)),
        }
    }
}

impl Client {
    fn senders_url(&self) -> String {
        format!("{}/v2/Channels/Senders", self.messaging_endpoint())
    }

    fn sender_url(&self, id: &str) -> Result<String, NumberError> {
        match wire::is_sid(id, "XE") {
            true => Ok(format!("{}/{id}", self.senders_url())),
            false => Err(NumberError::NotFound),
        }
    }
}
