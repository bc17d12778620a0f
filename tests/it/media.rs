//! Attachments of inbound messages: fetched from the carrier, and served under signed links that expire.

use butt_dial_domain::{Channel, Clock};
use butt_dial_messaging::media::LinkError;
use butt_dial_providers::{PersonMessage, simulator::picture};
use serde_json::{Value, json};

use crate::support::{Cluster, bodies, eventually};

const ANN: &str = "+14155550123";

/// Returns the token in a media link.
fn token<'a>(cluster: &Cluster, attachment: &'a Value) -> &'a str {
    let url = attachment["url"].as_str().expect("a link");
    let place = format!("{}/media/", cluster.public_url);
    url.strip_prefix(place.as_str()).expect("a link of the product")
}

fn with_a_picture(channel: Channel, from: &str, to: &str, body: &str) -> PersonMessage {
    let mut text = PersonMessage::new(channel, from, to, body);
    text.media = vec!["picture".into()];
    text
}

profiles! {
    async fn delivers_picture_with_size_type_and_link(cluster: &Cluster) {
        let to = &cluster.account.phone;
        cluster.deliver_accepted(with_a_picture(Channel::Sms, ANN, to, "Look!")).await;
        cluster.deliver_accepted(with_a_picture(Channel::Whatsapp, ANN, to, "Here too")).await;
        // A later message of the same person does not overtake it.
        cluster.texts(ANN, "Last").await;
        let events = cluster.rest().await.expect_events(3).await;
        assert_eq!(bodies(&events), ["Look!", "Here too", "Last"]);
        for event in &events[..2] {
            let attachment = &event["attachments"][0];
            assert_eq!(attachment["contentType"], "image/png", "{event}");
            assert_eq!(attachment["size"], json!(picture::bytes().len()));
            assert_eq!(event["mediaUrl"], attachment["url"]);
            assert_eq!((&event["mediaType"], &event["mimeType"]), (&json!("image"), &json!("image/png")));
            let blob = cluster.media().open_link(token(cluster, attachment)).await;
            let blob = blob.unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!(blob.bytes.as_ref(), picture::bytes());
            assert_eq!(blob.meta.content_type, "image/png");
        }
        assert!(events[2].get("attachments").is_none() && events[2].get("mediaUrl").is_none());
    }
}

profiles! {
    async fn rejects_forged_media_link(cluster: &Cluster) {
        cluster.deliver_accepted(with_a_picture(Channel::Sms, ANN, &cluster.account.phone, "Look!")).await;
        let events = cluster.rest().await.expect_events(1).await;
        let genuine = token(cluster, &events[0]["attachments"][0]).to_owned();
        let (claim, signature) = genuine.split_once('.').expect("two parts");
        let longer = format!("{claim}A.{signature}");
        let other = format!("{claim}.{}", "A".repeat(signature.len()));
        let flipped = {
            let first = if signature.starts_with('A') { "B" } else { "A" };
            format!("{claim}.{first}{}", &signature[1..])
        };
        for forged in ["", ".", claim, signature, "../../etc/passwd", &longer, &other, &flipped, &format!("{genuine}A")] {
            let opened = cluster.media().open_link(forged).await.map(|_| ());
            assert_eq!(opened, Err(LinkError::Forged), "{forged}");
        }
        assert!(cluster.media().open_link(&genuine).await.is_ok());
    }
}

profiles! {
    async fn delivers_mail_with_text_and_attachments(cluster: &Cluster) {
        let mut mail = with_a_picture(Channel::Email, "ann@example.com", &cluster.account.email, "The invoice");
        mail.subject = Some("As agreed".into());
        mail.html = Some("<p>The invoice</p>".into());
        mail.in_reply_to = Some("<1@example.com>".into());
        cluster.deliver_accepted(mail).await;
        let events = cluster.rest().await.expect_events(1).await;
        let event = &events[0];
        assert_eq!((&event["body"], &event["subject"]), (&json!("The invoice"), &json!("As agreed")));
        assert_eq!(event["html"], "<p>The invoice</p>");
        let attachment = &event["attachments"][0];
        assert_eq!(
            (&attachment["filename"], &attachment["contentType"], &attachment["size"]),
            (&json!("picture-1.png"), &json!("image/png"), &json!(picture::bytes().len()))
        );
        assert_eq!(event["fileName"], "picture-1.png");
        let blob = cluster.media().open_link(token(cluster, attachment)).await;
        assert_eq!(blob.unwrap_or_else(|error| panic!("{error:?}")).bytes.as_ref(), picture::bytes());
    }
}

/// Media URLs must not reach a private network.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn does_not_fetch_media_from_private_network() {
    let cluster = Cluster::embedded(&[]).await;
    let host = crate::support::CallbackHost::start().await;
    let mut text = PersonMessage::new(Channel::Sms, ANN, &cluster.account.phone, "Look!");
    text.media = vec![host.url("/secret"), "https://169.254.169.254/latest/meta-data".into()];
    cluster.deliver_accepted(text).await;
    let events = cluster.rest().await.expect_events(1).await;
    let attachments = events[0]["attachments"].as_array().expect("a list");
    assert_eq!(attachments.len(), 2);
    for attachment in attachments {
        assert!(
            attachment["error"].is_string() && attachment.get("url").is_none(),
            "{attachment}"
        );
    }
    assert!(host.callbacks().is_empty());
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivers_mail_after_delayed_body_fetch_servers() {
    let (cluster, carrier_proxy) = Cluster::with_carrier_proxy(&[("CARRIER_TIMEOUT_SECONDS", "1")]).await;
    let agent = cluster.rest().await;
    carrier_proxy.refuse().await;
    carrier_proxy.cut().await;
    let (from, to) = ("ann@example.com", &cluster.account.email);
    cluster
        .deliver_accepted(with_a_picture(Channel::Email, from, to, "Delayed"))
        .await;
    cluster.texts(ANN, "Meanwhile").await;
    assert_eq!(bodies(&agent.expect_events(1).await), ["Meanwhile"]);
    carrier_proxy.heal().await;
    let now = Clock::System.now();
    let event = eventually("the mail arrives", async || {
        // Makes the next attempt to fetch the body due now.
        let later = now + chrono::TimeDelta::minutes(5);
        cluster.store.claim_incomplete_events(16, later, now).await.unwrap();
        agent.poll_messages().await.pop()
    })
    .await;
    assert_eq!(event["body"], "Delayed", "{event}");
    assert_eq!(
        event["attachments"][0]["size"],
        json!(picture::bytes().len()),
        "{event}"
    );
    cluster.shut_down().await;
}
