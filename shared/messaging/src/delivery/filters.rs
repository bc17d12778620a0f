//! An agent's inbound filters and subscription: whether a message is dropped, tagged, or stored without a push.

use butt_dial_domain::inbound::InboundMessage;
use butt_dial_store::{InboundFilter, Subscription};

/// The property that a filter matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The sender's address, or its beginning followed by `*`.
    Sender,
    /// Words anywhere in the text or the subject, case-insensitive.
    Keyword,
    Channel,
}

impl Kind {
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Sender, "sender"),
        (Self::Keyword, "keyword"),
        (Self::Channel, "channel"),
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, label)| *label == text)
            .map(|(kind, _)| kind)
    }
}

/// The effect of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The agent does not get the message. STOP, START and HELP are never dropped.
    Drop,
    Tag,
    /// The message is stored for the agent and not pushed.
    Mute,
}

impl Action {
    pub const ALL: [(Self, &'static str); 3] = [(Self::Drop, "drop"), (Self::Tag, "tag"), (Self::Mute, "mute")];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, label)| *label == text)
            .map(|(action, _)| action)
    }
}

/// The decision of all filters of an agent on a message.
#[derive(Debug, PartialEq, Eq)]
pub enum FilterDecision {
    Drop,
    Accept { tags: Vec<String>, is_muted: bool },
}

/// The filters and the subscription of an agent.
#[derive(Default)]
pub struct FilterRules {
    pub filters: Vec<InboundFilter>,
    /// `None`: everything is pushed.
    pub subscription: Option<Subscription>,
}

impl FilterRules {
    /// Decides on a message. A message outside the subscription is muted.
    pub fn decide(&self, message: &InboundMessage) -> FilterDecision {
        match apply_filters(&self.filters, message) {
            FilterDecision::Accept { tags, is_muted } => FilterDecision::Accept {
                tags,
                is_muted: is_muted
                    || !self
                        .subscription
                        .as_ref()
                        .is_none_or(|subscription| covers(subscription, message)),
            },
            FilterDecision::Drop => FilterDecision::Drop,
        }
    }
}

fn covers(subscription: &Subscription, message: &InboundMessage) -> bool {
    let group = message.group.as_ref().map(|group| group.id.as_str());
    let contact = |known: &String| *known == message.from || Some(known.as_str()) == group;
    (subscription.channels.is_empty()
        || subscription
            .channels
            .iter()
            .any(|channel| channel == message.channel.as_str()))
        && (subscription.contacts.is_empty() || subscription.contacts.iter().any(contact))
}

fn apply_filters(filters: &[InboundFilter], message: &InboundMessage) -> FilterDecision {
    let mut tags = Vec::new();
    let mut is_muted = false;
    for filter in filters.iter().filter(|filter| matches(filter, message)) {
        match Action::parse(&filter.action) {
            Some(Action::Drop) => return FilterDecision::Drop,
            Some(Action::Mute) => is_muted = true,
            Some(Action::Tag) => tags.extend(filter.tag.clone()),
            None => {}
        }
    }
    tags.dedup();
    FilterDecision::Accept { tags, is_muted }
}

fn matches(filter: &InboundFilter, message: &InboundMessage) -> bool {
    let pattern = filter.pattern.trim();
    match Kind::parse(&filter.kind) {
        Some(Kind::Sender) => match pattern.strip_suffix('*') {
            Some(prefix) => message.from.starts_with(prefix),
            None => message.from.eq_ignore_ascii_case(pattern),
        },
        Some(Kind::Keyword) => {
            let pattern = pattern.to_lowercase();
            [&message.body, &message.subject]
                .into_iter()
                .flatten()
                .any(|text| text.to_lowercase().contains(&pattern))
        }
        Some(Kind::Channel) => message.channel.as_str().eq_ignore_ascii_case(pattern),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::{Address, Channel};

    use super::*;

    fn filter(kind: &str, pattern: &str, action: &str) -> InboundFilter {
        InboundFilter {
            id: "flt_1".into(),
            kind: kind.into(),
            pattern: pattern.into(),
            action: action.into(),
            tag: (action == "tag").then(|| "seen".to_owned()),
            created_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn mutes_messages_outside_subscription() {
        let from = Address::parse(Channel::Sms, "+14155550123").unwrap();
        let message = InboundMessage::new("SM1", Channel::Sms, &from, &from);
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (channels, contacts, is_pushed) in [
            (&[][..], &[][..], true),
            (&["sms", "email"], &[], true),
            (&["email"], &[], false),
            (&[], &["+14155550123"], true),
            (&["sms"], &["+14155550124"], false),
        ] {
            let rules = FilterRules {
                filters: Vec::new(),
                subscription: Some(Subscription {
                    channels: list(channels),
                    contacts: list(contacts),
                }),
            };
            let decision = FilterDecision::Accept {
                tags: Vec::new(),
                is_muted: !is_pushed,
            };
            assert_eq!(rules.decide(&message), decision, "{channels:?} {contacts:?}");
        }
    }

    #[test]
    fn matches_sender_keyword_and_channel() {
        let from = Address::parse(Channel::Sms, "+14155550123").unwrap();
        let message = InboundMessage {
            body: Some("Win a PRIZE now".into()),
            ..InboundMessage::new("SM1", Channel::Sms, &from, &from)
        };
        for (kind, pattern) in [
            ("sender", "+14155550123"),
            ("sender", "+1415*"),
            ("keyword", "prize"),
            ("channel", "SMS"),
        ] {
            assert_eq!(
                apply_filters(&[filter(kind, pattern, "drop")], &message),
                FilterDecision::Drop,
                "{kind} {pattern}"
            );
        }
        for (kind, pattern) in [
            ("sender", "+1415555012"),
            ("keyword", "price"),
            ("channel", "email"),
            ("colour", "red"),
        ] {
            let accepted = FilterDecision::Accept {
                tags: Vec::new(),
                is_muted: false,
            };
            assert_eq!(
                apply_filters(&[filter(kind, pattern, "drop")], &message),
                accepted,
                "{kind} {pattern}"
            );
        }
        let both = [filter("channel", "sms", "tag"), filter("keyword", "win", "mute")];
        assert_eq!(
            apply_filters(&both, &message),
            FilterDecision::Accept {
                tags: vec!["seen".into()],
                is_muted: true
            }
        );
    }
}
