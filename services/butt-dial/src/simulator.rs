//! `simulator`: serves the simulators of the carriers in a separate process.

use std::{
    io::{self, IsTerminal, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use butt_dial_domain::Clock;
use butt_dial_providers::{Simulator, SimulatorState, VENDORS};
use butt_dial_runtime::{Lifecycle, platform::StartError};

#[derive(clap::Args)]
pub struct Options {
    /// Port; 0 selects a free port.
    #[arg(long, default_value_t = 3101)]
    port: u16,
    /// Listen address. Anyone who reaches it controls the simulators: use another one than loopback in private networks only.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Host name by which other machines reach the simulators, such as the name of the container. May be repeated; the first one
    /// is the name in links. Required with another listen address than loopback.
    #[arg(long = "allowed-host", value_name = "NAME")]
    allowed_hosts: Vec<String>,
    /// URL of the server that receives the webhooks of the simulated carriers, without a trailing slash.
    #[arg(long, value_name = "URL")]
    webhook_base_url: Option<url::Url>,
    /// File for the settings of a server that uses the simulators, with their secrets. They are printed on a terminal only, because
    /// the output of a service is a log.
    #[arg(long, value_name = "FILE")]
    settings_file: Option<PathBuf>,
}

pub async fn run(options: Options) -> Result<bool, StartError> {
    let address = SocketAddr::new(options.host, options.port);
    if !options.host.is_loopback() && options.allowed_hosts.is_empty() {
        return Err(StartError::Other(format!(
            "--host {} serves other machines: name the host by which they reach the simulators with --allowed-host",
            options.host
        )));
    }
    // Random secrets, except those of the environment, so that a restart may keep them.
    let state = SimulatorState::with_own_secrets(Clock::System, |name| std::env::var(name).ok());
    let started = Simulator::start_for_hosts(address, &options.allowed_hosts, state).await;
    let simulator = started.map_err(|error| StartError::Io {
        resource: format!("the simulator on {address}"),
        error,
    })?;
    if let Some(url) = &options.webhook_base_url {
        simulator.state().set_webhook_base_url(url.as_str());
    }
    let base = simulator.base_url();
    println!("The simulators of the carriers are at {base}/. Configure a server to use them:");
    for vendor in VENDORS {
        println!("  {}={base}/{}", vendor.manifest.endpoint_env, vendor.manifest.id);
    }
    let secrets = secrets(simulator.state());
    match &options.settings_file {
        Some(path) => {
            write_settings(path, &base, &secrets).map_err(|error| StartError::Io {
                resource: format!("the settings file {}", path.display()),
                error,
            })?;
            println!("These settings and the secrets are in {}.", path.display());
        }
        None if io::stdout().is_terminal() => {
            for (name, value) in &secrets {
                println!("  {name}={value}");
            }
        }
        None => {
            let names: Vec<&str> = secrets.iter().map(|(name, _)| *name).collect();
            println!(
                "The secrets are not printed, because this output may be a log: {}. Set them in the environment of this process, or \
                 write them to a file with --settings-file.",
                names.join(", ")
            );
        }
    }
    println!(
        "Then create its agent with addresses: butt-dial bootstrap --phone-number +14155550100 --email-address a@example.com"
    );
    Lifecycle::termination_signal().await;
    simulator.stop().await;
    Ok(true)
}

/// Returns the secrets of all simulators, by their settings.
fn secrets(state: &SimulatorState) -> Vec<(&'static str, String)> {
    let settings = VENDORS.iter().flat_map(|vendor| vendor.simulated_settings);
    settings
        .map(|(name, _)| (*name, state.setting(name).to_owned()))
        .collect()
}

/// Writes a file that only its owner can read.
fn write_settings(path: &Path, base: &str, secrets: &[(&str, String)]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    for vendor in VENDORS {
        writeln!(file, "{}={base}/{}", vendor.manifest.endpoint_env, vendor.manifest.id)?;
    }
    for (name, value) in secrets {
        writeln!(file, "{name}={value}")?;
    }
    file.sync_all()
}
