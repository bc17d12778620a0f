//! The programs under measurement: each is a process with its own data directory, killed when its handle is dropped.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{http_client::Connection, webhooks::PUBLIC_URL};

/// Settings of agents without limits.
const NO_LIMITS: &[(&str, &str)] = &[
    ("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"),
    ("DEFAULT_MAX_ACTIONS_PER_HOUR", "none"),
    ("DEFAULT_MAX_ACTIONS_PER_DAY", "none"),
    ("DEFAULT_MAX_SPEND_PER_DAY", "none"),
    ("DEFAULT_MAX_SPEND_PER_MONTH", "none"),
];

/// Longer than a relay waits for its calls.
const END_TIMEOUT: Duration = Duration::from_secs(120);

/// Returns the path of a program in cargo's release folder.
pub fn release(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).context("no target directory")?;
    Ok(target.join("release").join(name))
}

pub struct Process {
    child: Child,
    pub address: SocketAddr,
    /// From the start of the process until it served.
    pub started_in: Duration,
    _directory: Option<TempDir>,
}

/// A server with an agent that has no limits.
pub struct Server {
    pub process: Process,
    pub agent_token: String,
    /// The simulators, if they are of this server only. Dropping it ends them.
    simulator: Option<Process>,
}

pub struct Backends {
    pub database: String,
    pub nats: String,
    pub redis: String,
    pub simulator: Process,
    /// The address that carriers call.
    pub public_url: String,
    /// Further settings of the programs.
    pub settings: Vec<(String, String)>,
}

impl Process {
    pub async fn bare_mcp() -> anyhow::Result<Self> {
        Self::baseline("bare-server").await
    }

    pub async fn bare_webhooks() -> anyhow::Result<Self> {
        Self::baseline("bare-webhooks").await
    }

    async fn baseline(task: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(release("xtask")?);
        command.arg(task).stdout(Stdio::piped());
        let started = Instant::now();
        let mut child = command.kill_on_drop(true).spawn()?;
        let line = first_line(child.stdout.take().context("no stdout")?, |line| Some(line.to_owned())).await?;
        Ok(Self {
            child,
            address: line.parse()?,
            started_in: started.elapsed(),
            _directory: None,
        })
    }

    pub async fn simulator(program: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["simulator", "--port", "0"]).stdout(Stdio::piped());
        // Without them it has random secrets.
        command.envs(
            butt_dial_providers::VENDORS
                .iter()
                .flat_map(|vendor| vendor.simulated_settings.iter().copied()),
        );
        let started = Instant::now();
        let mut child = command.kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let url = first_line(stdout, |line| line.split("http://").nth(1).map(str::to_owned)).await?;
        let address = url.split('/').next().unwrap_or_default().parse()?;
        Ok(Self {
            child,
            address,
            started_in: started.elapsed(),
            _directory: None,
        })
    }

    async fn serve(
        program: &Path,
        role: &str,
        env: &[(String, String)],
        directory: Option<TempDir>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command
            .arg(role)
            // All load comes from one agent.
            .env("STREAMS_PER_AGENT", "100000")
            .env("WAITS_PER_AGENT", "100000")
            .envs(env.iter().cloned())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.kill_on_drop(true).spawn()?;
        let stderr = child.stderr.take().context("no stderr")?;
        let address = first_line(stderr, |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            (event["message"] == "serving").then(|| event["address"].as_str().map(str::to_owned))?
        })
        .await?;
        Ok(Self {
            child,
            address: address.parse()?,
            started_in: started.elapsed(),
            _directory: directory,
        })
    }

    /// Returns the CPU time of the process (proc(5), fields 14 and 15, in hundredths of a second).
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()?))?;
        let after_name = stat.rsplit_once(')').context("stat")?.1;
        let ticks: u64 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|t| t.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Returns the resident memory in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024)
    }

    /// Sends SIGKILL and waits for the end of the process.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Sends SIGTERM. Does not wait.
    pub async fn terminate(&self) -> anyhow::Result<()> {
        let kill = format!("kill -TERM {}", self.id()?);
        let sent = Command::new("sh").args(["-c", &kill]).status().await?;
        ensure!(sent.success(), "SIGTERM could not be sent");
        Ok(())
    }

    /// Waits for the end of the process, which must be a success.
    pub async fn wait(mut self) -> anyhow::Result<()> {
        let ended = tokio::time::timeout(END_TIMEOUT, self.child.wait()).await;
        let status = ended.context("the program did not end in time")??;
        ensure!(status.success(), "the program ended with {status}");
        Ok(())
    }

    fn id(&self) -> anyhow::Result<u32> {
        self.child.id().context("the process has ended")
    }
}

/// Returns the first value that `parse` finds in a line. Drains the other lines, so that the pipe never fills up.
async fn first_line(
    output: impl tokio::io::AsyncRead + Unpin + Send + 'static,
    parse: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<String> {
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(found) = parse(&line) {
            #[expect(
                clippy::disallowed_methods,
                reason = "drains a pipe for as long as the process writes"
            )]
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(found);
        }
    }
    bail!("the program ended before it was serving")
}

/// Starts all roles in one process, on SQLite.
pub async fn embedded(program: &Path) -> anyhow::Result<Server> {
    let (simulator, directory, env) = embedded_parts(program).await?;
    let mut server = server(program, "serve", env, Some(directory)).await?;
    server.simulator = Some(simulator);
    Ok(server)
}

/// Starts all roles in one process, on SQLite, at the address that the carriers call: receipts arrive.
pub async fn embedded_with_receipts(program: &Path) -> anyhow::Result<Server> {
    let (simulator, directory, mut env) = embedded_parts(program).await?;
    let port = free_port()?;
    env.extend(pairs(&[
        ("PORT", &port.to_string()),
        ("WEBHOOK_BASE_URL", &format!("http://127.0.0.1:{port}")),
    ]));
    let mut server = server(program, "serve", env, Some(directory)).await?;
    server.simulator = Some(simulator);
    Ok(server)
}

/// Returns a port of the loopback interface that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Starts all roles in one process, on a database that `fill` extends before the start. Agents have no limits by default.
pub async fn embedded_with(
    program: &Path,
    fill: impl AsyncFnOnce(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Server> {
    let (simulator, directory, mut env) = embedded_parts(program).await?;
    env.extend(pairs(NO_LIMITS));
    let created = bootstrap(program, &env).await?;
    fill(&format!("sqlite:{}", directory.path().join("butt-dial.db").display())).await?;
    let process = Process::serve(program, "serve", &env, Some(directory)).await?;
    Ok(Server {
        process,
        simulator: Some(simulator),
        agent_token: text(&created, "agentToken")?,
    })
}

/// Starts the simulators, and returns them with a data directory and the settings of a program that uses both. The simulators are a
/// separate process: the secrets of those within the program are not known.
async fn embedded_parts(program: &Path) -> anyhow::Result<(Process, TempDir, Vec<(String, String)>)> {
    let directory = tempfile::tempdir()?;
    let simulator = Process::simulator(program).await?;
    let mut env = pairs(&[
        ("DATA_DIR", &directory.path().display().to_string()),
        ("PORT", "0"),
        ("WEBHOOK_BASE_URL", PUBLIC_URL),
        ("ALLOWED_HOSTS", "*"),
        ("LOG_LEVEL", "warn,butt_dial_runtime=info"),
    ]);
    env.extend(simulated_carriers(&format!("http://{}", simulator.address)));
    Ok((simulator, directory, env))
}

/// Starts a gateway on a database that `fill` extends before the start. Agents have no limits by default.
pub async fn gateway_with(
    program: &Path,
    backends: &Backends,
    fill: impl AsyncFnOnce(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Server> {
    let mut env = shared(backends);
    env.extend(pairs(NO_LIMITS));
    let created = bootstrap(program, &env).await?;
    fill(&backends.database).await?;
    let process = Process::serve(program, "gateway", &env, None).await?;
    Ok(Server {
        process,
        simulator: None,
        agent_token: text(&created, "agentToken")?,
    })
}

/// Starts a gateway, and creates its agent.
pub async fn gateway(program: &Path, backends: &Backends) -> anyhow::Result<Server> {
    server(program, "gateway", shared(backends), None).await
}

/// Starts another service on the same backends.
pub async fn service(program: &Path, role: &str, backends: &Backends) -> anyhow::Result<Process> {
    Process::serve(program, role, &shared(backends), None).await
}

/// Starts another service on the same backends, at this port.
pub async fn service_on(program: &Path, role: &str, backends: &Backends, port: u16) -> anyhow::Result<Process> {
    let mut env = shared(backends);
    env.push(("PORT".into(), port.to_string()));
    Process::serve(program, role, &env, None).await
}

fn shared(backends: &Backends) -> Vec<(String, String)> {
    let simulator = format!("http://{}", backends.simulator.address);
    let mut env = pairs(&[
        ("DATABASE_URL", &backends.database),
        ("NATS_URL", &backends.nats),
        ("REDIS_URL", &backends.redis),
        ("CREDENTIALS_ENCRYPTION_KEY", "0123456789abcdef0123456789abcdef"),
        ("PORT", "0"),
        ("WEBHOOK_BASE_URL", &backends.public_url),
        ("ALLOWED_HOSTS", "*"),
        ("LOG_LEVEL", "warn,butt_dial_runtime=info"),
    ]);
    env.extend(simulated_carriers(&simulator));
    env.extend(backends.settings.iter().cloned());
    env
}

/// Returns the settings of the vendors at a simulator of another process, with the published secrets.
fn simulated_carriers(simulator: &str) -> Vec<(String, String)> {
    let vendors = butt_dial_providers::VENDORS.iter();
    let settings = vendors.flat_map(|vendor| {
        let manifest = &vendor.manifest;
        let endpoint = (manifest.endpoint_env.to_owned(), format!("{simulator}/{}", manifest.id));
        let values = vendor.simulated_settings.iter();
        let values = values.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        values.chain([endpoint])
    });
    settings.collect()
}

async fn server(
    program: &Path,
    role: &str,
    env: Vec<(String, String)>,
    directory: Option<TempDir>,
) -> anyhow::Result<Server> {
    let created = bootstrap(program, &env).await?;
    let process = Process::serve(program, role, &env, directory).await?;
    raise_limits(
        process.address,
        &text(&created, "teamToken")?,
        &text(&created, "agentId")?,
    )
    .await?;
    Ok(Server {
        process,
        simulator: None,
        agent_token: text(&created, "agentToken")?,
    })
}

/// Creates the schema, an organization and its agent.
async fn bootstrap(program: &Path, env: &[(String, String)]) -> anyhow::Result<Value> {
    let addresses = ["--phone-number", "+14155550100", "--email-address", "agent@example.com"];
    let output = Command::new(program)
        .args(["bootstrap", "--json"])
        .args(addresses)
        .envs(env.iter().cloned())
        .output()
        .await?;
    serde_json::from_slice(&output.stdout).context("bootstrap")
}

fn text(created: &Value, key: &str) -> anyhow::Result<String> {
    created[key].as_str().map(str::to_owned).context("bootstrap")
}

async fn raise_limits(address: SocketAddr, token: &str, agent: &str) -> anyhow::Result<()> {
    let limits = json!({
        "maxActionsPerMinute": 1_000_000_000, "maxActionsPerHour": 1_000_000_000, "maxActionsPerDay": 1_000_000_000,
        "maxSpendPerDay": 1_000_000_000, "maxSpendPerMonth": null,
    });
    let body = json!({ "agentId": agent, "limits": limits }).to_string();
    let request = format!(
        "POST /api/v1/client-limits HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let response = Connection::open(address).await?.exchange(request.as_bytes()).await?;
    if response.status != 200 {
        bail!("the limits could not be raised: {} {}", response.status, response.body);
    }
    Ok(())
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
