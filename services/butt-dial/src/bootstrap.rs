//! `bootstrap`: creates the first organization and agent. Repeated runs print the same ones.

use butt_dial_accounts::Addresses;
use butt_dial_runtime::{Config, Lifecycle, Platform, platform::StartError};

#[derive(clap::Args)]
pub struct Options {
    /// Print one JSON object only.
    #[arg(long)]
    json: bool,
    /// Number of the agent for SMS, in E.164 format. You must own it at your carrier. Default with simulated carriers: a
    /// generated number.
    #[arg(long)]
    phone_number: Option<String>,
    /// WhatsApp sender of the agent, in E.164 format.
    #[arg(long)]
    whatsapp_number: Option<String>,
    /// E-mail address of the agent, on a domain that is verified at your carrier.
    #[arg(long)]
    email_address: Option<String>,
}

pub async fn run(config: Config, options: Options) -> Result<bool, StartError> {
    let platform = Platform::assemble(config, Lifecycle::new(), 0).await?;
    let addresses = Addresses {
        phone_number: options.phone_number,
        whatsapp_number: options.whatsapp_number,
        email_address: options.email_address,
    };
    let created = platform.product.bootstrap.run(&addresses).await?;
    platform.backends().store.close().await;
    let json = serde_json::to_value(&created).map_err(|error| StartError::Other(error.to_string()))?;
    if options.json {
        println!("{json}");
        return Ok(true);
    }
    for (name, value) in json.as_object().into_iter().flatten() {
        println!("{name:<16} {}", value.as_str().unwrap_or("none"));
    }
    Ok(true)
}
