//! The workspace's own tasks: `cargo xtask <task>`. Nothing here ships.

mod bench;
mod servers;
mod tidy;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "The workspace's own tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check what the compiler can't: crate arrows, file sizes, registries, migrations, forbidden words.
    Tidy,
    /// Run a command beside a private Postgres, whose address it finds in TEST_POSTGRES_URL.
    Servers {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Measure release builds against a bare rmcp server, and print a table.
    Bench(bench::Options),
    /// The bare rmcp server that `bench` measures against.
    #[command(hide = true)]
    BareServer,
    /// The bare webhook route that `bench` measures against.
    #[command(hide = true)]
    BareWebhooks,
    /// Print the OpenAPI document.
    Openapi,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Tidy => tidy::main(),
        Task::Servers { command } => servers::main(&command).await,
        Task::Bench(options) => bench::main(options).await,
        Task::BareServer => bench::bare_server().await.map(|()| ExitCode::SUCCESS),
        Task::BareWebhooks => bench::bare_webhooks().await.map(|()| ExitCode::SUCCESS),
        Task::Openapi => {
            println!("{:#}", butt_dial_gateway::rest::document());
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
