//! The command line: what can be asked for, and what it ends with.

use std::process::ExitCode;

use butt_dial_runtime::{
    Config,
    config::{ConfigError, Deployment},
    platform::StartError,
    telemetry,
};
use clap::{Parser, Subcommand};

use crate::{bootstrap, demo, doctor, install_tls, serve, simulator};

/// A communications server for AI agents: a phone number, SMS, e-mail and WhatsApp over MCP and REST.
///
/// Without a command it serves everything in one process, on SQLite, with simulated carriers until you set credentials.
/// Settings come from the environment or a file `butt-dial.toml`; each is documented in deploy/butt-dial.toml.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve everything in one process (the default).
    Serve,
    /// Serve the gateway only; needs Postgres, NATS and Redis, which it shares with other replicas.
    Gateway,
    /// Serve what carriers call only; needs Postgres, NATS and Redis.
    WebhookIngest,
    /// Hold the sockets of telephone calls only; needs Postgres, NATS and Redis.
    VoiceRelay,
    /// Read what came in, deliver it, and do what is due later; needs Postgres, NATS and Redis.
    Dispatcher,
    /// See it work: starts the program on a free port, sends an SMS, a WhatsApp message and an e-mail over MCP, shows
    /// them arrive; people answer.
    Demo,
    /// Bring the database's schema up to date.
    Migrate,
    /// Check every backend and every carrier's credentials, and say how to mend what fails.
    Doctor,
    /// Make the first organization and agent, once, and print their ids, tokens and addresses.
    Bootstrap(bootstrap::Options),
    /// Serve the carriers' simulators by themselves, for several processes to share (TWILIO_API_URL, RESEND_API_URL).
    Simulator(simulator::Options),
}

/// Runs what the arguments ask for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    install_tls();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the async runtime does not start: {error}")),
    };
    match runtime.block_on(run(cli.command.unwrap_or(Command::Serve))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("butt-dial: {text}");
    ExitCode::FAILURE
}

/// False: it ran, and what it found or did is not in order.
async fn run(command: Command) -> Result<bool, StartError> {
    match command {
        Command::Demo => return demo::run().await,
        Command::Simulator(options) => return simulator::run(options).await,
        _ => {}
    }
    let config = Config::load(match command {
        Command::Gateway | Command::WebhookIngest | Command::VoiceRelay | Command::Dispatcher => Deployment::OneOfMany,
        _ => Deployment::Alone,
    })?;
    let exporting = telemetry::install(&config)?;
    let result = match command {
        Command::Serve => serve::everything(config).await,
        Command::Gateway => serve::one(config, butt_dial_gateway::ROLE).await,
        Command::WebhookIngest => serve::one(config, butt_dial_webhook_ingest::ROLE).await,
        Command::VoiceRelay => serve::one(config, butt_dial_voice_relay::ROLE).await,
        Command::Dispatcher => serve::one(config, butt_dial_dispatcher::ROLE).await,
        Command::Migrate => serve::migrate(config).await,
        Command::Doctor => doctor::run(config).await,
        Command::Bootstrap(options) => bootstrap::run(config, options).await,
        Command::Demo | Command::Simulator(_) => Ok(true),
    };
    // Sending the last spans blocks, so it may not stand in the way of the runtime.
    let closed = tokio::task::spawn_blocking(|| exporting.close()).await;
    closed.map_err(|error| ConfigError(format!("the traces did not end: {error}")))?;
    result
}
