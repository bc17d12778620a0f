//! Connects the language model and the speech synthesizer of calls, and the transcriber of recordings. A vendor with credentials is used with real and with
//! simulated carriers. A vendor without credentials is simulated only when the carriers are.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::ports::{model::LanguageModel, speech::SpeechSynthesis, transcription::Transcription};
use butt_dial_providers::{Connected, Credentials, Simulator, VENDORS, Vendor, http};

use crate::{
    config::{AiVendors, ConfigError},
    platform::StartError,
};

/// The connected clients. `None`: no vendor provides the service.
#[derive(Default)]
pub struct AiClients {
    pub model: Option<Arc<dyn LanguageModel>>,
    pub speech: Option<Arc<dyn SpeechSynthesis>>,
    pub transcription: Option<Arc<dyn Transcription>>,
}

type Candidate = (&'static Vendor, Credentials, reqwest::Client);

/// Connects one vendor for each service. `carrier_http` is the carriers' HTTP client, which reaches the simulator.
pub fn connect(
    ai_vendors: &AiVendors,
    simulator: Option<&Simulator>,
    carrier_http: &reqwest::Client,
) -> Result<AiClients, StartError> {
    let mut real: Vec<Candidate> = Vec::new();
    if !ai_vendors.configured.is_empty() {
        // The carriers' client has no root certificates when the carriers are simulated.
        let http = match simulator {
            Some(_) => http::client().map_err(StartError::Other)?,
            None => carrier_http.clone(),
        };
        let configured = ai_vendors.configured.iter().cloned();
        real.extend(configured.map(|(vendor, credentials)| (vendor, credentials, http.clone())));
    }
    let simulated: Vec<Candidate> = match simulator {
        Some(simulator) => {
            let vendors = VENDORS.iter().filter(|vendor| !vendor.manifest.is_carrier());
            let candidate = |vendor: &&'static Vendor| {
                let credentials = vendor.credentials_for(simulator);
                (*vendor, credentials, carrier_http.clone())
            };
            vendors.map(candidate).collect()
        }
        None => Vec::new(),
    };
    Ok(AiClients {
        model: choose(
            "ANSWERING_MODEL",
            ai_vendors.answering_model.as_deref(),
            ai_vendors.model_timeout,
            [&real, &simulated],
            |connected| connected.model,
        )?,
        speech: choose(
            "SPEECH_VENDOR",
            ai_vendors.speech_vendor.as_deref(),
            ai_vendors.speech_timeout,
            [&real, &simulated],
            |connected| connected.speech,
        )?,
        transcription: choose(
            "TRANSCRIPTION_VENDOR",
            ai_vendors.transcription_vendor.as_deref(),
            ai_vendors.speech_timeout,
            [&real, &simulated],
            |connected| connected.transcription,
        )?,
    })
}

/// Connects the vendor with the `requested` id, or the first one. Candidates of the first list take precedence; the second is
/// used only when no vendor of the first provides the service.
fn choose<T>(
    setting: &str,
    requested: Option<&str>,
    timeout: Duration,
    candidates: [&[Candidate]; 2],
    service: fn(Connected) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    for candidates in candidates {
        let mut providers = Vec::new();
        for (vendor, credentials, http) in candidates {
            let connected = (vendor.connect)(credentials, http, timeout)
                .map_err(|text| ConfigError(format!("{}: {text}", vendor.manifest.title)))?;
            providers.extend(service(connected).map(|client| (vendor.manifest.id, client)));
        }
        if providers.is_empty() {
            continue;
        }
        let chosen = providers
            .into_iter()
            .find(|(id, _)| requested.is_none_or(|requested| requested == *id));
        return match chosen {
            Some((_, client)) => Ok(Some(client)),
            None => Err(not_configured(setting, requested)),
        };
    }
    match requested {
        Some(_) => Err(not_configured(setting, requested)),
        None => Ok(None),
    }
}

fn not_configured(setting: &str, requested: Option<&str>) -> ConfigError {
    let requested = requested.unwrap_or_default();
    let credentials = butt_dial_providers::find(requested).map_or_else(String::new, |vendor| {
        let names: Vec<&str> = vendor.manifest.credentials.iter().map(|field| field.env).collect();
        names.join(", ")
    });
    ConfigError(format!(
        "{setting} is {requested}, but this vendor is not set up for it: set its credentials ({credentials}), or unset {setting}"
    ))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use butt_dial_domain::ports::model::{Prompt, Speaker, Turn};

    use super::*;
    use crate::{Config, config::Deployment};

    async fn simulator() -> Simulator {
        Simulator::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap()
    }

    fn install_tls() {
        // Fails when another test of this process has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }

    fn connected(pairs: &[(&str, &str)], simulator: Option<&Simulator>) -> Result<AiClients, String> {
        install_tls();
        let env = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let config = Config::from_parts(None, env, Deployment::SingleProcess).ok().unwrap();
        connect(&config.ai_vendors, simulator, &http::loopback_client().unwrap()).map_err(|error| error.to_string())
    }

    /// Requests a completion and returns the vendors with a simulator that received it.
    async fn simulated_requests(simulator: &Simulator, clients: AiClients) -> Vec<&'static str> {
        let turn = Turn {
            speaker: Speaker::Person,
            text: "Hello?".to_owned(),
        };
        let prompt = Prompt {
            system: String::new(),
            turns: vec![turn],
            max_tokens: 9,
        };
        let model = clients.model.unwrap();
        model.complete(&prompt).await.ok();
        let requests = simulator.state().model_requests();
        requests.iter().map(|request| request.vendor).collect()
    }

    #[tokio::test]
    async fn simulates_model_only_with_simulated_carriers() {
        let simulator = simulator().await;
        let clients = connected(&[], Some(&simulator)).unwrap();
        assert_eq!(simulated_requests(&simulator, clients).await, ["anthropic"]);
        let real = connected(&[], None).unwrap();
        assert!(real.model.is_none() && real.speech.is_none());
    }

    #[tokio::test]
    async fn uses_key_with_real_and_simulated_carriers() {
        let simulator = simulator().await;
        // No server listens on this port.
        let unreachable = [
            ("ANTHROPIC_API_KEY", "sk-1"),
            ("ANTHROPIC_API_URL", "http://127.0.0.1:1"),
        ];
        for carriers in [Some(&simulator), None] {
            let clients = connected(&unreachable, carriers).unwrap();
            assert!(simulated_requests(&simulator, clients).await.is_empty());
        }
    }

    #[tokio::test]
    async fn simulates_model_beside_real_speech_vendor() {
        let simulator = simulator().await;
        let speech_only = [("OPENAI_API_KEY", "sk-1"), ("OPENAI_API_URL", "http://127.0.0.1:1")];
        let clients = connected(&speech_only, Some(&simulator)).unwrap();
        assert!(
            clients.speech.as_ref().unwrap().check().await.is_err(),
            "no server listens on this port"
        );
        assert_eq!(simulated_requests(&simulator, clients).await, ["anthropic"]);
    }

    #[tokio::test]
    async fn rejects_choice_of_unconfigured_vendor() {
        let simulator = simulator().await;
        let openai = connected(&[("ANSWERING_MODEL", "openai")], Some(&simulator)).unwrap();
        assert!(openai.speech.is_some());
        assert_eq!(simulated_requests(&simulator, openai).await, ["openai"]);

        let speech_only = ("OPENAI_API_KEY", "sk-1");
        for (settings, carriers, credential) in [
            (vec![("ANSWERING_MODEL", "anthropic")], None, "ANTHROPIC_API_KEY"),
            (
                vec![("SPEECH_VENDOR", "elevenlabs"), speech_only],
                Some(&simulator),
                "ELEVENLABS_API_KEY",
            ),
            (vec![("ANSWERING_MODEL", "openai"), speech_only], None, "OPENAI_MODEL"),
        ] {
            let error = connected(&settings, carriers).err().unwrap();
            assert!(error.contains(credential), "{error}");
        }
    }

    #[test]
    fn manifests_declare_the_services_that_connect_returns() {
        use butt_dial_providers::AiService::{LanguageModel, Speech, Transcription};
        install_tls();
        let http = http::loopback_client().unwrap();
        for vendor in VENDORS {
            let credentials = vendor.simulated_credentials("http://127.0.0.1:1");
            let connected = (vendor.connect)(&credentials, &http, Duration::from_secs(1)).unwrap();
            let (id, declared) = (vendor.manifest.id, vendor.manifest.ai_services);
            assert_eq!(connected.model.is_some(), declared.contains(&LanguageModel), "{id}");
            assert_eq!(connected.speech.is_some(), declared.contains(&Speech), "{id}");
            assert_eq!(
                connected.transcription.is_some(),
                declared.contains(&Transcription),
                "{id}"
            );
        }
    }
}
