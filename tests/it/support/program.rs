//! The real program as a child process, with its log. Killed when dropped.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use butt_dial_domain::ReplicaId;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
};

use super::{Gateways, eventually};

pub struct Program {
    child: Child,
    pub address: SocketAddr,
    pub base_url: String,
    /// The id under which the program registers itself.
    pub replica: ReplicaId,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Returns the path beside the test's own executable, where a workspace build puts the program.
fn executable() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("a folder");
    let program = folder.join("butt-dial");
    assert!(
        program.is_file(),
        "butt-dial is not built: run `cargo build --workspace`"
    );
    program
}

/// Returns the command of the program with these settings only. Killed when dropped.
pub fn program_command(arguments: &[&str], settings: &[(String, String)]) -> Command {
    let mut command = Command::new(executable());
    command.args(arguments).env_clear().envs(settings.iter().cloned());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    // No settings file of the developer may apply.
    command
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command of the program to its end.
pub async fn run_program(arguments: &[&str], settings: &[(String, String)]) -> Output {
    let running = program_command(arguments, settings).output();
    let output = tokio::time::timeout(3 * super::WAIT_TIMEOUT, running).await;
    output.expect("the command ends").expect("the command runs")
}

impl Program {
    /// Starts the program and waits until it serves.
    pub async fn serve(arguments: &[&str], settings: &[(String, String)]) -> Self {
        let mut program = Self::launch(program_command(arguments, settings));
        program.wait_until_serving().await;
        program
    }

    /// Starts the program with a low soft limit of open files, and waits until it serves.
    pub async fn serve_with_file_limit(limit: usize, settings: &[(String, String)]) -> Self {
        let plain = program_command(&[], settings);
        let plain = plain.as_std();
        let environment = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut limited = Command::new("sh");
        limited
            .arg("-c")
            .arg(format!("ulimit -Sn {limit} && exec \"$0\" serve"))
            .arg(plain.get_program())
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let mut program = Self::launch(limited);
        program.wait_until_serving().await;
        program
    }

    /// Starts the program on a free port, and does not wait: its backends may be missing.
    pub fn start_on_free_port(arguments: &[&str], settings: &[(String, String)]) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        let port = ("PORT".to_owned(), address.port().to_string());
        let mut program = Self::launch(program_command(arguments, &[settings, &[port]].concat()));
        program.address = address;
        program.base_url = format!("http://{address}");
        program
    }

    fn launch(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = Arc::default();
        collect(child.stderr.take().expect("stderr"), Arc::clone(&lines));
        Self {
            child,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            base_url: String::new(),
            replica: ReplicaId::from(""),
            lines,
        }
    }

    async fn wait_until_serving(&mut self) {
        let serving = eventually("the program serves", async || {
            self.expect_running();
            self.log_event("serving")
        })
        .await;
        let address = serving["address"].as_str().expect("an address");
        self.replica = ReplicaId::from(serving["replica"].as_str().expect("a replica id"));
        self.address = address.parse().expect("an address");
        self.base_url = format!("http://{address}");
    }

    /// Fails when the program has exited.
    pub fn expect_running(&mut self) {
        let exited = self.child.try_wait().expect("a process");
        assert!(exited.is_none(), "the program exited: {}", self.log());
    }

    /// Returns a client of the program.
    pub fn client(&self) -> Gateways {
        butt_dial::install_tls();
        Gateways::new(vec![self.base_url.clone()])
    }

    /// Returns the first log event with this message.
    pub fn log_event(&self, message: &str) -> Option<Value> {
        self.log_events(message).into_iter().next()
    }

    /// Returns the log events with this message, oldest first.
    pub fn log_events(&self, message: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        let events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["message"] == message).collect()
    }

    /// Returns everything that the program wrote to stderr.
    pub fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Sends SIGKILL.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Sends SIGTERM.
    pub async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Sends SIGSTOP: the program halts and its sockets stay open.
    pub async fn freeze(&self) {
        self.signal("STOP").await;
    }

    /// Sends SIGCONT: the program continues.
    pub async fn resume(&self) {
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

    /// Waits until the program exits.
    pub async fn wait_for_exit(&mut self) -> ExitStatus {
        self.wait_for_exit_within(super::WAIT_TIMEOUT).await
    }

    /// Waits for a program that has much to finish.
    pub async fn wait_for_exit_within(&mut self, timeout: Duration) -> ExitStatus {
        let status = tokio::time::timeout(timeout, self.child.wait()).await;
        status.expect("the program exits in time").expect("a status")
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
