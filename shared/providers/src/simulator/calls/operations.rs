//! Operations on calls: the behavior of called numbers, the pace, and starting, finding and routing calls.

use std::time::Duration;

use butt_dial_domain::{Address, Channel, call::Direction};
use tokio::sync::mpsc;

use super::{Call, CalleeBehavior, CallerStep, NewCall, PhoneCall, caller_script};
use crate::simulator::SimulatorState;

impl SimulatorState {
    /// Sets how many real seconds a second of a call takes: 1 by default. Applies to calls that start later.
    pub fn set_pace(&self, pace: f64) {
        self.switchboard().state().pace = pace.clamp(0.001, 10.0);
    }

    /// Sets how this number behaves when it is called.
    pub fn set_callee_behavior(&self, number: &str, behavior: CalleeBehavior) {
        self.switchboard().state().numbers.insert(number.to_owned(), behavior);
    }

    /// Sets where vendors report the status of calls to our numbers. Without it they send no report.
    pub fn set_number_status_url(&self, url: &str) {
        self.switchboard().state().status_url = Some(url.to_owned());
    }

    /// Delays each status report by this much of the call's time.
    pub fn delay_call_reports(&self, by_ms: u64) {
        self.switchboard().state().status_delay_ms = by_ms;
    }

    /// Makes the next sockets of conversations fail to open.
    pub fn refuse_sockets(&self, times: u32) {
        self.switchboard().state().refused_sockets = times;
    }

    /// Routes requests for this public base URL to a local one, like a load balancer. Signatures still cover the
    /// public URL.
    pub fn route(&self, public: &str, loopback: &str) {
        let bare = |url: &str| url.trim().trim_end_matches('/').to_owned();
        self.switchboard().state().routes.insert(bare(public), bare(loopback));
    }

    /// Calls one of our numbers, without a script.
    pub async fn dial(&self, from: &str, to: &str) -> Result<Call, String> {
        self.start_call(PhoneCall {
            from: from.to_owned(),
            to: to.to_owned(),
            steps: Vec::new(),
            vendor: None,
        })
    }

    /// Calls one of our numbers and runs the script. An error describes what is wrong with the request.
    pub fn start_call(&self, request: PhoneCall) -> Result<Call, String> {
        let to = Address::parse(Channel::Voice, &request.to).map_err(|error| format!("`to`: {error}"))?;
        let (vendor, handler) = self
            .find_call_handler(request.vendor.as_deref())
            .ok_or("no matching vendor carries calls")?;
        let url = self
            .webhook_url(vendor, Channel::Voice)
            .ok_or("the webhook base URL is not set: POST /call-back-to first")?;
        let id = format!("CA{}", uuid::Uuid::new_v4().simple());
        let new_call = self.open_call(vendor, id, &request.from, to.as_str(), Direction::Inbound);
        let call = new_call.call.clone();
        handler(self, new_call, url);
        self.run_caller_script(&call, request.steps);
        Ok(call)
    }

    /// Returns the newest calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.switchboard().calls()
    }

    pub fn find_call(&self, id: &str) -> Option<Call> {
        self.switchboard().find(id)
    }

    /// Waits for the first outbound call to this number, including calls that exist already.
    pub async fn wait_for_call(&self, to: &str, timeout: Duration) -> Option<Call> {
        let fits = |call: &Call| call.direction() == Direction::Outbound && call.to() == to;
        self.wait_for_any_call(fits, timeout).await
    }

    pub async fn wait_for_any_call(&self, fits: impl Fn(&Call) -> bool, timeout: Duration) -> Option<Call> {
        let mut changed = self.switchboard().changes();
        let search = async {
            loop {
                if let Some(call) = self.calls().into_iter().find(|call| fits(call)) {
                    return Some(call);
                }
                changed.changed().await.ok()?;
            }
        };
        tokio::time::timeout(timeout, search).await.ok().flatten()
    }

    pub(crate) fn open_call(
        &self,
        vendor: &'static str,
        id: String,
        from: &str,
        to: &str,
        direction: Direction,
    ) -> NewCall {
        let (sender, commands) = mpsc::unbounded_channel();
        let facts = (vendor, id, from.to_owned(), to.to_owned(), direction);
        let now = self.now();
        let call = self.switchboard().add(|pace| Call::new(facts, now, pace, sender));
        NewCall { call, commands }
    }

    /// Starts the caller's script.
    pub fn run_caller_script(&self, call: &Call, steps: Vec<CallerStep>) {
        if !steps.is_empty() {
            self.spawn(caller_script::run(call.clone(), steps));
        }
    }

    /// Returns how this number behaves when it is called.
    pub fn callee_behavior(&self, number: &str) -> CalleeBehavior {
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

    /// Returns the local URL for a public one. `wss://` follows the route of the same host with `https://` or
    /// `http://`.
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
            // A simulator has no TLS peers.
            (None, true) => web[1].clone(),
            (None, false) => url.to_owned(),
        }
    }
}
