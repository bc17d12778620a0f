//! From settings to a language model and a speech synthesizer. A key that is set is used, whoever the carriers are;
//! a simulator stands in only where the carriers are simulated too.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::ports::{model::LanguageModel, speech::SpeechSynthesis};
use butt_dial_providers::{Connected, Credentials, Simulator, VENDORS, Vendor, http};

use crate::{
    config::{ConfigError, Engines},
    platform::StartError,
};

#[derive(Default)]
pub struct Connections {
    pub model: Option<Arc<dyn LanguageModel>>,
    pub speech: Option<Arc<dyn SpeechSynthesis>>,
}

type Candidate = (&'static Vendor, Credentials, reqwest::Client);

/// `carrier_http` is the client of the carriers: it reaches a simulator, where there is one.
pub fn connect(
    engines: &Engines,
    simulator: Option<&Simulator>,
    carrier_http: &reqwest::Client,
) -> Result<Connections, StartError> {
    let mut real: Vec<Candidate> = Vec::new();
    if !engines.set_up.is_empty() {
        // The client of simulated carriers knows no certificates.
        let http = match simulator {
            Some(_) => http::client().map_err(StartError::Other)?,
            None => carrier_http.clone(),
        };
        let set_up = engines.set_up.iter().cloned();
        real.extend(set_up.map(|(vendor, credentials)| (vendor, credentials, http.clone())));
    }
    let simulated: Vec<Candidate> = match simulator {
        Some(simulator) => {
            let base = simulator.base_url();
            let vendors = VENDORS.iter().filter(|vendor| vendor.manifest.channels.is_empty());
            let candidate = |vendor: &&'static Vendor| {
                let credentials = vendor.simulated_credentials(&base);
                (*vendor, credentials, carrier_http.clone())
            };
            vendors.map(candidate).collect()
        }
        None => Vec::new(),
    };
    Ok(Connections {
        model: choose(
            "ANSWERING_MODEL",
            engines.answering_model.as_deref(),
            engines.model_timeout,
            [&real, &simulated],
            |connected| connected.model,
        )?,
        speech: choose(
            "SPEECH_VENDOR",
            engines.speech_vendor.as_deref(),
            engines.speech_timeout,
            [&real, &simulated],
            |connected| connected.speech,
        )?,
    })
}

/// Of those that can do it, real ones before simulated ones, the one that is wanted, or the first.
fn choose<T>(
    setting: &str,
    wanted: Option<&str>,
    deadline: Duration,
    candidates: [&[Candidate]; 2],
    of: fn(Connected) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    for candidates in candidates {
        let mut able = Vec::new();
        for (vendor, credentials, http) in candidates {
            let connected = (vendor.connect)(credentials, http, deadline)
                .map_err(|text| ConfigError(format!("{}: {text}", vendor.manifest.title)))?;
            able.extend(of(connected).map(|engine| (vendor.manifest.id, engine)));
        }
        if able.is_empty() {
            continue;
        }
        let chosen = able
            .into_iter()
            .find(|(id, _)| wanted.is_none_or(|wanted| wanted == *id));
        return match chosen {
            Some((_, engine)) => Ok(Some(engine)),
            None => Err(missing(setting, wanted)),
        };
    }
    match wanted {
        Some(_) => Err(missing(setting, wanted)),
        None => Ok(None),
    }
}

fn missing(setting: &str, wanted: Option<&str>) -> ConfigError {
    let wanted = wanted.unwrap_or_default();
    let settings = butt_dial_providers::find(wanted).map_or_else(String::new, |vendor| {
        let names: Vec<&str> = vendor.manifest.credentials.iter().map(|field| field.env).collect();
        format!(" ({})", names.join(", "))
    });
    ConfigError(format!(
        "{setting}={wanted}, but {wanted} is not set up for it: set it up{settings}, or leave {setting} out"
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

    fn connected(pairs: &[(&str, &str)], simulator: Option<&Simulator>) -> Result<Connections, String> {
        // Another test of the process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let env = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let config = Config::from_parts(None, env, Deployment::Alone).ok().unwrap();
        connect(&config.engines, simulator, &http::loopback_client().unwrap()).map_err(|error| error.to_string())
    }

    /// Whose simulator is asked.
    async fn asked(simulator: &Simulator, connections: Connections) -> Vec<&'static str> {
        let said = Turn {
            speaker: Speaker::Person,
            text: "Hello?".to_owned(),
        };
        let prompt = Prompt {
            system: String::new(),
            turns: vec![said],
            max_tokens: 9,
        };
        let model = connections.model.unwrap();
        model.ask(&prompt).await.ok();
        let requests = simulator.world().model_requests();
        requests.iter().map(|request| request.vendor).collect()
    }

    #[tokio::test]
    async fn without_a_key_it_is_simulated_with_the_carriers_only() {
        let simulator = simulator().await;
        let connections = connected(&[], Some(&simulator)).unwrap();
        assert_eq!(asked(&simulator, connections).await, ["anthropic"]);
        let real = connected(&[], None).unwrap();
        assert!(real.model.is_none() && real.speech.is_none());
    }

    #[tokio::test]
    async fn a_key_is_used_whoever_the_carriers_are() {
        let simulator = simulator().await;
        // Nobody listens there.
        let elsewhere = [
            ("ANTHROPIC_API_KEY", "sk-1"),
            ("ANTHROPIC_API_URL", "http://127.0.0.1:1"),
        ];
        for carriers in [Some(&simulator), None] {
            let connections = connected(&elsewhere, carriers).unwrap();
            assert!(asked(&simulator, connections).await.is_empty());
        }
    }

    #[tokio::test]
    async fn a_key_for_one_thing_leaves_the_other_simulated() {
        let simulator = simulator().await;
        let speaks_only = [("OPENAI_API_KEY", "sk-1"), ("OPENAI_API_URL", "http://127.0.0.1:1")];
        let connections = connected(&speaks_only, Some(&simulator)).unwrap();
        assert!(
            connections.speech.as_ref().unwrap().check().await.is_err(),
            "nobody listens there"
        );
        assert_eq!(asked(&simulator, connections).await, ["anthropic"]);
    }

    #[tokio::test]
    async fn who_is_named_must_be_there() {
        let simulator = simulator().await;
        let openai = connected(&[("ANSWERING_MODEL", "openai")], Some(&simulator)).unwrap();
        assert!(openai.speech.is_some());
        assert_eq!(asked(&simulator, openai).await, ["openai"]);

        let speaks_only = ("OPENAI_API_KEY", "sk-1");
        for (settings, carriers, named) in [
            (vec![("ANSWERING_MODEL", "anthropic")], None, "ANTHROPIC_API_KEY"),
            (
                vec![("SPEECH_VENDOR", "elevenlabs"), speaks_only],
                Some(&simulator),
                "ELEVENLABS_API_KEY",
            ),
            (vec![("ANSWERING_MODEL", "openai"), speaks_only], None, "OPENAI_MODEL"),
        ] {
            let error = connected(&settings, carriers).err().unwrap();
            assert!(error.contains(named), "{error}");
        }
    }
}
