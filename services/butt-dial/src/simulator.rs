//! `simulator`: serves the simulators of the carriers in a separate process.

use std::net::SocketAddr;

use butt_dial_domain::Clock;
use butt_dial_providers::{Simulator, SimulatorState, VENDORS};
use butt_dial_runtime::{Lifecycle, platform::StartError};

#[derive(clap::Args)]
pub struct Options {
    /// Port on 127.0.0.1; 0 selects a free port.
    #[arg(long, default_value_t = 3101)]
    port: u16,
}

pub async fn run(options: Options) -> Result<bool, StartError> {
    let address = SocketAddr::from(([127, 0, 0, 1], options.port));
    // Random secrets, except those of the environment, so that a restart may keep them.
    let state = SimulatorState::with_own_secrets(Clock::System, |name| std::env::var(name).ok());
    let started = Simulator::start_with(address, state).await;
    let simulator = started.map_err(|error| StartError::Io {
        resource: format!("the simulator on {address}"),
        error,
    })?;
    let base = simulator.base_url();
    println!("The simulators of the carriers are at {base}/. Configure a server to use them:");
    for vendor in VENDORS {
        println!("  {}={base}/{}", vendor.manifest.endpoint_env, vendor.manifest.id);
        for (name, _) in vendor.simulated_settings {
            println!("  {name}={}", simulator.state().setting(name));
        }
    }
    println!(
        "Then create its agent with addresses: butt-dial bootstrap --phone-number +14155550100 --email-address a@example.com"
    );
    Lifecycle::termination_signal().await;
    simulator.stop().await;
    Ok(true)
}
