//! The real program as a process of its own, with everything that it writes. Killed when it is dropped.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
};

use super::eventually;

pub struct Program {
    child: Child,
    pub address: SocketAddr,
    pub base_url: String,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Beside the test's own executable, where a build of the workspace puts it.
fn executable() -> PathBuf {
    let test = std::env::current_exe().expect("our own path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("a folder");
    let program = folder.join("butt-dial");
    assert!(
        program.is_file(),
        "there is no butt-dial to run: cargo build --workspace"
    );
    program
}

fn command(arguments: &[&str], settings: &[(String, String)]) -> Command {
    let mut command = Command::new(executable());
    command.args(arguments).env_clear().envs(settings.iter().cloned());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    // Nobody's settings file but the test's.
    command
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command of the program to its end.
pub async fn run_program(arguments: &[&str], settings: &[(String, String)]) -> Output {
    let running = command(arguments, settings).output();
    let output = tokio::time::timeout(3 * super::PATIENCE, running).await;
    output.expect("the command ends").expect("the command runs")
}

impl Program {
    /// Starts it and waits until it serves.
    pub async fn serve(arguments: &[&str], settings: &[(String, String)]) -> Self {
        let mut child = command(arguments, settings)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = Arc::default();
        collect(child.stderr.take().expect("stderr"), Arc::clone(&lines));
        let mut program = Self {
            child,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            base_url: String::new(),
            lines,
        };
        let address = eventually("the program serves", async || {
            let ended = program.child.try_wait().expect("a process");
            assert!(ended.is_none(), "the program ended: {}", program.log());
            program.event("serving")
        })
        .await;
        let address = address["address"].as_str().expect("an address");
        program.address = address.parse().expect("an address");
        program.base_url = format!("http://{address}");
        program
    }

    /// The first line of the log with this message.
    pub fn event(&self, message: &str) -> Option<Value> {
        let lines = self.lines.lock().unwrap();
        let events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.into_iter().find(|event| event["message"] == message)
    }

    /// All that it has written to stderr.
    pub fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// SIGKILL: it gets no chance to do anything.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("killed");
    }

    /// SIGTERM.
    pub async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// SIGSTOP: it does nothing any more, and its sockets stay open.
    pub async fn freeze(&self) {
        self.signal("STOP").await;
    }

    /// SIGCONT: it goes on as if nothing had been.
    pub async fn thaw(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().expect("a running process");
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status()
            .await;
        assert!(sent.expect("sh").success());
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        self.ended_within(super::PATIENCE).await
    }

    /// For one that has much to bring to an end.
    pub async fn ended_within(&mut self, patience: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        ended.expect("the program ends in time").expect("a status")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no lifecycle; the task ends with the process that it reads from"
)]
fn collect(output: impl AsyncRead + Send + Unpin + 'static, lines: Arc<Mutex<Vec<String>>>) {
    tokio::spawn(async move {
        let mut reader = BufReader::new(output).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            lines.lock().unwrap().push(line);
        }
    });
}
