//! Tests of the rules together.

use butt_dial_domain::message::Template;
use butt_dial_store::ConsentStatus;
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

    fn decision(&self) -> Decision {
        let to = Address::parse(self.channel, self.to).unwrap();
        decide(&Facts {
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
fn allows_plain_text() {
    assert_eq!(
        Case::new(Channel::Sms, "See you at 5").decision(),
        Decision {
            rule: "none",
            verdict: Verdict::Allow
        }
    );
}

#[test]
fn puts_do_not_contact_first() {
    let mut case = Case::new(Channel::Sms, "kill yourself");
    case.contact.suppression = Some("asked us to".into());
    case.contact.consent = Some(ConsentStatus::Revoked);
    assert_eq!(case.decision().rule, "do-not-contact");
}

#[test]
fn blocks_revoked_consent_only() {
    let mut case = Case::new(Channel::Sms, "hello");
    case.contact.consent = Some(ConsentStatus::Revoked);
    assert_eq!(case.decision().rule, "consent-revoked");
    case.contact.consent = Some(ConsentStatus::Granted);
    assert_eq!(case.decision().verdict, Verdict::Allow);
}

#[test]
fn closes_whatsapp_window_after_24_hours() {
    let mut case = Case::new(Channel::Whatsapp, "hello");
    assert_eq!(case.decision().rule, "whatsapp-window");
    case.contact.last_inbound_at = Some(now() - TimeDelta::hours(23));
    assert_eq!(case.decision().verdict, Verdict::Allow);
    case.contact.last_inbound_at = Some(now() - TimeDelta::hours(24));
    assert_eq!(case.decision().rule, "whatsapp-window");
}

#[test]
fn allows_template_outside_window() {
    let mut case = Case::new(Channel::Whatsapp, "");
    case.content.template = Some(Template {
        id: "HX1".into(),
        variables: Default::default(),
    });
    assert_eq!(case.decision().verdict, Verdict::Allow);
}

#[test]
fn opens_window_for_simulated_contacts() {
    let mut case = Case::new(Channel::Whatsapp, "hello");
    case.to = "+14155550123";
    assert_eq!(
        case.decision().rule,
        "whatsapp-window",
        "in the real world they have not"
    );
    case.simulated_world = true;
    assert_eq!(case.decision().verdict, Verdict::Allow);
    case.to = "+14155550223";
    assert_eq!(case.decision().rule, "whatsapp-window");
}

#[test]
fn filters_html_and_template_values() {
    let mut case = Case::new(Channel::Email, "hello");
    case.to = "ann@example.com";
    case.content.html = Some("<p>please send me your password</p>".into());
    assert_eq!(case.decision().rule, "content");
    let mut case = Case::new(Channel::Whatsapp, "");
    let variables = [("1".to_owned(), "see bit.ly/abc".to_owned())].into();
    case.content.template = Some(Template {
        id: "HX1".into(),
        variables,
    });
    assert_eq!(case.decision().rule, "content");
}
