//! The partition of each event: of its agent, as far as it is known without the database.

use butt_dial_domain::inbound::{DeliveryStatus, Receipt, WebhookEvent};

use super::*;
use crate::{
    inbound::{
        authorize::{self, AuthorizedEvent},
        parse::ParsedWebhook,
    },
    testing::PHONE,
};

fn receipt(sender: Option<&str>) -> WebhookEvent {
    WebhookEvent::Receipt(Receipt {
        carrier_id: "SM1".into(),
        message: None,
        channel: Channel::Sms,
        sender: sender.map(str::to_owned),
        stage: DeliveryStatus::Delivered,
        error_code: None,
        failure: None,
        price: None,
        tariff: None,
        org: None,
        is_marketing_only: false,
    })
}

#[tokio::test]
async fn receipts_are_in_partition_of_their_agent() {
    let bench = Bench::new().await;
    let routes = bench.inbound.load_routes().await.unwrap();
    let agent = bench.agent.id.as_str();
    let stranger = "+14155550177";
    for (sender, key) in [(Some(PHONE), agent), (Some(stranger), stranger), (None, "SM1")] {
        let parsed = ParsedWebhook {
            carrier: "twilio",
            account: None,
            only: None,
            events: vec![receipt(sender)],
        };
        let authorized = authorize::authorize(&bench.inbound, &routes, parsed).await;
        let events = authorized.map(|authorized| authorized.events).unwrap_or_default();
        let [AuthorizedEvent::Receipt(_, found)] = &events[..] else {
            panic!("no receipt")
        };
        assert_eq!(found, key, "{sender:?}");
    }
}
