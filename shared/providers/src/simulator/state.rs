//! The simulated person_messages and what they were sent. Cheap to clone; every clone is the same simulator.

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

/// A subscriber that falls behind by more than this misses messages, and is told so.
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
    /// New messages, and old ones whose status has changed.
    changes: broadcast::Sender<Arc<SimulatedMessage>>,
    deliveries: DeliveryQueue,
    person_messages: PersonMessages,
    models: Models,
    switchboard: Switchboard,
    /// Where the simulator itself is.
    base_url: OnceLock<String>,
    /// What webhooks go through; `None` where there can be no client.
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
    /// Empty: every sender is taken.
    senders: HashSet<String>,
}

/// One vendor's counter.
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

    /// The newest messages of all vendors, oldest first.
    pub fn messages(&self) -> Vec<SimulatedMessage> {
        let mut newest = self.newest(None, usize::MAX);
        newest.reverse();
        newest.iter().map(|message| SimulatedMessage::clone(message)).collect()
    }

    /// What one person was sent on all channels, oldest first.
    pub fn messages_to(&self, address: &str) -> Vec<SimulatedMessage> {
        let mut newest = self.newest(Some(address), usize::MAX);
        newest.reverse();
        newest.iter().map(|message| SimulatedMessage::clone(message)).collect()
    }

    /// At most `limit` messages over all vendors, newest first; to one recipient where `to` is given.
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

    /// How many messages the vendor ever took.
    pub fn accepted_total(&self, vendor: &str) -> u64 {
        self.state()
            .vendors
            .get(vendor)
            .map_or(0, |vendor| vendor.mailbox.accepted())
    }

    /// How many sends the vendor was asked for, taken or not.
    pub fn requests_total(&self, vendor: &str) -> u64 {
        self.state().vendors.get(vendor).map_or(0, |vendor| vendor.requests)
    }

    /// The vendors that are mounted.
    pub fn vendors(&self) -> Vec<&'static str> {
        self.state().vendors.keys().copied().collect()
    }

    /// New messages from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<SimulatedMessage>> {
        self.inner.new_messages.subscribe()
    }

    /// New messages, and each again when its status changes.
    pub fn changes(&self) -> broadcast::Receiver<Arc<SimulatedMessage>> {
        self.inner.changes.subscribe()
    }

    /// The person answers STOP: the vendor refuses to send to this number or address.
    pub fn opt_out(&self, address: &str) {
        self.state().opted_out.insert(address.to_owned());
    }

    /// The person answers START.
    pub fn opt_in(&self, address: &str) {
        self.state().opted_out.remove(address);
    }

    pub fn has_opted_out(&self, address: &str) -> bool {
        self.state().opted_out.contains(address)
    }

    /// The person writes to us, which opens WhatsApp's window for 24 hours.
    pub fn open_window(&self, number: &str) {
        let now = self.now();
        self.state().wrote_at.insert(number.to_owned(), now);
    }

    /// Numbers kept for fiction (+1 415 555 01xx) belong to person_messages who have just written.
    pub fn window_is_open(&self, number: &str) -> bool {
        let digits = number.strip_prefix("+141555501");
        if digits.is_some_and(|rest| rest.len() == 2 && rest.bytes().all(|b| b.is_ascii_digit())) {
            return true;
        }
        let now = self.now();
        let wrote_at = self.state().wrote_at.get(number).copied();
        wrote_at.is_some_and(|at| now - at < WHATSAPP_WINDOW)
    }

    /// From now on only these senders belong to the account; as long as none is named, all do.
    pub fn own_sender(&self, address: &str) {
        self.state().senders.insert(address.to_owned());
    }

    pub fn owns_sender(&self, address: &str) -> bool {
        let state = self.state();
        state.senders.is_empty() || state.senders.contains(address)
    }

    /// The vendor's next `times` sends go wrong in this way; what was ordered before comes first.
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

    /// The vendor behaves well again.
    pub fn clear_faults(&self, vendor: &str) {
        if let Some(vendor) = self.state().vendors.get_mut(vendor) {
            vendor.faults.clear();
        }
    }

    /// How long after the vendor's answer a message is on its way, and reported: one second unless told.
    pub fn set_delivery_delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.inner.delivery_delay_ms.store(millis, Ordering::Relaxed);
    }

    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// A vendor takes a message.
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
        // Nobody may be listening.
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

    /// Picks from one vendor's messages, newest first, until `limit` are found.
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

    /// Makes the vendor known before its first message.
    pub(crate) fn mount(&self, vendor: &'static str) {
        self.state().vendors.entry(vendor).or_default();
    }

    /// A send request has come in; says how it is to go wrong.
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

    /// The simulator's own address, without a slash at the end; empty in a simulator that nobody serves.
    pub(crate) fn base_url(&self) -> &str {
        self.inner.base_url.get().map_or("", String::as_str)
    }

    /// The first address stays.
    pub(crate) fn set_base_url(&self, url: String) {
        let _ = self.inner.base_url.set(url);
    }

    pub(crate) fn http(&self) -> Option<&reqwest::Client> {
        let connect = || match crate::http::client() {
            Ok(client) => Some(client),
            Err(error) => {
                tracing::warn!(%error, "the simulator can't call anybody");
                None
            }
        };
        self.inner.http.get_or_init(connect).as_ref()
    }

    pub(crate) fn delivery_delay(&self) -> Duration {
        Duration::from_millis(self.inner.delivery_delay_ms.load(Ordering::Relaxed))
    }

    /// Runs as long as the simulator does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.inner.stop.clone();
        self.inner.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Runs until it ends by itself, which it must do soon after `stopped`.
    pub(crate) fn spawn_uncancelled(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.tasks.spawn(task);
    }

    pub(crate) async fn stopped(&self) {
        self.inner.stop.cancelled().await;
    }

    /// Ends every task of the simulator, and waits for them.
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
