//! For the tests of language models: an adapter with a short deadline, connected to a simulator of its own.

use std::{net::SocketAddr, sync::Arc};

use butt_dial_domain::ports::model::LanguageModel;
use butt_dial_testkit::conformance::model::{FarEnd, Fault};

use super::{harness::DEADLINE, install_tls};
use crate::{
    Credentials, Simulator, Vendor, http,
    simulator::{Ended, Misbehaviour, World},
};

pub struct Mind {
    vendor: &'static Vendor,
    /// The vendor's own word for having too much to do, and the status that it comes with.
    overloaded: (u16, &'static str),
    http: reqwest::Client,
    simulator: Simulator,
}

impl Mind {
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

    pub fn world(&self) -> &World {
        self.simulator.world()
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

    pub fn misbehave(&self, misbehaviour: Misbehaviour) {
        self.world().misbehave(self.vendor.manifest.id, misbehaviour, 1);
    }
}

impl FarEnd for Mind {
    fn model(&self) -> Arc<dyn LanguageModel> {
        self.connect(&self.credentials())
    }

    fn with_wrong_credentials(&self) -> Arc<dyn LanguageModel> {
        let secrets = self.vendor.manifest.credentials.iter().filter(|field| field.secret);
        let wrong = secrets.fold(self.credentials(), |all, field| all.with(field.env, "wrong"));
        self.connect(&wrong)
    }

    fn unreachable(&self) -> Arc<dyn LanguageModel> {
        // Nobody listens on port 1.
        self.connect(&self.vendor.simulated_credentials("http://127.0.0.1:1"))
    }

    fn misbehave(&self, fault: Fault) {
        let (status, code) = (self.overloaded.0, self.overloaded.1.to_owned());
        Mind::misbehave(
            self,
            match fault {
                Fault::RateLimit { retry_after } => Misbehaviour::RateLimit {
                    retry_after: Some(retry_after),
                },
                Fault::Overloaded => Misbehaviour::Refuse { status, code },
                Fault::ServerError => Misbehaviour::ServerErrorAfterAccept,
                Fault::Nonsense => Misbehaviour::Nonsense,
                Fault::StallBeforeAnswer => Misbehaviour::StallBeforeAccept,
                Fault::StallMidStream => Misbehaviour::StallMidStream,
                Fault::OverloadedMidStream => Misbehaviour::ErrorMidStream { code },
                Fault::EndMidStream => Misbehaviour::EndMidStream,
                Fault::ResetMidStream => Misbehaviour::ResetMidStream,
                Fault::Trickle { delay_ms } => Misbehaviour::Trickle { delay_ms },
                Fault::Decline => Misbehaviour::Decline,
            },
        );
    }

    fn requests(&self) -> u64 {
        self.world().requests_total(self.vendor.manifest.id)
    }

    fn open(&self) -> usize {
        let requests = self.world().model_requests();
        requests.iter().filter(|request| request.ended.is_none()).count()
    }

    fn cancelled(&self) -> usize {
        let requests = self.world().model_requests();
        let cancelled = |ended: &Option<Ended>| matches!(ended, Some(Ended::Cancelled(_)));
        requests.iter().filter(|request| cancelled(&request.ended)).count()
    }
}
