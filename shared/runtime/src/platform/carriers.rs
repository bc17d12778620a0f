//! Connects the carriers, or starts their simulator.

use std::{collections::BTreeMap, io, net::SocketAddr};

use butt_dial_accounts::OwnVendor;
use butt_dial_domain::Clock;
use butt_dial_messaging::{Carrier, Carriers};
use butt_dial_providers::{Simulator, SimulatorState, VENDORS, http};

use super::StartError;
use crate::{
    Config,
    config::{CarrierSetup, ConfigError},
};

/// The connected carriers.
pub(super) struct ConnectedCarriers {
    pub simulator: Option<Simulator>,
    pub carriers: Carriers,
    /// The installation's own connections, for the accounts and numbers of organizations.
    pub own: BTreeMap<&'static str, OwnVendor>,
    /// A client to the carriers' own addresses.
    pub http: reqwest::Client,
}

pub(super) async fn connect(config: &Config) -> Result<ConnectedCarriers, StartError> {
    let (simulator, http, connected) = match &config.carriers {
        CarrierSetup::Real(real) => {
            if real.is_empty() {
                tracing::warn!("no carrier configured; every channel is unavailable");
            }
            if config.carriers.are_simulated() {
                tracing::warn!("carriers are simulators at an http:// address; no message reaches a person");
            }
            (None, http::client(), real.clone())
        }
        CarrierSetup::Simulated => {
            let simulator = start_simulator(config.simulator_port).await?;
            tracing::warn!("carriers are simulated; no message reaches a person");
            let vendors = VENDORS.iter();
            let all = vendors
                .filter(|vendor| vendor.manifest.is_carrier())
                .map(|vendor| (*vendor, vendor.credentials_for(&simulator)))
                .collect();
            (Some(simulator), http::loopback_client(), all)
        }
    };
    let http = http.map_err(StartError::Other)?;
    let mut carriers = Carriers::default();
    let mut own = BTreeMap::new();
    for (vendor, credentials) in connected {
        let connected = (vendor.connect)(&credentials, &http, config.carrier_timeout)
            .map_err(|text| ConfigError(format!("{}: {text}", vendor.manifest.title)))?;
        own.insert(
            vendor.manifest.id,
            OwnVendor {
                endpoint: credentials.endpoint.clone(),
                numbers: connected.numbers,
                subaccounts: connected.subaccounts,
                whatsapp_senders: connected.whatsapp_senders,
                registrations: connected.registrations,
                mail_domains: connected.mail_domains,
            },
        );
        if let Some(messaging) = connected.messaging {
            let id = vendor.manifest.id;
            carriers.add(
                vendor.manifest.channels,
                &Carrier {
                    id,
                    messaging,
                    account: None,
                },
            );
        }
        if let Some(voice) = connected.voice {
            carriers.add_voice(vendor.manifest.id, voice);
        }
        if let Some(webhooks) = connected.webhooks {
            carriers.add_webhooks(vendor.manifest.id, webhooks);
        }
    }
    Ok(ConnectedCarriers {
        simulator,
        carriers,
        own,
        http,
    })
}

/// Starts the simulator on the configured port, or on a free one: several programs may run on one machine.
async fn start_simulator(port: u16) -> Result<Simulator, StartError> {
    // Random secrets: published ones would let any program forge messages of people.
    let state = || SimulatorState::with_own_secrets(Clock::System, |_| None);
    let preferred = SocketAddr::from(([127, 0, 0, 1], port));
    match Simulator::start_with(preferred, state()).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Simulator::start_with(SocketAddr::from(([127, 0, 0, 1], 0)), state()).await
        }
        started => started,
    }
    .map_err(|error| StartError::Io {
        resource: "the carriers' simulator".into(),
        error,
    })
}
