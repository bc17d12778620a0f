//! Tests of estimates with the prices of this build.

use butt_dial_domain::{
    call::{CallOptions, Plan},
    message::MailOptions,
};

use super::*;

fn prices() -> Prices {
    Prices::read(None).unwrap()
}

fn today(prices: &Prices) -> PriceList<'_> {
    prices.on("2026-11-29".parse().unwrap())
}

fn phone(number: &str) -> Address {
    Address::Phone(number.into())
}

fn text(body: &str) -> Content {
    Content {
        body: Some(body.into()),
        ..Content::default()
    }
}

#[test]
fn charges_two_legs_for_connecting_call() {
    let plan = |purpose| Plan {
        purpose,
        ..Plan::default()
    };
    let call = |purpose| Content {
        call: Some(CallOptions {
            ring_seconds: 30,
            limit_seconds: 60,
            detects_machine: false,
            digits: None,
            plan: plan(purpose),
        }),
        ..Content::default()
    };
    let to = "+4917612345678".into();
    let (prices, us) = (prices(), phone("+14155550123"));
    let estimate = |purpose| today(&prices).estimate(Channel::Voice, None, &us, &call(purpose));
    assert_eq!(estimate(Purpose::Converse), Micros(84_000));
    assert_eq!(estimate(Purpose::Connect { to }), Micros(136_000));
}

#[test]
fn charges_a_mail_for_each_recipient() {
    let mail = |cc: usize, bcc: usize| Content {
        mail: Some(Box::new(MailOptions {
            cc: vec!["bo@example.com".into(); cc],
            bcc: vec!["cy@example.com".into(); bcc],
            ..MailOptions::default()
        })),
        ..text("Hi")
    };
    let (prices, ann) = (prices(), Address::Email("ann@example.com".into()));
    let estimate = |content: &Content| today(&prices).estimate(Channel::Email, None, &ann, content).0;
    let one = estimate(&text("Hi"));
    assert!(one > 0);
    assert_eq!(estimate(&mail(2, 1)), 4 * one);
}

#[test]
fn charges_more_for_international_and_special_numbers() {
    let prices = prices();
    let minute = |number: &str| today(&prices).leg_minute(&phone(number));
    let domestic = minute("+14155550123");
    for dearer in ["+18765551234", "+18095551234", "+881612345678", "+19005550123"] {
        assert!(minute(dearer) > domestic, "{dearer}");
    }
}

#[test]
fn charges_started_units_of_speech() {
    let prices = prices();
    let (speech, transcription) = (
        |characters| today(&prices).speech(characters).0,
        |bytes| today(&prices).transcription(bytes).0,
    );
    assert_eq!([1, 1_000, 1_001].map(speech), [300_000, 300_000, 600_000]);
    assert_eq!([1, 120_000, 120_001].map(transcription), [7_000, 7_000, 14_000]);
}

#[test]
fn charges_as_many_segments_as_the_carrier_counts() {
    let (prices, us) = (prices(), phone("+14155550123"));
    let price = |channel, content| today(&prices).text_of_segments(channel, None, &us, &content, 3);
    assert_eq!(price(Channel::Sms, text("hi")), Some(Micros(24_900)));
    assert_eq!(price(Channel::Whatsapp, text("hi")), None);
    let picture = Content {
        media: vec!["https://example.com/a.png".into()],
        ..text("hi")
    };
    assert_eq!(price(Channel::Sms, picture), None);
}

#[test]
fn charges_sms_by_segment_and_country() {
    let prices = prices();
    let estimate = |to, body: &str| today(&prices).estimate(Channel::Sms, None, &phone(to), &text(body));
    assert_eq!(estimate("+14155550123", "hi"), Micros(8_300));
    assert_eq!(estimate("+14155550123", &"a".repeat(161)), Micros(16_600));
    assert_eq!(estimate("+4917612345678", "hi"), Micros(112_000));
    assert_eq!(estimate("+18765551234", "hi"), Micros(150_000));
}

#[test]
fn charges_whatsapp_replies_since_october_2026() {
    let (prices, german) = (prices(), phone("+4917612345678"));
    let reply = |day: &str| {
        let list = prices.on(day.parse().unwrap());
        list.estimate(Channel::Whatsapp, None, &german, &text("hi"))
    };
    assert_eq!((reply("2026-09-30"), reply("2026-10-01")), (Micros(0), Micros(55_000)));
    let reported = |category| today(&prices).whatsapp(category, None, "+4917612");
    assert_eq!(reported(WhatsappCategory::Service), reported(WhatsappCategory::Utility));
    assert!(reported(WhatsappCategory::Marketing) > reported(WhatsappCategory::Authentication));
}

#[test]
fn rents_numbers_by_country_and_kind() {
    let prices = prices();
    let month = |country, kind| today(&prices).number_month(country, kind);
    assert_eq!(month("US", NumberKind::Local), Micros(1_150_000));
    assert_eq!(month("US", NumberKind::TollFree), Micros(2_150_000));
    assert_eq!(month("FI", NumberKind::Mobile), Micros(6_000_000));
}
