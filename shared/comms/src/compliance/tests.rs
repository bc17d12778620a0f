//! What the rules say together.

use butt_dial_domain::message::Template;
use chrono::{TimeDelta, TimeZone, Utc};

use super::*;

struct Case {
    channel: Channel,
    to: &'static str,
    content: Content,
    contact: ContactState,
    simulated_world: bool,
}

impl Case {
    fn new(channel: Channel, body: &str) -> Self {
        let content = Content {
            body: Some(body.into()),
            ..Content::default()
        };
        Self {
            channel,
            to: "+4917612345678",
            content,
            contact: ContactState::default(),
            simulated_world: false,
        }
    }

    fn ruling(&self) -> Ruling {
        let to = Address::parse(self.channel, self.to).unwrap();
        judge(&Facts {
            channel: self.channel,
            to: &to,
            content: &self.content,
            contact: &self.contact,
            simulated_world: self.simulated_world,
            now: now(),
        })
    }
}

fn now() -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap()
}

#[test]
fn plain_speech_is_allowed() {
    assert_eq!(
        Case::new(Channel::Sms, "See you at 5").ruling(),
        Ruling {
            rule: "none",
            opinion: Opinion::Allow
        }
    );
}

#[test]
fn do_not_contact_comes_before_everything() {
    let mut case = Case::new(Channel::Sms, "kill yourself");
    case.contact.suppression = Some("asked us to".into());
    case.contact.consent = Some("revoked".into());
    assert_eq!(case.ruling().rule, "do-not-contact");
}

#[test]
fn revoked_consent_blocks_and_granted_does_not() {
    let mut case = Case::new(Channel::Sms, "hello");
    case.contact.consent = Some("revoked".into());
    assert_eq!(case.ruling().rule, "consent-revoked");
    case.contact.consent = Some("granted".into());
    assert_eq!(case.ruling().opinion, Opinion::Allow);
}

#[test]
fn the_window_closes_after_24_hours() {
    let mut case = Case::new(Channel::Whatsapp, "hello");
    assert_eq!(case.ruling().rule, "whatsapp-window");
    case.contact.last_inbound_at = Some(now() - TimeDelta::hours(23));
    assert_eq!(case.ruling().opinion, Opinion::Allow);
    case.contact.last_inbound_at = Some(now() - TimeDelta::hours(24));
    assert_eq!(case.ruling().rule, "whatsapp-window");
}

#[test]
fn a_template_needs_no_window() {
    let mut case = Case::new(Channel::Whatsapp, "");
    case.content.template = Some(Template {
        id: "HX1".into(),
        variables: Default::default(),
    });
    assert_eq!(case.ruling().opinion, Opinion::Allow);
}

#[test]
fn the_simulated_people_have_written_first() {
    let mut case = Case::new(Channel::Whatsapp, "hello");
    case.to = "+14155550123";
    assert_eq!(case.ruling().rule, "whatsapp-window", "in the real world they have not");
    case.simulated_world = true;
    assert_eq!(case.ruling().opinion, Opinion::Allow);
    case.to = "+14155550223";
    assert_eq!(case.ruling().rule, "whatsapp-window");
}

#[test]
fn html_and_template_values_are_read_too() {
    let mut case = Case::new(Channel::Email, "hello");
    case.to = "ann@example.com";
    case.content.html = Some("<p>please send me your password</p>".into());
    assert_eq!(case.ruling().rule, "content");
    let mut case = Case::new(Channel::Whatsapp, "");
    let variables = [("1".to_owned(), "see bit.ly/abc".to_owned())].into();
    case.content.template = Some(Template {
        id: "HX1".into(),
        variables,
    });
    assert_eq!(case.ruling().rule, "content");
}
