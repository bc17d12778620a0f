//! The shared state of the simulators: accepted messages, faults, opt-outs and settings. Clones share it.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use butt_dial_domain::{Clock, clock::Timestamp};
use tokio::sync::broadcast;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    calls::Switchboard,
    delivery::DeliveryQueue,
    faults::InjectedFault,
    mailbox::{Mailbox, pick},
    message::SimulatedMessage,
    models::Models,
    person_messages::PersonMessages,
};

/// A subscriber that falls behind by more messages gets an error.
const CHANNEL_CAPACITY: usize = 4_096;
/// WhatsApp: free-form messages pass for 24 hours after the person's last message (Twilio, WhatsApp guide).
const WHATSAPP_WINDOW: chrono::Duration = chrono::Duration::hours(24);
const DELIVERY_DELAY: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct SimulatorState {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    state: Mutex<State>,
    new_messages: broadcast::Sender<Arc<SimulatedMessage>>,
    /// New messages and status changes.
    changes: broadcast::Sender<Arc<SimulatedMessage>>,
    deliveries: DeliveryQueue,
    person_messages: PersonMessages,
    models: Models,
    switchboard: Switchboard,
    /// The simulator's base URL.
    base_url: OnceLock<String>,
    /// The client for webhooks; `None` if it can't be built.
    http: OnceLock<Option<reqwest::Client>>,
    delivery_delay_ms: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Default)]
struct State {
    vendors: BTreeMap<&'static str, VendorState>,
    sequence: u64,
    opted_out: HashSet<String>,
    wrote_at: HashMap<String, Timestamp>,
    /// Empty: each sender is accepted.
    senders: HashSet<String>,
}

/// The state of one vendor.
#[derive(Default)]
struct VendorState {
    mailbox: Mailbox,
    faults: VecDeque<(InjectedFault, u32)>,
    requests: u64,
}

impl SimulatorState {
    pub fn new(clock: Clock) -> Self {
        let inner = Inner {
            clock,
            state: Mutex::default(),
            new_messages: broadcast::Sender::new(CHANNEL_CAPACITY),
            changes: broadcast::Sender::new(CHANNEL_CAPACITY),
            deliveries: DeliveryQueue::default(),
            person_messages: PersonMessages::default(),
            models: Models::default(),
            switchboard: Switchboard::default(),
            base_url: OnceLock::new(),
            http: OnceLock::new(),
            delivery_delay_ms: AtomicU64::new(DELIVERY_DELAY.as_millis() as u64),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let inner = Arc::new(inner);
        Self { inner }
    }

    /// Returns the newest messages of all vendors, oldest first.
    pub fn messages(&self) -> Vec<SimulatedMessage> {
        let mut newest = self.newest(None, usize::MAX);
        newest.reverse();
        newest.iter().map(|message| SimulatedMessage::clone(message)).collect()
    }

    /// Returns the messages to one person on all channels, oldest first.
    pub fn messages_to(&self, address: &str) -> Vec<SimulatedMessage> {
        let mut newest = self.newest(Some(address), usize::MAX);
        newest.reverse();
        newest.iter().map(|message| SimulatedMessage::clone(message)).collect()
    }

    /// Returns at most `limit` messages of all vendors, newest first; with `to`, only those to this recipient.
    pub fn newest(&self, to: Option<&str>, limit: usize) -> Vec<Arc<SimulatedMessage>> {
        let mut all: Vec<Arc<SimulatedMessage>> = Vec::new();
        for vendor in self.state().vendors.values() {
            match to {
                Some(to) => all.extend(vendor.mailbox.newest_first_to(to).take(limit).cloned()),
                None => all.extend(vendor.mailbox.newest_first().take(limit).cloned()),
            }
        }
        all.sort_unstable_by_key(|message| std::cmp::Reverse(message.sequence));
        all.truncate(limit);
        all
    }

    /// Returns how many messages the vendor ever accepted.
    pub fn accepted_total(&self, vendor: &str) -> u64 {
        self.state()
            .vendors
            .get(vendor)
            .map_or(0, |vendor| vendor.mailbox.accepted())
    }

    /// Returns how many send requests the vendor received, accepted or not.
    pub fn requests_total(&self, vendor: &str) -> u64 {
        self.state().vendors.get(vendor).map_or(0, |vendor| vendor.requests)
    }

    /// Returns the mounted vendors.
    pub fn vendors(&self) -> Vec<&'static str> {
        self.state().vendors.keys().copied().collect()
    }

    /// Subscribes to new messages.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<SimulatedMessage>> {
        self.inner.new_messages.subscribe()
    }

    /// Subscribes to new messages and status changes.
    pub fn changes(&self) -> broadcast::Receiver<Arc<SimulatedMessage>> {
        self.inner.changes.subscribe()
    }

    /// Opts the person out: the vendor refuses to send to this address.
    pub fn opt_out(&self, address: &str) {
        self.state().opted_out.insert(address.to_owned());
    }

    /// Opts the person in again.
    pub fn opt_in(&self, address: &str) {
        self.state().opted_out.remove(address);
    }

    pub fn has_opted_out(&self, address: &str) -> bool {
        self.state().opted_out.contains(address)
    }

    /// Opens WhatsApp's window for 24 hours, as a message of the person does.
    pub fn open_window(&self, number: &str) {
        let now = self.now();
        self.state().wrote_at.insert(number.to_owned(), now);
    }

    /// Returns whether WhatsApp's window is open. It always is for numbers reserved for fiction (+1 415 555 01xx).
    pub fn window_is_open(&self, number: &str) -> bool {
        let digits = number.strip_prefix("+141555501");
        if digits.is_some_and(|rest| rest.len() == 2 && rest.bytes().all(|b| b.is_ascii_digit())) {
            return true;
        }
        let now = self.now();
        let wrote_at = self.state().wrote_at.get(number).copied();
        wrote_at.is_some_and(|at| now - at < WHATSAPP_WINDOW)
    }

    /// Adds a sender to the account. Without any, each sender is accepted.
    pub fn own_sender(&self, address: &str) {
        self.state().senders.insert(address.to_owned());
    }

    pub fn owns_sender(&self, address: &str) -> bool {
        let state = self.state();
        state.senders.is_empty() || state.senders.contains(address)
    }

    /// Applies the fault to the vendor's next `times` sends, after faults that were injected earlier.
    pub fn inject_fault(&self, vendor: &'static str, fault: InjectedFault, times: u32) {
        if times > 0 {
            let mut state = self.state();
            state
                .vendors
                .entry(vendor)
                .or_default()
                .faults
                .push_back((fault, times));
        }
    }

    /// Removes the vendor's faults.
    pub fn clear_faults(&self, vendor: &str) {
        if let Some(vendor) = self.state().vendors.get_mut(vendor) {
            vendor.faults.clear();
        }
    }

    /// Sets the time from the vendor's response to the first status change: one second by default.
    pub fn set_delivery_delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.inner.delivery_delay_ms.store(millis, Ordering::Relaxed);
    }

    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Stores a message that the vendor accepts.
    pub(crate) fn accept(&self, mut message: SimulatedMessage) -> Arc<SimulatedMessage> {
        let message = {
            let mut state = self.state();
            state.sequence += 1;
            message.sequence = state.sequence;
            let message = Arc::new(message);
            let vendor = state.vendors.entry(message.vendor).or_default();
            vendor.mailbox.push(message.clone());
            message
        };
        // Fails without subscribers, which is fine.
        let _ = self.inner.new_messages.send(message.clone());
        let _ = self.inner.changes.send(message.clone());
        message
    }

    pub(crate) fn set_status(
        &self,
        vendor: &str,
        carrier_id: &str,
        status: &'static str,
        error_code: Option<u32>,
    ) -> Option<Arc<SimulatedMessage>> {
        let now = self.now();
        let message = {
            let mut state = self.state();
            let vendor = state.vendors.get_mut(vendor)?;
            vendor.mailbox.update(carrier_id, |message| {
                message.status = status;
                message.error_code = error_code;
                message.updated_at = now;
            })?
        };
        let _ = self.inner.changes.send(message.clone());
        Some(message)
    }

    pub(crate) fn find(&self, vendor: &str, carrier_id: &str) -> Option<Arc<SimulatedMessage>> {
        let state = self.state();
        state.vendors.get(vendor)?.mailbox.find(carrier_id).cloned()
    }

    /// Returns at most `limit` messages of one vendor that match, newest first.
    pub(crate) fn select(
        &self,
        vendor: &str,
        to: Option<&str>,
        limit: usize,
        fits: impl Fn(&SimulatedMessage) -> bool,
    ) -> Vec<Arc<SimulatedMessage>> {
        let state = self.state();
        let Some(vendor) = state.vendors.get(vendor) else {
            return Vec::new();
        };
        match to {
            Some(to) => pick(vendor.mailbox.newest_first_to(to), limit, fits),
            None => pick(vendor.mailbox.newest_first(), limit, fits),
        }
    }

    /// Registers the vendor before its first message.
    pub(crate) fn mount(&self, vendor: &'static str) {
        self.state().vendors.entry(vendor).or_default();
    }

    /// Counts a send request and returns the fault to apply.
    pub(crate) fn start_send(&self, vendor: &'static str) -> Option<InjectedFault> {
        let mut state = self.state();
        let vendor = state.vendors.entry(vendor).or_default();
        vendor.requests += 1;
        let (fault, left) = vendor.faults.front_mut()?;
        let fault = fault.clone();
        *left -= 1;
        if *left == 0 {
            vendor.faults.pop_front();
        }
        Some(fault)
    }

    pub(crate) fn deliveries(&self) -> &DeliveryQueue {
        &self.inner.deliveries
    }

    pub(crate) fn person_message_log(&self) -> &PersonMessages {
        &self.inner.person_messages
    }

    pub(crate) fn models(&self) -> &Models {
        &self.inner.models
    }

    pub(crate) fn switchboard(&self) -> &Switchboard {
        &self.inner.switchboard
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        let mut state = self.state();
        state.sequence += 1;
        state.sequence
    }

    /// Returns the simulator's base URL without a trailing slash; empty without a server.
    pub(crate) fn base_url(&self) -> &str {
        self.inner.base_url.get().map_or("", String::as_str)
    }

    /// Keeps the first URL.
    pub(crate) fn set_base_url(&self, url: String) {
        let _ = self.inner.base_url.set(url);
    }

    pub(crate) fn http(&self) -> Option<&reqwest::Client> {
        let connect = || match crate::http::client() {
            Ok(client) => Some(client),
            Err(error) => {
                tracing::warn!(%error, "simulator HTTP client unavailable");
                None
            }
        };
        self.inner.http.get_or_init(connect).as_ref()
    }

    pub(crate) fn delivery_delay(&self) -> Duration {
        Duration::from_millis(self.inner.delivery_delay_ms.load(Ordering::Relaxed))
    }

    /// Spawns a task that is cancelled when the simulator stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.inner.stop.clone();
        self.inner.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Spawns a task that is not cancelled. It must end soon after `stopped`.
    pub(crate) fn spawn_uncancelled(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn(task);
    }

    pub(crate) async fn stopped(&self) {
        self.inner.stop.cancelled().await;
    }

    /// Stops all tasks and waits for them.
    pub(crate) async fn stop(&self) {
        self.start_shutdown();
        self.inner.tasks.wait().await;
    }

    pub(crate) fn start_shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
