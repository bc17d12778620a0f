//! The shared state of the simulators: accepted messages, faults, opt-outs and settings. Clones share it. It holds data;
//! sending, delivering and calling are operations of the files above.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use butt_dial_domain::{Clock, clock::Timestamp};
use tokio::sync::broadcast;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    account_book::AccountBook,
    calls::{NewCall, Switchboard},
    chat::Chats,
    delivery_queue::DeliveryQueue,
    injected_fault::InjectedFault,
    mailbox::Mailbox,
    message::SimulatedMessage,
    model_request::ModelRequests,
    person_message::PersonMessages,
    recordings::Recordings,
    secrets::Secrets,
};
use crate::Secret;

/// A subscriber that falls behind by more messages gets an error.
const CHANNEL_CAPACITY: usize = 4_096;
/// WhatsApp: free-form messages pass for 24 hours after the person's last message (Twilio, WhatsApp guide).
const WHATSAPP_WINDOW: chrono::Duration = chrono::Duration::hours(24);
const DELIVERY_DELAY: Duration = Duration::from_secs(1);

/// Handles an inbound call to this webhook until it is over.
pub type CallHandler = fn(&SimulatorState, NewCall, String);

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
    recordings: Recordings,
    model_requests: ModelRequests,
    chats: Chats,
    switchboard: Switchboard,
    account_book: AccountBook,
    /// The simulator's base URL.
    base_url: OnceLock<String>,
    secrets: Secrets,
    /// The client for webhooks; `None` if it can't be built.
    http: OnceLock<Option<reqwest::Client>>,
    delivery_delay_ms: AtomicU64,
    checks_registrations: AtomicBool,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Default)]
pub struct State {
    pub vendors: BTreeMap<&'static str, VendorState>,
    /// The number of the newest message.
    pub sequence: u64,
    call_handlers: Vec<(&'static str, CallHandler)>,
    opted_out: HashSet<String>,
    /// The ids of deleted calls and recordings.
    pub deleted: HashSet<String>,
    wrote_at: HashMap<String, Timestamp>,
    /// Empty: each sender is accepted.
    senders: HashSet<String>,
}

/// The state of one vendor.
#[derive(Default)]
pub struct VendorState {
    pub mailbox: Mailbox,
    faults: VecDeque<(InjectedFault, u32)>,
    requests: u64,
}

impl SimulatorState {
    /// Creates a state with the published secrets, for tests: they know what the simulator signs with.
    pub fn new(clock: Clock) -> Self {
        Self::with(clock, Secrets::published())
    }

    /// Creates a state with secrets that only this simulator knows, except for those that are given.
    pub fn with_own_secrets(clock: Clock, given: impl Fn(&str) -> Option<String>) -> Self {
        Self::with(clock, Secrets::random().replaced(given))
    }

    fn with(clock: Clock, secrets: Secrets) -> Self {
        let inner = Inner {
            clock,
            state: Mutex::default(),
            new_messages: broadcast::Sender::new(CHANNEL_CAPACITY),
            changes: broadcast::Sender::new(CHANNEL_CAPACITY),
            deliveries: DeliveryQueue::default(),
            person_messages: PersonMessages::default(),
            recordings: Recordings::default(),
            model_requests: ModelRequests::default(),
            chats: Chats::default(),
            switchboard: Switchboard::default(),
            account_book: AccountBook::default(),
            base_url: OnceLock::new(),
            secrets,
            http: OnceLock::new(),
            delivery_delay_ms: AtomicU64::new(DELIVERY_DELAY.as_millis() as u64),
            checks_registrations: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let inner = Arc::new(inner);
        Self { inner }
    }

    /// Returns the value of a vendor's setting that this simulator accepts and signs with; empty for an unknown setting.
    pub fn setting(&self, env: &str) -> &str {
        self.inner.secrets.get(env)
    }

    /// Returns whether a client gave the value of this setting.
    pub(crate) fn accepts(&self, env: &str, given: Option<&str>) -> bool {
        given == Some(self.setting(env))
    }

    pub(crate) fn secret(&self, env: &str) -> Secret {
        Secret::new(self.setting(env))
    }

    /// Returns how many messages the vendor ever accepted.
    pub fn accepted_total(&self, vendor: &str) -> u64 {
        self.lock()
            .vendors
            .get(vendor)
            .map_or(0, |vendor| vendor.mailbox.accepted())
    }

    /// Returns how many send requests the vendor received, accepted or not.
    pub fn requests_total(&self, vendor: &str) -> u64 {
        self.lock().vendors.get(vendor).map_or(0, |vendor| vendor.requests)
    }

    /// Returns the mounted vendors.
    pub fn vendors(&self) -> Vec<&'static str> {
        self.lock().vendors.keys().copied().collect()
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
        self.lock().opted_out.insert(address.to_owned());
    }

    /// Opts the person in again.
    pub fn opt_in(&self, address: &str) {
        self.lock().opted_out.remove(address);
    }

    pub fn has_opted_out(&self, address: &str) -> bool {
        self.lock().opted_out.contains(address)
    }

    /// Opens WhatsApp's window for 24 hours, as a message of the person does.
    pub fn open_window(&self, number: &str) {
        let now = self.now();
        self.lock().wrote_at.insert(number.to_owned(), now);
    }

    /// Returns whether WhatsApp's window is open. It always is for numbers reserved for fiction (+1 415 555 01xx).
    pub fn window_is_open(&self, number: &str) -> bool {
        let digits = number.strip_prefix("+141555501");
        if digits.is_some_and(|rest| rest.len() == 2 && rest.bytes().all(|b| b.is_ascii_digit())) {
            return true;
        }
        let now = self.now();
        let wrote_at = self.lock().wrote_at.get(number).copied();
        wrote_at.is_some_and(|at| now - at < WHATSAPP_WINDOW)
    }

    /// Adds a sender to the account. Without any, each sender is accepted.
    pub fn own_sender(&self, address: &str) {
        self.lock().senders.insert(address.to_owned());
    }

    pub fn owns_sender(&self, address: &str) -> bool {
        let state = self.lock();
        state.senders.is_empty() || state.senders.contains(address)
    }

    /// Applies the fault to the vendor's next `times` sends, after faults that were injected earlier.
    pub fn inject_fault(&self, vendor: &'static str, fault: InjectedFault, times: u32) {
        if times > 0 {
            let mut state = self.lock();
            state
                .vendors
                .entry(vendor)
                .or_default()
                .faults
                .push_back((fault, times));
        }
    }

    /// Returns the vendor's faults that were not applied yet, with the number of sends of each.
    pub fn faults(&self, vendor: &str) -> Vec<(InjectedFault, u32)> {
        let state = self.lock();
        let vendor = state.vendors.get(vendor);
        vendor.map_or_else(Vec::new, |vendor| vendor.faults.iter().cloned().collect())
    }

    /// Removes the vendor's faults.
    pub fn clear_faults(&self, vendor: &str) {
        if let Some(vendor) = self.lock().vendors.get_mut(vendor) {
            vendor.faults.clear();
        }
    }

    /// Sets the time from the vendor's response to the first status change: one second by default.
    pub fn set_delivery_delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.inner.delivery_delay_ms.store(millis, Ordering::Relaxed);
    }

    /// Lets US numbers that were bought here send nothing without their registration, or anything: the default.
    pub fn check_registrations(&self, checks: bool) {
        self.inner.checks_registrations.store(checks, Ordering::Relaxed);
    }

    pub fn checks_registrations(&self) -> bool {
        self.inner.checks_registrations.load(Ordering::Relaxed)
    }

    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Publishes a new message. Without subscribers, it does nothing.
    pub(super) fn publish_new(&self, message: &Arc<SimulatedMessage>) {
        let _ = self.inner.new_messages.send(message.clone());
        self.publish_change(message);
    }

    /// Publishes a status change. Without subscribers, it does nothing.
    pub(super) fn publish_change(&self, message: &Arc<SimulatedMessage>) {
        let _ = self.inner.changes.send(message.clone());
    }

    /// Registers the vendor before its first message.
    pub(crate) fn mount(&self, vendor: &'static str) {
        self.lock().vendors.entry(vendor).or_default();
    }

    /// Counts a send request and returns the fault to apply.
    pub(crate) fn start_send(&self, vendor: &'static str) -> Option<InjectedFault> {
        let mut state = self.lock();
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

    pub(crate) fn recordings(&self) -> &Recordings {
        &self.inner.recordings
    }

    pub(crate) fn person_message_log(&self) -> &PersonMessages {
        &self.inner.person_messages
    }

    pub(super) fn chats(&self) -> &Chats {
        &self.inner.chats
    }

    pub(crate) fn model_request_log(&self) -> &ModelRequests {
        &self.inner.model_requests
    }

    /// Registers the vendor's handler of inbound calls.
    pub(crate) fn register_call_handler(&self, vendor: &'static str, handler: CallHandler) {
        self.lock().call_handlers.push((vendor, handler));
    }

    /// Returns the vendor that carries calls, and its handler. Without a vendor, returns the first one.
    pub(crate) fn find_call_handler(&self, vendor: Option<&str>) -> Option<(&'static str, CallHandler)> {
        let state = self.lock();
        let mut handlers = state.call_handlers.iter();
        handlers
            .find(|(id, _)| vendor.is_none_or(|expected| expected == *id))
            .copied()
    }

    /// The subaccounts and the bought numbers.
    pub fn account_book(&self) -> &AccountBook {
        &self.inner.account_book
    }

    pub(crate) fn switchboard(&self) -> &Switchboard {
        &self.inner.switchboard
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        let mut state = self.lock();
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

    /// Returns the time from the response to the first status change.
    pub fn delivery_delay(&self) -> Duration {
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

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
