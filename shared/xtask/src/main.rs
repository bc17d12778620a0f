//! Tasks for developers: `cargo xtask <task>`. Not part of the shipped program.

mod bench;
mod servers;
mod settings_reference;
mod simulate;
mod tidy;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Tasks for developers of this workspace", max_term_width = 120)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the structure and the language of the workspace: dependencies, file sizes, names, words, and more.
    Tidy(tidy::Options),
    /// Run a command with a private Postgres server. The command reads its address from TEST_POSTGRES_URL.
    Servers {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Measure release builds against a bare rmcp server and print a table.
    Bench(bench::Options),
    /// Send, receive and call on real servers while replicas are killed or replaced, or servers stop, and compare the counts.
    Disturb(bench::DisturbOptions),
    /// Serve the bare rmcp server that `bench` compares with.
    #[command(hide = true)]
    BareServer,
    /// Serve the bare webhook route that `bench` compares with.
    #[command(hide = true)]
    BareWebhooks,
    /// Try many seeds of the simulation, or replay one with its steps.
    Simulate(simulate::Options),
    /// Write docs/SETTINGS.md.
    Settings,
    /// Print the OpenAPI document.
    Openapi,
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Tidy(options) => tidy::main(&options),
        Task::Servers { command } => servers::main(&command).await,
        Task::Bench(options) => bench::main(options).await,
        Task::Disturb(options) => bench::disturb(options).await,
        Task::BareServer => bench::bare_server().await.map(|()| ExitCode::SUCCESS),
        Task::BareWebhooks => bench::bare_webhooks().await.map(|()| ExitCode::SUCCESS),
        Task::Simulate(options) => simulate::main(&options),
        Task::Settings => settings_reference::write().map(|()| ExitCode::SUCCESS),
        Task::Openapi => {
            println!("{:#}", butt_dial_gateway::rest::document());
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
