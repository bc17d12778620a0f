//! The harness of transcription tests: an adapter with a short deadline, connected to its own simulator.

use std::{net::SocketAddr, sync::Arc};

use butt_dial_domain::ports::transcription::{Recording, Transcription};
use butt_dial_testkit::conformance::{speech::Fault, transcription::TestVendor};

use super::{harness::DEADLINE, install_tls};
use crate::{
    Credentials, Simulator, Vendor, http,
    simulator::{InjectedFault, audio},
};

pub struct TranscriptionHarness {
    vendor: &'static Vendor,
    http: reqwest::Client,
    simulator: Simulator,
}

impl TranscriptionHarness {
    pub async fn start(vendor: &'static Vendor) -> Self {
        install_tls();
        let simulator = Simulator::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        Self {
            vendor,
            http: http::client().unwrap(),
            simulator,
        }
    }

    fn credentials(&self) -> Credentials {
        self.vendor.simulated_credentials(&self.simulator.base_url())
    }

    fn connect(&self, credentials: &Credentials) -> Arc<dyn Transcription> {
        let connected = (self.vendor.connect)(credentials, &self.http, DEADLINE).unwrap();
        connected.transcription.unwrap()
    }
}

impl TestVendor for TranscriptionHarness {
    fn transcription(&self) -> Arc<dyn Transcription> {
        self.connect(&self.credentials())
    }

    fn with_wrong_credentials(&self) -> Arc<dyn Transcription> {
        let secrets = self.vendor.manifest.credentials.iter().filter(|field| field.secret);
        let wrong = secrets.fold(self.credentials(), |all, field| all.with(field.env, "wrong"));
        self.connect(&wrong)
    }

    fn unreachable(&self) -> Arc<dyn Transcription> {
        // Port 1 has no listener.
        self.connect(&self.vendor.simulated_credentials("http://127.0.0.1:1"))
    }

    fn recording(&self, said: &str) -> Recording {
        Recording {
            bytes: audio::recording(said).into(),
            content_type: "audio/ogg".to_owned(),
            language: None,
        }
    }

    fn fail_next(&self, fault: Fault) {
        let fault = match fault {
            Fault::RateLimit { retry_after } => InjectedFault::RateLimit {
                retry_after: Some(retry_after),
            },
            Fault::ServerError => InjectedFault::ServerErrorAfterAccept,
            Fault::Nonsense => InjectedFault::Nonsense,
            Fault::Stall => InjectedFault::StallBeforeAccept,
            Fault::Reset => InjectedFault::ResetAfterAccept,
        };
        let simulator = self.simulator.state();
        simulator.inject_fault(self.vendor.manifest.id, fault, 1);
    }

    fn requests(&self) -> u64 {
        self.simulator.state().requests_total(self.vendor.manifest.id)
    }
}
