//! All calls of a world: who carries them, what happens where, and at what pace.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_domain::{Address, Channel, call::Direction};
use tokio::sync::{mpsc, watch};

use super::{Act, Behaviour, Call, Command, PhoneCall, person};
use crate::simulator::World;

/// The newest calls are kept for whoever asks.
const KEPT: usize = 1_000;

/// A call that begins, for the vendor's simulator to handle.
pub struct Ringing {
    pub call: Call,
    pub commands: mpsc::UnboundedReceiver<Command>,
}

/// Handles a call that comes in for this webhook, to its end.
pub type Carry = fn(&World, Ringing, String);

pub struct Switchboard {
    state: Mutex<State>,
    news: watch::Sender<()>,
}

struct State {
    pace: f64,
    carriers: Vec<(&'static str, Carry)>,
    calls: VecDeque<Call>,
    numbers: HashMap<String, Behaviour>,
    /// Public base URLs, and where they lead.
    routes: HashMap<String, String>,
    status_url: Option<String>,
    status_delay_ms: u64,
    refused_sockets: u32,
}

impl Default for Switchboard {
    fn default() -> Self {
        let state = State {
            pace: 1.0,
            carriers: Vec::new(),
            calls: VecDeque::new(),
            numbers: HashMap::new(),
            routes: HashMap::new(),
            status_url: None,
            status_delay_ms: 0,
            refused_sockets: 0,
        };
        Self {
            state: Mutex::new(state),
            news: watch::Sender::new(()),
        }
    }
}

impl Switchboard {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// How long a second of a call takes, in seconds: 1 unless told. Counts for calls that begin afterwards.
    pub fn set_pace(&self, pace: f64) {
        self.switchboard().state().pace = pace.clamp(0.001, 10.0);
    }

    /// What happens from now on where this number is called.
    pub fn set_number(&self, number: &str, behaviour: Behaviour) {
        self.switchboard().state().numbers.insert(number.to_owned(), behaviour);
    }

    /// Where the vendors tell how calls to our numbers go on; nobody is told unless this is set.
    pub fn set_number_status_url(&self, url: &str) {
        self.switchboard().state().status_url = Some(url.to_owned());
    }

    /// Every report of a call's state comes so much later, in the call's own time.
    pub fn delay_call_reports(&self, by_ms: u64) {
        self.switchboard().state().status_delay_ms = by_ms;
    }

    /// The next so many sockets of conversations can't be opened.
    pub fn refuse_sockets(&self, times: u32) {
        self.switchboard().state().refused_sockets = times;
    }

    /// What the vendors call at this public base URL is from now on to be had there: a load balancer's job. Signatures are
    /// made over the public URL all the same.
    pub fn route(&self, public: &str, loopback: &str) {
        let bare = |url: &str| url.trim().trim_end_matches('/').to_owned();
        self.switchboard().state().routes.insert(bare(public), bare(loopback));
    }

    /// Somebody calls one of our numbers, and does nothing until told.
    pub async fn dial(&self, from: &str, to: &str) -> Result<Call, String> {
        self.call(PhoneCall {
            from: from.to_owned(),
            to: to.to_owned(),
            steps: Vec::new(),
            vendor: None,
        })
    }

    /// Somebody calls one of our numbers and follows a script. An error says what is wrong with the order.
    pub fn call(&self, order: PhoneCall) -> Result<Call, String> {
        let to = Address::parse(Channel::Voice, &order.to).map_err(|error| format!("`to`: {error}"))?;
        let (vendor, carry) = {
            let state = self.switchboard().state();
            let fits =
                |(vendor, _): &&(&'static str, Carry)| order.vendor.as_ref().is_none_or(|wanted| wanted == vendor);
            *state.carriers.iter().find(fits).ok_or("no such vendor carries calls")?
        };
        let url = self
            .webhook_url(vendor, Channel::Voice)
            .ok_or("nobody has said where the webhooks are: POST /call-back-to first")?;
        let id = format!("CA{}", uuid::Uuid::new_v4().simple());
        let ringing = self.open_call(vendor, id, &order.from, to.as_str(), Direction::Inbound);
        let call = ringing.call.clone();
        carry(self, ringing, url);
        self.act_on(&call, order.steps);
        Ok(call)
    }

    /// The newest calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.switchboard().state().calls.iter().cloned().collect()
    }

    pub fn find_call(&self, id: &str) -> Option<Call> {
        let state = self.switchboard().state();
        state.calls.iter().rev().find(|call| call.id() == id).cloned()
    }

    /// The first call of ours to this number, whether it is there already or comes in time.
    pub async fn wait_for_call(&self, to: &str, timeout: Duration) -> Option<Call> {
        let fits = |call: &Call| call.direction() == Direction::Outbound && call.to() == to;
        self.wait_for_any_call(fits, timeout).await
    }

    pub async fn wait_for_any_call(&self, fits: impl Fn(&Call) -> bool, timeout: Duration) -> Option<Call> {
        let mut news = self.switchboard().news.subscribe();
        let search = async {
            loop {
                if let Some(call) = self.calls().into_iter().find(|call| fits(call)) {
                    return Some(call);
                }
                news.changed().await.ok()?;
            }
        };
        tokio::time::timeout(timeout, search).await.ok().flatten()
    }

    /// From now on this vendor carries calls.
    pub(crate) fn carry_calls(&self, vendor: &'static str, carry: Carry) {
        self.switchboard().state().carriers.push((vendor, carry));
    }

    pub(crate) fn open_call(
        &self,
        vendor: &'static str,
        id: String,
        from: &str,
        to: &str,
        direction: Direction,
    ) -> Ringing {
        let (sender, commands) = mpsc::unbounded_channel();
        let facts = (vendor, id, from.to_owned(), to.to_owned(), direction);
        let now = self.now();
        let call = {
            let mut state = self.switchboard().state();
            let call = Call::new(facts, now, state.pace, sender);
            if state.calls.len() == KEPT {
                state.calls.pop_front();
            }
            state.calls.push_back(call.clone());
            call
        };
        self.switchboard().news.send_replace(());
        Ringing { call, commands }
    }

    /// The person on the line begins to follow a script.
    pub(crate) fn act_on(&self, call: &Call, steps: Vec<Act>) {
        if !steps.is_empty() {
            self.run(person::play(call.clone(), steps));
        }
    }

    pub(crate) fn behaviour_of(&self, number: &str) -> Behaviour {
        self.switchboard()
            .state()
            .numbers
            .get(number)
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn number_status_url(&self) -> Option<String> {
        self.switchboard().state().status_url.clone()
    }

    pub(crate) fn call_report_delay_ms(&self) -> u64 {
        self.switchboard().state().status_delay_ms
    }

    pub(crate) fn may_open_socket(&self) -> bool {
        let mut state = self.switchboard().state();
        let may = state.refused_sockets == 0;
        state.refused_sockets = state.refused_sockets.saturating_sub(1);
        may
    }

    /// Where a public URL leads. `wss://` follows the `https://` or `http://` of the same host.
    pub(crate) fn routed(&self, url: &str) -> String {
        let (socket, web) = match url.strip_prefix("wss://") {
            Some(rest) => (true, [format!("https://{rest}"), format!("http://{rest}")]),
            None => (false, [url.to_owned(), String::new()]),
        };
        let state = self.switchboard().state();
        let routed = web.iter().find_map(|url| {
            let leads = |(public, to): (&String, &String)| {
                let rest = url.strip_prefix(public.as_str())?;
                rest.is_empty()
                    .then(String::new)
                    .or_else(|| rest.starts_with(['/', '?', '#']).then(|| rest.to_owned()))
                    .map(|rest| format!("{to}{rest}"))
            };
            state.routes.iter().find_map(leads)
        });
        match (routed, socket) {
            (Some(routed), _) => routed,
            // Nothing on this machine speaks TLS to a simulator.
            (None, true) => web[1].clone(),
            (None, false) => url.to_owned(),
        }
    }
}
