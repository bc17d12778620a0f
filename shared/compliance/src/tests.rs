//! Tests of the rules that the program comes with, together.

use butt_dial_domain::{Address, Code, clock::Timestamp, message::Template};
use butt_dial_store::ContactState;
use chrono::{DateTime, TimeDelta, Utc};

use super::*;

struct Case {
    channel: Channel,
    to: &'static str,
    content: Content,
    contact: ContactState,
    purpose: Option<SendPurpose>,
    undeclared: SendPurpose,
    marketing_sent: u32,
    is_approved: bool,
    has_postal_address: bool,
    discloses: bool,
    is_restrained: bool,
    is_tainted: bool,
    at: Timestamp,
    simulated_world: bool,
}

impl Case {
    fn new(channel: Channel, to: &'static str) -> Self {
        Self {
            channel,
            to,
            content: Content::default(),
            contact: ContactState::default(),
            purpose: None,
            undeclared: SendPurpose::Undeclared,
            marketing_sent: 0,
            is_approved: false,
            has_postal_address: false,
            discloses: false,
            is_restrained: false,
            is_tainted: false,
            at: utc(NOON_IN_NEW_YORK),
            simulated_world: false,
        }
    }

    fn marketing(channel: Channel, to: &'static str) -> Self {
        let mut case = Self::new(channel, to);
        case.purpose = Some(SendPurpose::Marketing);
        case.contact.consent = Some(ConsentStatus::Granted);
        case
    }

    fn at(mut self, at: &str) -> Self {
        self.at = utc(at);
        self
    }

    fn facts(&self) -> Facts {
        let to = Address::known(self.channel, self.to);
        let settings = ComplianceSettings {
            allowed_destinations: Vec::new(),
            undeclared_purpose: self.undeclared,
            simulated_world: self.simulated_world,
            disclosure: Disclosure::Default(self.discloses),
        };
        let subject = Subject {
            channel: self.channel,
            to: &to,
            content: &self.content,
            contact: &self.contact,
            purpose: self.purpose,
            at: self.at,
            marketing_sent: self.marketing_sent,
            is_approved: self.is_approved,
            has_postal_address: self.has_postal_address,
            discloses: None,
            is_restrained: self.is_restrained,
            is_tainted: self.is_tainted,
        };
        Facts::collect(&subject, &settings)
    }

    fn decision(&self) -> Decision {
        decide(&rules(), &self.facts())
    }

    fn rule(&self) -> String {
        self.decision().rule().unwrap_or("none").to_owned()
    }
}

/// A Monday.
const NOON_IN_NEW_YORK: &str = "2026-11-30T17:00:00Z";
const BERLIN: &str = "+4917612345678";
const NEW_YORK: &str = "+12125550187";
const MIAMI: &str = "+13055550187";
const PENSACOLA: &str = "+18505550187";
const DALLAS: &str = "+12145550187";

fn utc(text: &str) -> Timestamp {
    text.parse::<DateTime<Utc>>().unwrap()
}

fn rules() -> RuleSet {
    RuleSet::built_in().unwrap()
}

#[test]
fn allows_plain_text() {
    let decision = Case::new(Channel::Sms, BERLIN).decision();
    assert_eq!((decision.label(), decision.rule()), ("allow", None));
}

#[test]
fn puts_do_not_contact_before_advice_and_consent() {
    let mut case = Case::new(Channel::Sms, BERLIN);
    case.contact.suppression = Some("asked us to".into());
    case.contact.consent = Some(ConsentStatus::Revoked);
    let decision = case.decision();
    assert_eq!(decision.rule(), Some("do-not-contact"));
    assert_eq!(decision.findings.len(), 2, "all findings are kept");
}

#[test]
fn blocks_revoked_consent_of_people_only() {
    let mut case = Case::new(Channel::Sms, BERLIN);
    case.contact.consent = Some(ConsentStatus::Revoked);
    assert_eq!(case.rule(), "consent-revoked");
    case.contact.recipient_agent = Some(AgentId::from("agt_1"));
    assert_eq!(case.rule(), "none");
    case.contact.recipient_agent = None;
    case.contact.consent = Some(ConsentStatus::Granted);
    assert_eq!(case.rule(), "none");
}

#[test]
fn blocks_emergency_numbers_and_what_is_no_number() {
    for (number, rule) in [
        ("911", "emergency-number"),
        ("112", "emergency-number"),
        ("12345", "destination"),
    ] {
        let mut case = Case::new(Channel::Voice, number);
        assert_eq!(case.rule(), rule, "{number}");
        // An emergency number has never written. A short code may have.
        case.contact.last_inbound_at = Some(case.at);
        assert_eq!(case.rule() == "none", rule == "destination", "{number}");
    }
    assert_eq!(Case::new(Channel::Sms, "+19005550123").rule(), "destination");
}

#[test]
fn answers_caribbean_numbers_only() {
    for channel in [Channel::Voice, Channel::Sms] {
        let mut case = Case::new(channel, "+18765551234");
        assert_eq!(case.rule(), "destination");
        case.contact.last_inbound_at = Some(case.at);
        assert_eq!(case.rule(), "none");
    }
    assert_ne!(
        Case::new(Channel::Sms, "+17875551234").rule(),
        "destination",
        "Puerto Rico"
    );
}

#[test]
fn closes_whatsapp_window_after_24_hours() {
    let mut case = Case::new(Channel::Whatsapp, BERLIN);
    assert_eq!(case.rule(), "whatsapp-window");
    case.contact.last_inbound_at = Some(case.at - TimeDelta::hours(23));
    assert_eq!(case.rule(), "none");
    case.contact.last_inbound_at = Some(case.at - TimeDelta::hours(24));
    assert_eq!(case.rule(), "whatsapp-window");
    case.content.template = Some(Template {
        id: "HX1".into(),
        variables: Default::default(),
        is_for_codes: false,
    });
    assert_eq!(case.rule(), "none");
}

#[test]
fn opens_window_for_simulated_contacts() {
    let mut case = Case::new(Channel::Whatsapp, "+14155550123");
    assert_eq!(case.rule(), "whatsapp-window", "in the real world they have not");
    case.simulated_world = true;
    assert_eq!(case.rule(), "none");
    case.to = "+14155550223";
    assert_eq!(case.rule(), "whatsapp-window");
}

#[test]
fn requires_express_consent_for_marketing() {
    let mut case = Case::marketing(Channel::Sms, NEW_YORK);
    assert_eq!(case.rule(), "none", "the word of the person suffices");
    for (kind, rule) in [
        ("express", "none"),
        ("implied", "us-marketing-consent"),
        ("transactional", "us-marketing-consent"),
    ] {
        case.contact.consent_kind = Some(kind.into());
        assert_eq!(case.rule(), rule, "{kind}");
    }
    case.contact.consent = None;
    case.contact.consent_kind = None;
    let decision = case.decision();
    assert_eq!(
        decision.block().map(|finding| finding.code),
        Some(Code::ConsentRequired)
    );
    for (number, rule) in [
        ("+16045550187", "ca-marketing-consent"),
        (BERLIN, "eu-marketing-consent"),
        ("+81312345678", "none"),
    ] {
        case.to = number;
        assert_eq!(case.rule(), rule, "{number}");
    }
}

#[test]
fn advises_only_without_a_declared_purpose() {
    let mut case = Case::new(Channel::Voice, NEW_YORK);
    let decision = case.decision();
    assert_eq!(
        (decision.label(), decision.rule()),
        ("advise", Some("us-ai-call-consent"))
    );
    case.undeclared = SendPurpose::Marketing;
    assert_eq!(case.decision().label(), "block", "an operator makes the rules binding");
    case.contact.last_inbound_at = Some(case.at);
    assert_eq!(case.decision().label(), "allow", "an answer");
}

#[test]
fn takes_no_reply_for_declared_without_a_message() {
    let mut case = Case::new(Channel::Sms, NEW_YORK);
    case.purpose = Some(SendPurpose::ConversationalReply);
    assert_eq!(case.facts().purpose, SendPurpose::Undeclared);
    case.contact.last_inbound_at = Some(case.at - TimeDelta::hours(23));
    assert_eq!(case.facts().purpose, SendPurpose::ConversationalReply);
}

#[test]
fn defers_marketing_to_allowed_hours() {
    for (to, at, verdict) in [
        (NEW_YORK, "2026-11-30T12:59:00Z", Some("2026-11-30T13:00:00Z")),
        (NEW_YORK, "2026-12-01T01:59:00Z", None),
        (NEW_YORK, "2026-12-01T02:00:00Z", Some("2026-12-01T13:00:00Z")),
        // Florida closes an hour earlier than the federal rule, and Pensacola may be in two zones.
        (MIAMI, "2026-12-01T01:00:00Z", Some("2026-12-01T13:00:00Z")),
        (PENSACOLA, "2026-11-30T13:30:00Z", Some("2026-11-30T14:00:00Z")),
        (PENSACOLA, "2026-12-01T00:30:00Z", None),
        (PENSACOLA, "2026-12-01T01:30:00Z", Some("2026-12-01T14:00:00Z")),
        // Texas opens at noon on Sundays.
        (DALLAS, "2026-11-29T17:00:00Z", Some("2026-11-29T18:00:00Z")),
        // Rhode Island has no hours on Sundays, nor on Thanksgiving.
        ("+14015550187", "2026-11-29T17:00:00Z", Some("2026-11-30T14:00:00Z")),
        ("+14015550187", "2026-11-26T17:00:00Z", Some("2026-11-27T14:00:00Z")),
        // A toll-free number may be anywhere: 08:00 in Los Angeles to 21:00 in New York.
        ("+18005550187", "2026-11-30T15:00:00Z", Some("2026-11-30T16:00:00Z")),
        ("+18005550187", "2026-12-01T02:00:00Z", Some("2026-12-01T16:00:00Z")),
        // The clocks change at night: 08:00 is an hour earlier in UTC from 8 March.
        (NEW_YORK, "2026-03-08T05:00:00Z", Some("2026-03-08T12:00:00Z")),
        // France closes at noon; India has half-hour zones.
        ("+33612345678", "2026-11-30T12:30:00Z", Some("2026-11-30T13:00:00Z")),
        ("+919812345678", "2026-11-30T04:00:00Z", Some("2026-11-30T04:30:00Z")),
    ] {
        let decision = Case::marketing(Channel::Sms, to).at(at).decision();
        let expected = verdict.map_or(Verdict::Allow, |until| Verdict::Defer(utc(until)));
        assert_eq!(decision.verdict, expected, "{to} at {at}: {:?}", decision.rule());
    }
}

#[test]
fn lets_codes_and_answers_pass_at_night() {
    let night = "2026-12-01T08:00:00Z";
    for purpose in [SendPurpose::Otp, SendPurpose::Emergency, SendPurpose::Transactional] {
        let mut case = Case::new(Channel::Sms, NEW_YORK).at(night);
        case.purpose = Some(purpose);
        assert_eq!(case.decision().label(), "allow", "{purpose}");
    }
    let mut case = Case::new(Channel::Sms, NEW_YORK).at(night);
    assert_eq!(case.decision().label(), "advise");
    case.purpose = Some(SendPurpose::Informational);
    assert_eq!(case.decision().label(), "defer");
    case.contact.last_inbound_at = Some(case.at);
    case.purpose = None;
    assert_eq!(case.decision().label(), "allow");
}

#[test]
fn caps_marketing_in_some_states() {
    let mut case = Case::marketing(Channel::Sms, MIAMI);
    case.marketing_sent = 2;
    assert_eq!(case.rule(), "none");
    case.marketing_sent = 3;
    assert_eq!(case.rule(), "us-fl-frequency");
    case.to = NEW_YORK;
    assert_eq!(case.rule(), "none");
}

#[test]
fn facts_of_a_record_give_the_same_decision() {
    let mut case = Case::marketing(Channel::Sms, PENSACOLA).at("2026-12-01T01:30:00Z");
    case.contact.consent_kind = Some("express".into());
    case.contact.marketing = Some(ConsentStatus::Revoked);
    let facts = case.facts();
    let text = serde_json::to_string(&facts).unwrap();
    assert!(!text.contains(PENSACOLA) && !text.contains("5550187"), "{text}");
    let restored: Facts = serde_json::from_str(&text).unwrap();
    assert_eq!(decide(&rules(), &restored).verdict, decide(&rules(), &facts).verdict);
    assert_eq!(serde_json::to_string(&restored).unwrap(), text);
}

#[test]
fn further_rules_never_allow_what_is_blocked() {
    let all = rules();
    let mut cases = Vec::new();
    for to in [NEW_YORK, MIAMI, PENSACOLA, DALLAS, BERLIN, "+18005550187", "911"] {
        for purpose in [None, Some(SendPurpose::Marketing), Some(SendPurpose::Otp)] {
            for hour in 0..24 {
                let mut case = Case::new(Channel::Sms, to);
                case.purpose = purpose;
                case.at += TimeDelta::hours(hour);
                cases.push(case.facts());
            }
        }
    }
    for left_out in all.rules() {
        let fewer = all.without(&left_out.id);
        for facts in &cases {
            let (few, many) = (decide(&fewer, facts), decide(&all, facts));
            if few.verdict == Verdict::Block {
                assert_eq!(many.verdict, Verdict::Block, "with {}", left_out.id);
            }
        }
    }
}

#[test]
fn refuses_rule_sets_that_do_not_protect_people() {
    let rule = |id: &str, evaluator: &str, more: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nversion = 1\nevaluator = \"{evaluator}\"\nseverity = \"block\"\nsource = \"x\"\nreviewed = 2026-11-29\n{more}\n"
        )
    };
    let core =
        ["do-not-contact", "consent-revoked", "destination", "emergency-number"].map(|name| rule(name, name, ""));
    assert!(RuleSet::parse_text(&core.concat()).is_ok());
    assert!(RuleSet::parse_text(&core[1..].concat()).is_err());
    for wrong in [
        rule("a", "quiet-hours", ""),
        rule("a", "quiet-hours", "hours = [\"mon 20:00-08:00\"]"),
        rule("a", "frequency", ""),
        rule("a", "frequency", "max_per_day = 3\nunknown = 1"),
        rule("a", "no-such", ""),
        rule("do-not-contact", "frequency", "max_per_day = 3"),
        rule("a", "frequency", "max_per_day = 3").replace("\"block\"", "\"defer\""),
    ] {
        assert!(RuleSet::parse_text(&(core.concat() + &wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn rules_are_in_force_between_their_dates() {
    let with_dates = |dates: &str| {
        let text = include_str!("../../../deploy/rules/core.toml");
        let rule = format!(
            "[[rule]]\nid = \"cap\"\nversion = 1\nevaluator = \"frequency\"\nseverity = \"block\"\nmax_per_day = 0\nsource = \"x\"\nreviewed = 2026-11-29\n{dates}\n"
        );
        RuleSet::parse_text(&format!("{text}\n{rule}")).unwrap()
    };
    let facts = Case::new(Channel::Sms, BERLIN).facts();
    for (dates, label) in [
        ("", "block"),
        ("effective_from = 2026-11-30", "block"),
        ("effective_from = 2026-12-01", "allow"),
        ("effective_until = 2026-11-30", "allow"),
        ("effective_until = 2026-12-01", "block"),
    ] {
        assert_eq!(decide(&with_dates(dates), &facts).label(), label, "{dates}");
    }
}

#[test]
fn filters_html_and_template_values() {
    let mut content = Content {
        html: Some("<p>please send me your password</p>".into()),
        ..Content::default()
    };
    assert!(rules::content::evaluate(&content).is_some());
    content.html = None;
    assert!(rules::content::evaluate(&content).is_none());
    let variables = [("1".to_owned(), "see bit.ly/abc".to_owned())].into();
    content.template = Some(Template {
        id: "HX1".into(),
        variables,
        is_for_codes: false,
    });
    assert!(rules::content::evaluate(&content).is_some());
}

#[test]
fn first_message_gets_the_disclosure() {
    let mut case = Case::new(Channel::Sms, BERLIN);
    assert!(
        !case.decision().inserts_disclosure(),
        "the installation does not disclose"
    );
    case.discloses = true;
    let decision = case.decision();
    assert!(decision.inserts_disclosure());
    assert_eq!(
        (decision.label(), decision.rule(), decision.advice().count()),
        ("allow", None, 0)
    );
    case.purpose = Some(SendPurpose::Otp);
    assert!(!case.decision().inserts_disclosure());
    case.purpose = None;
    case.contact.is_disclosed = true;
    assert!(!case.decision().inserts_disclosure());
    // Calls have the disclosure in their first words.
    let mut call = Case::new(Channel::Voice, BERLIN);
    call.discloses = true;
    assert!(!call.decision().inserts_disclosure());
    let rule = include_str!("../../../deploy/rules/disclosure.toml").replace("\"insert\"", "\"block\"");
    let core = include_str!("../../../deploy/rules/core.toml");
    assert!(RuleSet::parse_text(&format!("{core}\n{rule}")).is_err());
}

#[test]
fn marketing_mail_needs_a_postal_address() {
    let mut case = Case::marketing(Channel::Email, "ann@example.com");
    assert_eq!(case.rule(), "marketing-postal-address");
    case.has_postal_address = true;
    assert_eq!(case.rule(), "none");
    case.has_postal_address = false;
    case.purpose = Some(SendPurpose::Transactional);
    assert_eq!(case.rule(), "none");
    // A record from before the fact was known.
    let mut record = serde_json::to_value(Case::marketing(Channel::Email, "ann@example.com").facts()).unwrap();
    record.as_object_mut().unwrap().remove("hasPostalAddress");
    let facts: Facts = serde_json::from_value(record).unwrap();
    assert!(facts.has_postal_address);
}

#[test]
fn holds_messages_of_a_restrained_agent() {
    let mut case = Case::new(Channel::Sms, NEW_YORK);
    assert_eq!(case.decision().label(), "allow");
    case.is_restrained = true;
    let decision = case.decision();
    assert_eq!((decision.label(), decision.rule()), ("hold", Some("restrained-agent")));
    assert_eq!(decision.findings[0].code, Code::ApprovalRequired);
    let stored = serde_json::to_string(&case.facts()).unwrap();
    assert!(
        serde_json::from_str::<Facts>(&stored).unwrap().is_restrained,
        "{stored}"
    );
    case.is_approved = true;
    assert_eq!(case.decision().label(), "allow");
    // A message that no approval allows is still refused.
    case.is_approved = false;
    case.contact.consent = Some(ConsentStatus::Revoked);
    assert_eq!(case.decision().label(), "block");
}

#[test]
fn holds_messages_of_an_agent_that_has_read_instructions() {
    let mut case = Case::new(Channel::Sms, NEW_YORK);
    case.is_tainted = true;
    let decision = case.decision();
    assert_eq!((decision.label(), decision.rule()), ("hold", Some("tainted-agent")));
    assert_eq!(decision.findings[0].code, Code::ApprovalRequired);
    let stored = serde_json::to_string(&case.facts()).unwrap();
    assert!(serde_json::from_str::<Facts>(&stored).unwrap().is_tainted, "{stored}");
    case.is_approved = true;
    assert_eq!(case.decision().label(), "allow");
}

#[test]
fn holds_messages_until_a_person_approves() {
    let rule = "[[rule]]\nid = \"approve\"\nversion = 1\nevaluator = \"always\"\nseverity = \"hold\"\npurposes = [\"marketing\"]\nsource = \"x\"\nreviewed = 2026-11-29\n";
    let core = include_str!("../../../deploy/rules/core.toml");
    let set = RuleSet::parse_text(&format!("{core}\n{rule}")).unwrap();
    let mut case = Case::marketing(Channel::Sms, NEW_YORK);
    let decision = decide(&set, &case.facts());
    assert_eq!((decision.label(), decision.rule()), ("hold", Some("approve")));
    case.is_approved = true;
    assert_eq!(decide(&set, &case.facts()).label(), "allow");
    // An approval does not overrule the person.
    case.contact.consent = Some(ConsentStatus::Revoked);
    assert_eq!(decide(&set, &case.facts()).label(), "block");
    case.purpose = Some(SendPurpose::Otp);
    case.contact.consent = None;
    assert_eq!(decide(&set, &case.facts()).label(), "allow");
    let wrong = rule.replace("hold", "block");
    assert!(RuleSet::parse_text(&format!("{core}\n{wrong}")).is_err());
}

#[test]
fn operator_can_demand_the_disclosure_of_all() {
    for (rule, choice, applies) in [
        (Disclosure::Always, Some(false), true),
        (Disclosure::Default(true), Some(false), false),
        (Disclosure::Default(true), None, true),
        (Disclosure::Default(false), Some(true), true),
        (Disclosure::Default(false), None, false),
    ] {
        assert_eq!(rule.applies(choice), applies, "{rule:?} {choice:?}");
    }
}
