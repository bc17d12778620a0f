//! The harness of speech synthesis tests: an adapter with a short deadline, connected to its own simulator.

use std::{net::SocketAddr, sync::Arc};

use butt_dial_domain::ports::speech::{AudioFormat, SpeechSynthesis, Utterance};
use butt_dial_testkit::conformance::speech::{Fault, TestVendor};

use super::{harness::DEADLINE, install_tls};
use crate::{Credentials, Simulator, Vendor, http, simulator::InjectedFault};

pub struct SpeechHarness {
    vendor: &'static Vendor,
    http: reqwest::Client,
    simulator: Simulator,
}

impl SpeechHarness {
    pub async fn start(vendor: &'static Vendor) -> Self {
        install_tls();
        let simulator = Simulator::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        Self {
            vendor,
            http: http::client().unwrap(),
            simulator,
        }
    }

    pub fn credentials(&self) -> Credentials {
        self.vendor.simulated_credentials(&self.simulator.base_url())
    }

    pub fn connect(&self, credentials: &Credentials) -> Arc<dyn SpeechSynthesis> {
        let connected = (self.vendor.connect)(credentials, &self.http, DEADLINE).unwrap();
        connected.speech.unwrap()
    }

    pub fn inject_fault(&self, fault: InjectedFault) {
        let simulator = self.simulator.state();
        simulator.inject_fault(self.vendor.manifest.id, fault, 1);
    }
}

pub fn utterance(format: AudioFormat) -> Utterance {
    Utterance {
        text: "Your table is booked.".to_owned(),
        voice: None,
        language: None,
        format,
    }
}

impl TestVendor for SpeechHarness {
    fn speech(&self) -> Arc<dyn SpeechSynthesis> {
        self.connect(&self.credentials())
    }

    fn with_wrong_credentials(&self) -> Arc<dyn SpeechSynthesis> {
        let secrets = self.vendor.manifest.credentials.iter().filter(|field| field.secret);
        let wrong = secrets.fold(self.credentials(), |all, field| all.with(field.env, "wrong"));
        self.connect(&wrong)
    }

    fn unreachable(&self) -> Arc<dyn SpeechSynthesis> {
        // Port 1 has no listener.
        self.connect(&self.vendor.simulated_credentials("http://127.0.0.1:1"))
    }

    fn fail_next(&self, fault: Fault) {
        SpeechHarness::inject_fault(
            self,
            match fault {
                Fault::RateLimit { retry_after } => InjectedFault::RateLimit {
                    retry_after: Some(retry_after),
                },
                Fault::ServerError => InjectedFault::ServerErrorAfterAccept,
                Fault::Nonsense => InjectedFault::Nonsense,
                Fault::Stall => InjectedFault::StallBeforeAccept,
                Fault::Reset => InjectedFault::ResetAfterAccept,
            },
        );
    }

    fn requests(&self) -> u64 {
        self.simulator.state().requests_total(self.vendor.manifest.id)
    }
}
