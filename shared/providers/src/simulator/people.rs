//! People who write: what they write becomes a webhook of the vendor that serves them, signed and sent through real
//! HTTP.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use butt_dial_domain::{Address, Channel};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    message::SimulatedMessage,
    report::{Heard, Report},
    world::World,
};

/// What people wrote is kept for the page, and for vendors that are asked for it.
const KEPT: usize = 1_000;

/// One message of a person's, in no vendor's words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonWrites {
    pub channel: Channel,
    /// The person.
    pub from: String,
    /// One of our addresses.
    pub to: String,
    #[serde(default)]
    pub body: String,
    /// URLs; what is none, such as `picture`, becomes a small picture that the vendor's simulator serves.
    #[serde(default)]
    pub media: Vec<String>,
    #[serde(default)]
    pub sender_name: Option<String>,
    /// `STOP`, `START` or `HELP`: the vendor has recognized the word and answered it.
    #[serde(default)]
    pub opt_out_type: Option<String>,
    /// E-mail only.
    #[serde(default)]
    pub subject: Option<String>,
    /// E-mail only.
    #[serde(default)]
    pub html: Option<String>,
    /// The carrier's id of the message that is answered; for e-mail its Message-ID.
    #[serde(default)]
    pub in_reply_to: Option<String>,
    /// A button of ours that the person pressed instead of writing.
    #[serde(default)]
    pub button: Option<String>,
    /// Only where several vendors serve the channel, and not the first one is meant.
    #[serde(default)]
    pub vendor: Option<String>,
}

impl PersonWrites {
    pub fn new(channel: Channel, from: &str, to: &str, body: &str) -> Self {
        Self {
            channel,
            from: from.to_owned(),
            to: to.to_owned(),
            body: body.to_owned(),
            media: Vec::new(),
            sender_name: None,
            opt_out_type: None,
            subject: None,
            html: None,
            in_reply_to: None,
            button: None,
            vendor: None,
        }
    }
}

/// What a person's message became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    pub vendor: &'static str,
    pub carrier_id: String,
    /// The last status that our side answered with; nothing where nobody answered.
    pub status: Option<u16>,
    /// How often the vendor called, copies included.
    pub calls: u32,
}

/// How a vendor tells what it has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Manner {
    /// How often each webhook comes, one after the other, although the first was taken. At least once.
    #[serde(default = "once")]
    pub copies: u32,
    /// Whether what became of a message is told backwards.
    #[serde(default)]
    pub reversed: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            copies: once(),
            reversed: false,
        }
    }
}

fn once() -> u32 {
    1
}

/// A person's message in a vendor's words.
pub struct Telling {
    pub carrier_id: String,
    pub report: Report,
}

#[derive(Default)]
pub struct People {
    state: Mutex<State>,
    news: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    callbacks: Option<String>,
    manners: HashMap<&'static str, Manner>,
    written: VecDeque<(Arc<SimulatedMessage>, Arc<PersonWrites>)>,
}

impl People {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// Where this installation is: its webhooks are at `<base_url>/webhooks/<vendor>/<channel>`.
    pub fn call_back_to(&self, base_url: &str) {
        let base_url = base_url.trim().trim_end_matches('/').to_owned();
        self.people().state().callbacks = Some(base_url);
    }

    /// Where the vendor's webhooks for this channel go; `None` before `call_back_to`.
    pub fn webhook_url(&self, vendor: &str, channel: Channel) -> Option<String> {
        let state = self.people().state();
        let base = state.callbacks.as_ref()?;
        Some(format!("{base}/webhooks/{vendor}/{channel}"))
    }

    /// From now on the vendor tells everything in this manner.
    pub fn set_manner(&self, vendor: &'static str, manner: Manner) {
        self.people().state().manners.insert(vendor, manner);
    }

    pub(crate) fn manner(&self, vendor: &str) -> Manner {
        self.people().state().manners.get(vendor).copied().unwrap_or_default()
    }

    /// A person writes to us. Returns when our side has answered the vendor's last call, or has not.
    /// An error says what is wrong with the order: nothing was sent then.
    pub async fn person_writes(&self, text: PersonWrites) -> Result<Written, String> {
        let serves = |vendor: &&&crate::Vendor| {
            let manifest = &vendor.manifest;
            manifest.channels.contains(&text.channel) && text.vendor.as_ref().is_none_or(|wanted| wanted == manifest.id)
        };
        let vendor = crate::VENDORS
            .iter()
            .find(serves)
            .ok_or_else(|| format!("no such vendor serves {}", text.channel))?;
        let id = vendor.manifest.id;
        let people = vendor
            .people
            .as_ref()
            .ok_or_else(|| format!("nobody writes through {id}"))?;
        let url = self
            .webhook_url(id, text.channel)
            .ok_or("nobody has said where the webhooks are: POST /call-back-to first")?;
        let text = normalized(text)?;
        let Telling { carrier_id, report } = (people.tell)(self, &text, &url)?;
        if text.channel == Channel::Whatsapp {
            self.open_window(&text.from);
        }
        self.note(id, &carrier_id, &text);
        let (mut heard, mut calls) = (Heard::default(), 0);
        for _ in 0..self.manner(id).copies.max(1) {
            heard = self.post(&report).await;
            calls += heard.tries;
        }
        Ok(Written {
            vendor: id,
            carrier_id,
            status: heard.status.map(|status| status.as_u16()),
            calls,
        })
    }

    /// What people wrote, oldest first: the newest thousand.
    pub fn written(&self) -> Vec<Arc<SimulatedMessage>> {
        let state = self.people().state();
        state.written.iter().map(|(message, _)| message.clone()).collect()
    }

    /// What a person wrote, for vendors that are asked for it afterwards.
    pub(crate) fn find_written(
        &self,
        vendor: &str,
        carrier_id: &str,
    ) -> Option<(Arc<SimulatedMessage>, Arc<PersonWrites>)> {
        let state = self.people().state();
        let mut newest_first = state.written.iter().rev();
        newest_first
            .find(|(message, _)| message.vendor == vendor && message.carrier_id == carrier_id)
            .cloned()
    }

    /// Changes when somebody writes.
    pub(crate) fn letters(&self) -> watch::Receiver<()> {
        self.people().news.subscribe()
    }

    fn note(&self, vendor: &'static str, carrier_id: &str, text: &PersonWrites) {
        let mut message = SimulatedMessage::new(vendor, text.channel, carrier_id.to_owned(), self.now());
        message.sequence = self.next_sequence();
        message.from.clone_from(&text.from);
        message.from_name.clone_from(&text.sender_name);
        message.to.clone_from(&text.to);
        message.subject.clone_from(&text.subject);
        message.body.clone_from(text.button.as_ref().unwrap_or(&text.body));
        message.html.clone_from(&text.html);
        message.media.clone_from(&text.media);
        message.status = "written";
        {
            let mut state = self.people().state();
            if state.written.len() == KEPT {
                state.written.pop_front();
            }
            state.written.push_back((Arc::new(message), Arc::new(text.clone())));
        }
        self.people().news.send_replace(());
    }
}

/// The addresses as vendors write them.
fn normalized(mut text: PersonWrites) -> Result<PersonWrites, String> {
    for (name, address) in [("from", &mut text.from), ("to", &mut text.to)] {
        let parsed = Address::parse(text.channel, address).map_err(|error| format!("`{name}`: {error}"))?;
        *address = parsed.as_str().to_owned();
    }
    Ok(text)
}
