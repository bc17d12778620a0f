//! An agent's own rules about what comes in: dropped, tagged, or kept without a push; and what it has subscribed to.

use butt_dial_domain::inbound::InboundMessage;
use butt_dial_store::{InboundFilter, Subscription};

/// What a filter looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The sender's address, whole or with `*` at its end.
    Sender,
    /// Words anywhere in the text or the subject, in upper or lower case.
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
            .find(|(_, word)| *word == text)
            .map(|(kind, _)| kind)
    }
}

/// What a filter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Never told to the agent. (STOP, START and HELP are, and count, all the same.)
    Drop,
    Tag,
    /// Kept for the agent to read, and not pushed.
    Mute,
}

impl Action {
    pub const ALL: [(Self, &'static str); 3] = [(Self::Drop, "drop"), (Self::Tag, "tag"), (Self::Mute, "mute")];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, word)| *word == text)
            .map(|(action, _)| action)
    }
}

/// What all of an agent's filters together make of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    Drop,
    Take { tags: Vec<String>, is_muted: bool },
}

/// What an agent has said about messages to it.
#[derive(Default)]
pub struct Rules {
    pub filters: Vec<InboundFilter>,
    /// `None`: everything is pushed.
    pub subscription: Option<Subscription>,
}

impl Rules {
    pub fn judge(&self, message: &InboundMessage) -> Fate {
        match judge(&self.filters, message) {
            Fate::Take { tags, is_muted } => Fate::Take {
                tags,
                is_muted: is_muted || !self.subscription.as_ref().is_none_or(|wanted| covers(wanted, message)),
            },
            Fate::Drop => Fate::Drop,
        }
    }
}

fn covers(wanted: &Subscription, message: &InboundMessage) -> bool {
    let group = message.group.as_ref().map(|group| group.id.as_str());
    let contact = |known: &String| *known == message.from || Some(known.as_str()) == group;
    (wanted.channels.is_empty()
        || wanted
            .channels
            .iter()
            .any(|channel| channel == message.channel.as_str()))
        && (wanted.contacts.is_empty() || wanted.contacts.iter().any(contact))
}

fn judge(filters: &[InboundFilter], message: &InboundMessage) -> Fate {
    let mut tags = Vec::new();
    let mut is_muted = false;
    for filter in filters.iter().filter(|filter| fits(filter, message)) {
        match Action::parse(&filter.action) {
            Some(Action::Drop) => return Fate::Drop,
            Some(Action::Mute) => is_muted = true,
            Some(Action::Tag) => tags.extend(filter.tag.clone()),
            None => {}
        }
    }
    tags.dedup();
    Fate::Take { tags, is_muted }
}

fn fits(filter: &InboundFilter, message: &InboundMessage) -> bool {
    let pattern = filter.pattern.trim();
    match Kind::parse(&filter.kind) {
        Some(Kind::Sender) => match pattern.strip_suffix('*') {
            Some(beginning) => message.from.starts_with(beginning),
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
    fn what_is_not_subscribed_to_is_not_pushed() {
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
            let rules = Rules {
                filters: Vec::new(),
                subscription: Some(Subscription {
                    channels: list(channels),
                    contacts: list(contacts),
                }),
            };
            let fate = Fate::Take {
                tags: Vec::new(),
                is_muted: !is_pushed,
            };
            assert_eq!(rules.judge(&message), fate, "{channels:?} {contacts:?}");
        }
    }

    #[test]
    fn filters_judge_by_sender_words_and_channel() {
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
                judge(&[filter(kind, pattern, "drop")], &message),
                Fate::Drop,
                "{kind} {pattern}"
            );
        }
        for (kind, pattern) in [
            ("sender", "+1415555012"),
            ("keyword", "price"),
            ("channel", "email"),
            ("colour", "red"),
        ] {
            let taken = Fate::Take {
                tags: Vec::new(),
                is_muted: false,
            };
            assert_eq!(
                judge(&[filter(kind, pattern, "drop")], &message),
                taken,
                "{kind} {pattern}"
            );
        }
        let both = [filter("channel", "sms", "tag"), filter("keyword", "win", "mute")];
        assert_eq!(
            judge(&both, &message),
            Fate::Take {
                tags: vec!["seen".into()],
                is_muted: true
            }
        );
    }
}
