//! `cargo xtask servers -- <command>`: runs a command with a private Postgres server. Exits with the exit code of the
//! command, and always stops the server.

use std::{
    env,
    ffi::OsString,
    io::{IsTerminal, stdin},
    os::unix::process::ExitStatusExt as _,
    process::{ExitCode, ExitStatus},
};

use anyhow::Context;
use butt_dial_testkit::servers::Postgres;
use tokio::{
    process::{Child, Command},
    signal::unix::{Signal, SignalKind, signal},
};

const URL: &str = "TEST_POSTGRES_URL";

/// Variables that `cargo run` sets for this crate. A cargo in the command would rebuild build scripts that watch them.
const CARGO_VARIABLES: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

pub async fn main(command: &[OsString]) -> anyhow::Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command was given")?;
    // Before the start of the server: an early signal must not end this process, it is passed on to the command.
    let mut signals = Signals::listen()?;
    let mut postgres = Postgres::start().await;
    let mut child = Command::new(program);
    child.args(arguments).env(URL, postgres.url());
    for (name, _) in env::vars_os() {
        if CARGO_VARIABLES
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
        {
            child.env_remove(name);
        }
    }
    let result = match child.spawn() {
        Ok(child) => wait(child, &mut signals).await,
        Err(error) => Err(error.into()),
    };
    postgres.stop().await;
    let status = result.with_context(|| format!("cannot run {}", program.display()))?;
    Ok(exit_code(status))
}

/// Waits for the command. Passes the first signal on, kills the command on the second.
async fn wait(mut child: Child, signals: &mut Signals) -> anyhow::Result<ExitStatus> {
    let name = tokio::select! {
        status = child.wait() => return Ok(status?),
        name = signals.next() => name,
    };
    // The terminal sends INT to the whole process group. A second INT would make the test runner stop at once.
    if let Some(id) = child.id().filter(|_| name == "TERM" || !stdin().is_terminal()) {
        Command::new("sh")
            .args(["-c", &format!("kill -s {name} {id}")])
            .status()
            .await?;
    }
    tokio::select! {
        status = child.wait() => return Ok(status?),
        _ = signals.next() => child.start_kill()?,
    }
    Ok(child.wait().await?)
}

/// Returns the exit code; like a shell, 128 plus the number of the signal that ended the command.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal. Returns its name for `kill -s`.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "INT",
            _ = self.terminate.recv() => "TERM",
        }
    }
}
