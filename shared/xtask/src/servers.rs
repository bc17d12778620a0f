//! `cargo xtask servers -- <command>`: one private Postgres for everything that the command starts. Ends with
//! the command's own exit code, and never leaves the server behind.

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

/// What `cargo run` tells about this crate. Build scripts watch some of it: a cargo below us would build again.
const ABOUT_US: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

pub async fn main(command: &[OsString]) -> anyhow::Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command")?;
    // Listens before the server starts: a signal that arrives meanwhile must not kill us, it waits for the command.
    let mut signals = Signals::listen()?;
    let mut postgres = Postgres::start().await;
    let mut child = Command::new(program);
    child.args(arguments).env(URL, postgres.url());
    for (name, _) in env::vars_os() {
        if ABOUT_US.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            child.env_remove(name);
        }
    }
    let ended = match child.spawn() {
        Ok(child) => wait(child, &mut signals).await,
        Err(error) => Err(error.into()),
    };
    postgres.stop().await;
    let status = ended.with_context(|| format!("can't run {}", program.display()))?;
    Ok(code(status))
}

/// Waits for the command. The first signal is passed on; the second one kills.
async fn wait(mut child: Child, signals: &mut Signals) -> anyhow::Result<ExitStatus> {
    let name = tokio::select! {
        status = child.wait() => return Ok(status?),
        name = signals.next() => name,
    };
    // The terminal has already told everyone in our process group; twice would mean "at once" to the test runner.
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

/// As a shell would say it: 128 and the signal's number for a command that a signal ended.
fn code(status: ExitStatus) -> ExitCode {
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

    /// The name of the next signal, as `kill -s` wants it.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "INT",
            _ = self.terminate.recv() => "TERM",
        }
    }
}
