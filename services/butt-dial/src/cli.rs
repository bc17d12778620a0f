//! The command line: commands, options and exit codes.

use std::{io::IsTerminal, process::ExitCode};

use butt_dial_runtime::{
    Config,
    config::{ConfigError, Deployment},
    platform::StartError,
    telemetry::{self, ProcessFacts},
};
use clap::{Parser, Subcommand};

use crate::{
    agent, audit, bootstrap, consents, console_key, dead_letters, demo, do_not_contact, doctor, health, install_tls,
    rewrap_keys, rules, serve, simulator,
};

/// The stack of each thread, in bytes. Development builds have frames that are several times larger: the onboarding of a customer over MCP
/// needs more than the 2 MiB of the default there. Only used pages take memory.
const STACK: usize = 8 * 1024 * 1024;

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
    /// Serve the console only: web pages for people; needs Postgres, NATS and Redis, which it shares with other replicas.
    Console,
    /// Serve the webhooks of carriers only; needs Postgres, NATS and Redis.
    WebhookIngest,
    /// Serve the sockets of calls only; needs Postgres, NATS and Redis.
    VoiceRelay,
    /// Process and deliver inbound messages, and run scheduled work; needs Postgres, NATS and Redis.
    Dispatcher,
    /// Run a demonstration: starts the program on a free port, sends an SMS, a WhatsApp message and an e-mail over MCP,
    /// shows their arrival, receives replies and a call. All carriers are simulated.
    Demo,
    /// Apply the migrations of the database schema, or only check that none is missing.
    Migrate(serve::MigrateOptions),
    /// Check that the server with these settings (PORT, HOST) is ready. Exit code 0 if it is, for health checks of containers.
    #[command(alias = "healthcheck")]
    Health(health::Options),
    /// Check every backend, the credentials of every carrier, and what production needs, with a hint for each failure.
    Doctor(doctor::Options),
    /// Create the first organization and agent if there are none, and print their ids, tokens and addresses.
    Bootstrap(bootstrap::Options),
    /// Print the set-up key of the console, with which the first owner claims it, or a link for a member who can't sign in.
    ConsoleKey(console_key::Options),
    /// Suspend an agent of any organization, or activate it again.
    #[command(subcommand)]
    Agent(agent::Command),
    /// Verify the audit logs.
    #[command(subcommand)]
    Audit(audit::Command),
    /// List, show, replay or drop webhook events that could not be applied.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Import or export the do-not-contact list of an organization.
    #[command(subcommand)]
    DoNotContact(do_not_contact::Command),
    /// Import or export the consent ledger of an organization.
    #[command(subcommand)]
    Consents(consents::Command),
    /// Check rule sets of compliance, and replay decisions of the past by another one.
    #[command(subcommand)]
    Rules(rules::Command),
    /// Raise the number of partitions of the inbound stream to INBOUND_PARTITIONS, with all services stopped.
    RaisePartitions,
    /// Encrypt all stored contents with the newest of CREDENTIALS_ENCRYPTION_KEYS. May be interrupted and repeated.
    RewrapKeys,
    /// Serve the simulators of the carriers only, for several processes to share (TWILIO_API_URL, RESEND_API_URL).
    Simulator(simulator::Options),
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or(Command::Serve);
    install_tls();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers(&command) {
        builder.worker_threads(workers);
    }
    let runtime = builder.thread_stack_size(STACK).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the async runtime could not be started: {error}")),
    };
    let service = command.service();
    match runtime.block_on(run(command)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => match service.filter(|_| !std::io::stderr().is_terminal()) {
            Some(service) => {
                eprintln!("{}", telemetry::log::fatal_line(service, &error.to_string()));
                ExitCode::FAILURE
            }
            None => fail(&error.to_string()),
        },
    }
}

/// Returns the number of threads of the runtime. `None`: one for each core, or `TOKIO_WORKER_THREADS`.
///
/// The connections to SQLite have threads too. Of two cores, one is left to them: with two threads of the runtime beside them, a send
/// costs a fifth more CPU, because tasks move from core to core.
fn workers(command: &Command) -> Option<usize> {
    if !matches!(command, Command::Serve) || std::env::var_os("TOKIO_WORKER_THREADS").is_some() {
        return None;
    }
    let cores = std::thread::available_parallelism().ok()?.get();
    Some(cores.saturating_sub(1).max(1))
}

impl Command {
    /// Returns the name of the service that the command runs. `None`: it is a command for people.
    fn service(&self) -> Option<&'static str> {
        match self {
            Self::Serve => Some("serve"),
            Self::Gateway => Some(butt_dial_gateway::ROLE.name),
            Self::Console => Some(butt_dial_console::ROLE.name),
            Self::WebhookIngest => Some(butt_dial_webhook_ingest::ROLE.name),
            Self::VoiceRelay => Some(butt_dial_voice_relay::ROLE.name),
            Self::Dispatcher => Some(butt_dial_dispatcher::ROLE.name),
            _ => None,
        }
    }
}

fn fail(text: &str) -> ExitCode {
    eprintln!("butt-dial: {text}");
    ExitCode::FAILURE
}

/// Runs a command. Returns false if it ran but found or caused a failure.
async fn run(command: Command) -> Result<bool, StartError> {
    match command {
        Command::Demo => return demo::run().await,
        Command::Simulator(options) => return simulator::run(options).await,
        _ => {}
    }
    let config = Config::load(match command {
        Command::Gateway | Command::Console | Command::WebhookIngest | Command::VoiceRelay | Command::Dispatcher => {
            Deployment::Distributed
        }
        Command::Serve => Deployment::SingleProcess,
        _ => Deployment::Command,
    })?;
    if let Command::Health(options) = command {
        return health::run(&config, options).await;
    }
    let facts = ProcessFacts::new(command.service().unwrap_or("command"));
    let exporters = telemetry::install(&config, &facts)?;
    for (variable, setting) in &config.resembling_variables {
        tracing::warn!(variable, setting, "variable resembles a setting and is none");
    }
    let result = match command {
        Command::Serve => serve::everything(config, &facts).await,
        Command::Gateway => serve::one(config, butt_dial_gateway::ROLE, &facts).await,
        Command::Console => serve::one(config, butt_dial_console::ROLE, &facts).await,
        Command::WebhookIngest => serve::one(config, butt_dial_webhook_ingest::ROLE, &facts).await,
        Command::VoiceRelay => serve::one(config, butt_dial_voice_relay::ROLE, &facts).await,
        Command::Dispatcher => serve::one(config, butt_dial_dispatcher::ROLE, &facts).await,
        Command::Migrate(options) => serve::migrate(config, options).await,
        Command::Doctor(options) => doctor::run(config, options).await,
        Command::Bootstrap(options) => bootstrap::run(config, options).await,
        Command::ConsoleKey(options) => console_key::run(config, options).await,
        Command::Agent(command) => agent::run(config, command).await,
        Command::Audit(command) => audit::run(config, command).await,
        Command::DeadLetters(command) => dead_letters::run(config, command).await,
        Command::DoNotContact(command) => do_not_contact::run(config, command).await,
        Command::Consents(command) => consents::run(config, command).await,
        Command::Rules(command) => rules::run(config, command).await,
        Command::RaisePartitions => serve::raise_partitions(config).await,
        Command::RewrapKeys => rewrap_keys::run(config).await,
        Command::Demo | Command::Simulator(_) | Command::Health(_) => Ok(true),
    };
    // The shutdown blocks while it sends what remains, so it runs outside the async workers.
    let closed = tokio::task::spawn_blocking(|| exporters.shutdown()).await;
    closed.map_err(|error| ConfigError(format!("the exporters failed to shut down: {error}")))?;
    result
}
