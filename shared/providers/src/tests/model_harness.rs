//! The harness of language model tests: an adapter with a short deadline, connected to its own simulator.

use std::{net::SocketAddr, sync::Arc};

use butt_dial_domain::ports::model::LanguageModel;
use butt_dial_testkit::conformance::model::{Fault, TestVendor};

use super::{harness::DEADLINE, install_tls};
use crate::{
    Credentials, Simulator, Vendor, http,
    simulator::{InjectedFault, RequestEnd, SimulatorState},
};

pub struct ModelHarness {
    vendor: &'static Vendor,
    /// The vendor's status and code for overload.
    overloaded: (u16, &'static str),
    http: reqwest::Client,
    simulator: Simulator,
}

impl ModelHarness {
    pub async fn start(vendor: &'static Vendor, overloaded: (u16, &'static str)) -> Self {
        install_tls();
        let simulator = Simulator::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        Self {
            vendor,
            overloaded,
            http: http::client().unwrap(),
            simulator,
        }
    }

    pub fn state(&self) -> &SimulatorState {
        self.simulator.state()
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub fn credentials(&self) -> Credentials {
        self.vendor.simulated_credentials(&self.simulator.base_url())
    }

    pub fn connect(&self, credentials: &Credentials) -> Arc<dyn LanguageModel> {
        let connected = (self.vendor.connect)(credentials, &self.http, DEADLINE).unwrap();
        connected.model.unwrap()
    }

    pub fn inject_fault(&self, fault: InjectedFault) {
        self.state().inject_fault(self.vendor.manifest.id, fault, 1);
    }
}

impl TestVendor for ModelHarness {
    fn model(&self) -> Arc<dyn LanguageModel> {
        self.connect(&self.credentials())
    }

    fn with_wrong_credentials(&self) -> Arc<dyn LanguageModel> {
        let secrets = self.vendor.manifest.credentials.iter().filter(|field| field.secret);
        let wrong = secrets.fold(self.credentials(), |all, field| all.with(field.env, "wrong"));
        self.connect(&wrong)
    }

    fn unreachable(&self) -> Arc<dyn LanguageModel> {
        // Port 1 has no listener.
        self.connect(&self.vendor.simulated_credentials("http://127.0.0.1:1"))
    }

    fn fail_next(&self, fault: Fault) {
        let (status, code) = (self.overloaded.0, self.overloaded.1.to_owned());
        ModelHarness::inject_fault(
            self,
            match fault {
                Fault::RateLimit { retry_after } => InjectedFault::RateLimit {
                    retry_after: Some(retry_after),
                },
                Fault::Overloaded => InjectedFault::Refuse { status, code },
                Fault::ServerError => InjectedFault::ServerErrorAfterAccept,
                Fault::Nonsense => InjectedFault::Nonsense,
                Fault::StallBeforeAnswer => InjectedFault::StallBeforeAccept,
                Fault::StallMidStream => InjectedFault::StallMidStream,
                Fault::OverloadedMidStream => InjectedFault::ErrorMidStream { code },
                Fault::EndMidStream => InjectedFault::EndMidStream,
                Fault::ResetMidStream => InjectedFault::ResetMidStream,
                Fault::Trickle { delay_ms } => InjectedFault::Trickle { delay_ms },
                Fault::Decline => InjectedFault::Decline,
            },
        );
    }

    fn requests(&self) -> u64 {
        self.state().requests_total(self.vendor.manifest.id)
    }

    fn open(&self) -> usize {
        let requests = self.state().model_requests();
        requests.iter().filter(|request| request.ended.is_none()).count()
    }

    fn cancelled(&self) -> usize {
        let requests = self.state().model_requests();
        let cancelled = |ended: &Option<RequestEnd>| matches!(ended, Some(RequestEnd::Cancelled(_)));
        requests.iter().filter(|request| cancelled(&request.ended)).count()
    }
}
