//! `health`: asks the server with these settings whether it is ready, for health checks of containers without a shell.

use std::{net::IpAddr, time::Duration};

use butt_dial_runtime::{Config, platform::StartError};

/// Longer than a probe of the server.
const TIMEOUT: Duration = Duration::from_secs(4);

#[derive(clap::Args)]
pub struct Options {
    /// Check only that the server answers, not that its backends do.
    #[arg(long)]
    live: bool,
}

/// Returns whether the server is healthy. Prints the answer.
pub async fn run(config: &Config, options: Options) -> Result<bool, StartError> {
    if config.port == 0 {
        return Err(StartError::Other(
            "PORT is 0, so the port of the server is not known: set PORT to the port that it logs".into(),
        ));
    }
    let url = format!(
        "{}{}",
        address(config.host, config.port),
        if options.live { "/health" } else { "/health/ready" }
    );
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build();
    let client = client.map_err(|error| StartError::Other(error.to_string()))?;
    match client.get(&url).send().await {
        Ok(response) => {
            let status = response.status();
            println!("{} {}", status.as_u16(), response.text().await.unwrap_or_default());
            Ok(status.is_success())
        }
        Err(error) => {
            eprintln!("butt-dial: {url} does not answer: {}", error.without_url());
            Ok(false)
        }
    }
}

/// Returns the URL that reaches the server from this machine.
fn address(host: IpAddr, port: u16) -> String {
    match host {
        IpAddr::V4(address) if address.is_unspecified() => format!("http://127.0.0.1:{port}"),
        IpAddr::V6(address) if address.is_unspecified() => format!("http://[::1]:{port}"),
        IpAddr::V4(address) => format!("http://{address}:{port}"),
        IpAddr::V6(address) => format!("http://[{address}]:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaches_server_on_all_addresses_over_loopback() {
        for (host, expected) in [
            ("0.0.0.0", "http://127.0.0.1:3100"),
            ("::", "http://[::1]:3100"),
            ("10.0.0.7", "http://10.0.0.7:3100"),
            ("::1", "http://[::1]:3100"),
        ] {
            assert_eq!(address(host.parse().unwrap(), 3100), expected);
        }
    }
}
