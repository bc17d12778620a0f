//! The telephones of simulated people, as one organization may see them: messages from and to its own addresses only. They exist
//! only where the simulator runs in this process.

mod conditions;

use std::{collections::HashMap, sync::Arc};

use butt_dial_domain::{
    Address, Channel, Code, Failure,
    call::{CallStatus, Direction},
    clock::Timestamp,
};
use butt_dial_providers::{
    PersonMessage, Simulator, SimulatorState,
    simulator::{
        SimulatedMessage,
        calls::{Call, CallerStep, PhoneCall, Sound, Speaker},
    },
};

pub use conditions::{CarrierState, FAULTS, MANNERS};

/// Messages that are read for one page, people in its list, and messages in a thread.
const MAX_READ: usize = 1_000;
const MAX_PEOPLE: usize = 60;
const MAX_THREAD: usize = 100;
/// Calls in a thread.
const MAX_CALLS: usize = 5;

/// The telephones of all simulated people. Cheap to clone.
#[derive(Clone)]
pub struct Phones(Arc<Simulator>);

/// An address of the organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddress {
    pub channel: Channel,
    pub address: String,
    /// Older messages belong to a former owner.
    pub since: Timestamp,
}

/// A message of a thread.
#[derive(Clone)]
pub struct PhoneMessage {
    /// False: the person wrote it.
    pub is_ours: bool,
    pub ours: String,
    pub person: String,
    pub message: Arc<SimulatedMessage>,
}

/// A person who has written, called, or got something.
pub struct PhoneOwner {
    pub address: String,
    pub last: Option<PhoneMessage>,
    pub last_at: Timestamp,
    pub is_on_the_phone: bool,
}

/// A call as the person hears it.
pub struct PhoneCallView {
    pub id: String,
    pub is_inbound: bool,
    pub ours: String,
    pub status: CallStatus,
    pub created_at: Timestamp,
    pub lines: Vec<PhoneCallLine>,
    /// The words that the person hears right now.
    pub hearing: String,
}

#[derive(Clone)]
pub struct PhoneCallLine {
    pub who: Who,
    pub text: String,
    pub at_ms: u64,
}

/// The party that speaks in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Person,
    Agent,
    Carrier,
}

/// An action of a person in a call.
pub enum PhoneAction<'a> {
    Say(&'a str),
    /// Speaks as soon as the agent speaks.
    Interrupt(&'a str),
    Press(&'a str),
    HangUp,
}

/// A message that a person writes.
pub struct PersonText<'a> {
    pub channel: Channel,
    pub from: &'a str,
    pub to: &'a str,
    pub subject: Option<&'a str>,
    pub body: &'a str,
}

impl Phones {
    pub fn new(simulator: Arc<Simulator>) -> Self {
        Self(simulator)
    }

    fn state(&self) -> &SimulatorState {
        self.0.state()
    }

    /// Lists the people who had to do with these addresses, the most recent first.
    pub fn people(&self, own: &[OwnAddress]) -> Vec<PhoneOwner> {
        let mut people: HashMap<String, PhoneOwner> = HashMap::new();
        for message in self.messages(own, None) {
            let (address, at) = (message.person.clone(), message.message.at);
            people.entry(address.clone()).or_insert_with(|| PhoneOwner {
                address,
                last: Some(message),
                last_at: at,
                is_on_the_phone: false,
            });
        }
        for call in self.calls_of(own, None) {
            let (address, at) = (person_of(&call).to_owned(), call.created_at());
            let owner = people.entry(address.clone()).or_insert_with(|| PhoneOwner {
                address,
                last: None,
                last_at: at,
                is_on_the_phone: false,
            });
            owner.is_on_the_phone |= !call.status().is_over();
            owner.last_at = owner.last_at.max(at);
        }
        let mut people: Vec<PhoneOwner> = people.into_values().collect();
        people.sort_by(|a, b| b.last_at.cmp(&a.last_at).then_with(|| a.address.cmp(&b.address)));
        people.truncate(MAX_PEOPLE);
        people
    }

    /// Returns the newest messages between a person and these addresses, oldest first.
    pub fn thread(&self, own: &[OwnAddress], person: &str) -> Vec<PhoneMessage> {
        let mut newest = self.messages(own, Some(person));
        newest.truncate(MAX_THREAD);
        newest.reverse();
        newest
    }

    /// Returns the newest calls between a person and these addresses, oldest first.
    pub fn calls(&self, own: &[OwnAddress], person: &str) -> Vec<PhoneCallView> {
        let calls = self.calls_of(own, Some(person)).take(MAX_CALLS);
        let mut calls: Vec<PhoneCallView> = calls.map(|call| view(&call)).collect();
        calls.reverse();
        calls
    }

    /// Sends a message as a person, through the carrier's signed webhook. Fails unless the program has taken it.
    pub async fn write(&self, own: &[OwnAddress], text: PersonText<'_>) -> Result<(), Failure> {
        check_own(own, text.channel, text.to)?;
        let from = person_address(text.channel, text.from)?;
        let mut message = PersonMessage::new(text.channel, &from, text.to, text.body);
        message.subject = text.subject.map(str::to_owned);
        let result = self
            .state()
            .send_as_person(message)
            .await
            .map_err(|error| wrong("from", error))?;
        match result.status {
            Some(200..=299) => Ok(()),
            Some(status) => Err(refused(format!(
                "the program refused the carrier's webhook with the status {status}"
            ))),
            None => Err(refused("the carrier's webhook got no response".to_owned())),
        }
    }

    /// Calls one of these addresses as a person.
    pub fn dial(&self, own: &[OwnAddress], from: &str, to: &str) -> Result<(), Failure> {
        check_own(own, Channel::Voice, to)?;
        let from = person_address(Channel::Voice, from)?;
        if self.live_call(own, &from).is_some() {
            return Err(refused("this person is on the phone already".to_owned()));
        }
        let call = PhoneCall {
            from,
            to: to.to_owned(),
            steps: Vec::new(),
            vendor: None,
        };
        self.state().start_call(call).map_err(|error| wrong("to", error))?;
        Ok(())
    }

    /// Acts in the person's live call. Returns before the action has an effect.
    pub fn act(&self, own: &[OwnAddress], person: &str, action: &PhoneAction<'_>) -> Result<(), Failure> {
        let call = self.live_call(own, person);
        let call = call.ok_or_else(|| refused("the call is over".to_owned()))?;
        let step = match action {
            PhoneAction::Say(text) => CallerStep::Say {
                text: (*text).to_owned(),
            },
            PhoneAction::Interrupt(text) => CallerStep::BargeIn {
                after_ms: 0,
                text: (*text).to_owned(),
            },
            PhoneAction::Press(keys) => CallerStep::Press {
                keys: (*keys).to_owned(),
            },
            PhoneAction::HangUp => CallerStep::HangUp,
        };
        self.state().run_caller_script(&call, vec![step]);
        Ok(())
    }

    /// Returns the messages of both directions, newest first.
    fn messages(&self, own: &[OwnAddress], person: Option<&str>) -> Vec<PhoneMessage> {
        let ours = Own::of(own);
        let outbound = self
            .state()
            .newest(person, MAX_READ)
            .into_iter()
            .map(|message| (true, message));
        let inbound = self
            .state()
            .person_messages()
            .into_iter()
            .map(|message| (false, message));
        let mut found: Vec<PhoneMessage> = outbound
            .chain(inbound)
            .map(|(is_ours, message)| {
                let (ours, person) = match is_ours {
                    true => (&message.from, &message.to),
                    false => (&message.to, &message.from),
                };
                PhoneMessage {
                    is_ours,
                    ours: ours.clone(),
                    person: person.clone(),
                    message,
                }
            })
            .filter(|found| person.is_none_or(|person| found.person == person))
            .filter(|found| ours.had(found.message.channel, &found.ours, found.message.at))
            .collect();
        found.sort_by_key(|found| std::cmp::Reverse(found.message.sequence));
        found
    }

    /// Returns the calls, newest first.
    fn calls_of(&self, own: &[OwnAddress], person: Option<&str>) -> impl Iterator<Item = Call> {
        let ours = Own::of(own);
        let mut calls = self.state().calls();
        calls.retain(|call| {
            person.is_none_or(|person| person_of(call) == person)
                && ours.had(Channel::Voice, ours_of(call), call.created_at())
        });
        calls.into_iter().rev()
    }

    fn live_call(&self, own: &[OwnAddress], person: &str) -> Option<Call> {
        self.calls_of(own, Some(person)).find(|call| !call.status().is_over())
    }
}

/// The addresses of an organization, for many look-ups.
struct Own<'a>(HashMap<(Channel, &'a str), Timestamp>);

impl<'a> Own<'a> {
    fn of(own: &'a [OwnAddress]) -> Self {
        Self(
            own.iter()
                .map(|own| ((own.channel, own.address.as_str()), own.since))
                .collect(),
        )
    }

    fn had(&self, channel: Channel, address: &str, at: Timestamp) -> bool {
        self.0.get(&(channel, address)).is_some_and(|since| at >= *since)
    }
}

fn person_of(call: &Call) -> &str {
    match call.direction() {
        Direction::Inbound => call.from(),
        Direction::Outbound => call.to(),
    }
}

fn ours_of(call: &Call) -> &str {
    match call.direction() {
        Direction::Inbound => call.to(),
        Direction::Outbound => call.from(),
    }
}

fn view(call: &Call) -> PhoneCallView {
    let state = call.state();
    let lines: Vec<PhoneCallLine> = state
        .transcript
        .iter()
        .map(|line| PhoneCallLine {
            who: match line.who {
                Speaker::Person => Who::Person,
                Speaker::Us => Who::Agent,
                Speaker::Carrier => Who::Carrier,
            },
            text: line.text.clone(),
            at_ms: line.at_ms,
        })
        .collect();
    // A line of the transcript follows its last word.
    let ours = lines.iter().filter(|line| line.who == Who::Agent);
    let noted: usize = ours.map(|line| line.text.split_whitespace().count()).sum();
    let words = state.heard.iter().filter_map(|heard| match &heard.sound {
        Sound::Word(word) => Some(word.as_str()),
        _ => None,
    });
    PhoneCallView {
        id: call.id().to_owned(),
        is_inbound: call.direction() == Direction::Inbound,
        ours: ours_of(call).to_owned(),
        status: state.status,
        created_at: call.created_at(),
        hearing: words.skip(noted).collect::<Vec<_>>().join(" "),
        lines,
    }
}

fn check_own(own: &[OwnAddress], channel: Channel, address: &str) -> Result<(), Failure> {
    match own.iter().any(|own| own.channel == channel && own.address == address) {
        true => Ok(()),
        false => Err(wrong("to", format!("no agent has this address on {channel}"))),
    }
}

fn person_address(channel: Channel, text: &str) -> Result<String, Failure> {
    let parsed = Address::parse(channel, text.trim()).map_err(|error| wrong("from", error.to_string()))?;
    Ok(parsed.as_str().to_owned())
}

fn wrong(field: &'static str, message: impl Into<String>) -> Failure {
    Failure::new(Code::InvalidArgument, message.into()).detail("fields", vec![field])
}

fn refused(message: String) -> Failure {
    Failure::new(Code::Conflict, message)
}

#[cfg(test)]
mod tests {
    use std::{future::IntoFuture as _, net::SocketAddr};

    use butt_dial_domain::Clock;

    use super::*;

    const OURS: &str = "+14155550100";
    pub const PERSON: &str = "+14155550123";

    fn own(channel: Channel) -> OwnAddress {
        OwnAddress {
            channel,
            address: OURS.into(),
            since: Clock::System.now(),
        }
    }

    /// A program that takes each webhook, and the telephones.
    pub async fn start() -> Phones {
        // An error means that another test of the process has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let simulator = Simulator::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = axum::serve(listener, axum::Router::new().fallback(|| async { "" }));
        tokio_util::task::TaskTracker::new().spawn(server.into_future());
        simulator.state().set_webhook_base_url(&url);
        Phones::new(Arc::new(simulator))
    }

    fn text<'a>(to: &'a str, body: &'a str) -> PersonText<'a> {
        PersonText {
            channel: Channel::Sms,
            from: "+1 415 555 0123",
            to,
            subject: None,
            body,
        }
    }

    #[tokio::test]
    async fn thread_has_messages_of_own_addresses_only() {
        let (phones, ours) = (start().await, [own(Channel::Sms)]);
        phones.write(&ours, text(OURS, "Hello")).await.unwrap();
        let foreign = phones.write(&ours, text("+14155550199", "Hello")).await.unwrap_err();
        assert_eq!(foreign.code, Code::InvalidArgument);
        let thread = phones.thread(&ours, PERSON);
        assert_eq!(thread.len(), 1);
        assert!(!thread[0].is_ours && thread[0].message.body == "Hello");
        assert_eq!(phones.people(&ours)[0].address, PERSON);
        assert!(phones.thread(&[], PERSON).is_empty() && phones.people(&[]).is_empty());
        assert!(phones.thread(&[own(Channel::Whatsapp)], PERSON).is_empty());
        let later = [own(Channel::Sms)];
        assert!(
            phones.thread(&later, PERSON).is_empty(),
            "of a former owner of the address"
        );
    }

    #[tokio::test]
    async fn action_without_a_call_is_refused() {
        let (phones, ours) = (start().await, [own(Channel::Voice)]);
        let refused = phones.act(&ours, PERSON, &PhoneAction::HangUp).unwrap_err();
        assert_eq!(refused.code, Code::Conflict);
        assert!(
            phones.dial(&[own(Channel::Sms)], PERSON, OURS).is_err(),
            "no number for calls"
        );
    }
}
