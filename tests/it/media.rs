//! Pictures and papers that people send: fetched from the carrier, and to be had by whoever has the link, for a while.

use butt_dial_comms::media::{self, Expired};
use butt_dial_domain::{Channel, Clock};
use butt_dial_providers::{PersonWrites, simulator::picture};
use serde_json::{Value, json};

use crate::support::{World, bodies, eventually};

const ANN: &str = "+14155550123";

/// The last part of a link of ours.
fn token<'a>(world: &World, attachment: &'a Value) -> &'a str {
    let url = attachment["url"].as_str().expect("a link");
    let place = format!("{}/media/", world.public_url);
    url.strip_prefix(place.as_str()).expect("a link of ours")
}

fn with_a_picture(channel: Channel, from: &str, to: &str, body: &str) -> PersonWrites {
    let mut text = PersonWrites::new(channel, from, to, body);
    text.media = vec!["picture".into()];
    text
}

profiles! {
    async fn a_picture_arrives_with_its_size_and_type_and_a_link_that_opens(world: &World) {
        let to = &world.account.phone;
        world.taken_in(with_a_picture(Channel::Sms, ANN, to, "Look!")).await;
        world.taken_in(with_a_picture(Channel::Whatsapp, ANN, to, "Here too")).await;
        // What the same person writes afterwards does not overtake it.
        world.texts(ANN, "Last").await;
        let events = world.rest().await.take(3).await;
        assert_eq!(bodies(&events), ["Look!", "Here too", "Last"]);
        for event in &events[..2] {
            let attachment = &event["attachments"][0];
            assert_eq!(attachment["contentType"], "image/png", "{event}");
            assert_eq!(attachment["size"], json!(picture::bytes().len()));
            assert_eq!(event["mediaUrl"], attachment["url"]);
            assert_eq!((&event["mediaType"], &event["mimeType"]), (&json!("image"), &json!("image/png")));
            let blob = media::open(world.comms(), token(world, attachment)).await;
            let blob = blob.unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!(blob.bytes.as_ref(), picture::bytes());
            assert_eq!(blob.meta.content_type, "image/png");
        }
        assert!(events[2].get("attachments").is_none() && events[2].get("mediaUrl").is_none());
    }
}

profiles! {
    async fn a_forged_link_opens_nothing(world: &World) {
        world.taken_in(with_a_picture(Channel::Sms, ANN, &world.account.phone, "Look!")).await;
        let events = world.rest().await.take(1).await;
        let genuine = token(world, &events[0]["attachments"][0]).to_owned();
        let (claim, signature) = genuine.split_once('.').expect("two parts");
        let longer = format!("{claim}A.{signature}");
        let other = format!("{claim}.{}", "A".repeat(signature.len()));
        let flipped = {
            let first = if signature.starts_with('A') { "B" } else { "A" };
            format!("{claim}.{first}{}", &signature[1..])
        };
        for forged in ["", ".", claim, signature, "../../etc/passwd", &longer, &other, &flipped, &format!("{genuine}A")] {
            let opened = media::open(world.comms(), forged).await.map(|_| ());
            assert_eq!(opened, Err(Expired::Forged), "{forged}");
        }
        assert!(media::open(world.comms(), &genuine).await.is_ok());
    }
}

profiles! {
    async fn a_mail_brings_its_text_and_its_papers(world: &World) {
        let mut mail = with_a_picture(Channel::Email, "ann@example.com", &world.account.email, "The paper");
        mail.subject = Some("As agreed".into());
        mail.html = Some("<p>The paper</p>".into());
        mail.in_reply_to = Some("<1@example.com>".into());
        world.taken_in(mail).await;
        let events = world.rest().await.take(1).await;
        let event = &events[0];
        assert_eq!((&event["body"], &event["subject"]), (&json!("The paper"), &json!("As agreed")));
        assert_eq!(event["html"], "<p>The paper</p>");
        let attachment = &event["attachments"][0];
        assert_eq!(
            (&attachment["filename"], &attachment["contentType"], &attachment["size"]),
            (&json!("picture-1.png"), &json!("image/png"), &json!(picture::bytes().len()))
        );
        assert_eq!(event["fileName"], "picture-1.png");
        let blob = media::open(world.comms(), token(world, attachment)).await;
        assert_eq!(blob.unwrap_or_else(|error| panic!("{error:?}")).bytes.as_ref(), picture::bytes());
    }
}

/// Nobody gets us to fetch from a private network.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_in_a_private_network_is_not_fetched() {
    let world = World::embedded(&[]).await;
    let host = crate::support::Host::start().await;
    let mut text = PersonWrites::new(Channel::Sms, ANN, &world.account.phone, "Look!");
    text.media = vec![host.url("/secret"), "https://169.254.169.254/latest/meta-data".into()];
    world.taken_in(text).await;
    let events = world.rest().await.take(1).await;
    let attachments = events[0]["attachments"].as_array().expect("a list");
    assert_eq!(attachments.len(), 2);
    for attachment in attachments {
        assert!(
            attachment["error"].is_string() && attachment.get("url").is_none(),
            "{attachment}"
        );
    }
    assert!(host.calls().is_empty());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_whose_text_cannot_be_fetched_yet_still_comes_servers() {
    let (world, road) = World::behind_a_road_to_the_carriers(&[("CARRIER_TIMEOUT_SECONDS", "1")]).await;
    let agent = world.rest().await;
    road.refuse().await;
    road.cut().await;
    let (from, to) = ("ann@example.com", &world.account.email);
    world
        .taken_in(with_a_picture(Channel::Email, from, to, "Patience"))
        .await;
    world.texts(ANN, "Meanwhile").await;
    assert_eq!(bodies(&agent.take(1).await), ["Meanwhile"]);
    road.heal().await;
    let now = Clock::System.now();
    let event = eventually("the mail comes", async || {
        // Whoever looked in vain looks again when its time is over, which is now.
        let later = now + chrono::TimeDelta::minutes(5);
        world.store.claim_unready_events(16, later, now).await.unwrap();
        agent.waiting().await.pop()
    })
    .await;
    assert_eq!(event["body"], "Patience", "{event}");
    assert_eq!(
        event["attachments"][0]["size"],
        json!(picture::bytes().len()),
        "{event}"
    );
    world.end().await;
}
