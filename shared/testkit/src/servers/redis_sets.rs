//! Several Redis servers that belong together: a primary with a replica under the watch of sentinels, and a cluster.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    port::Port,
    process::{Process, find_program},
    redis::{self, responds},
};

const START_TIMEOUT: Duration = Duration::from_secs(30);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The name of the service that the sentinels watch.
const SERVICE: &str = "orders";
const SLOTS: usize = 16_384;

/// The certificate that all servers of an encrypted set share, for `127.0.0.1` and `localhost`.
struct Encryption(Process);

impl Encryption {
    fn new() -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let generated = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let encryption = Self(Process::new("redis-certificate", "TERM", None));
        fs::write(encryption.certificate(), generated.cert.pem()).expect("the certificate's file");
        fs::write(encryption.key(), generated.signing_key.serialize_pem()).expect("the key's file");
        encryption
    }

    fn certificate(&self) -> PathBuf {
        self.0.directory().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.directory().join("key.pem")
    }
}

/// One server of a set.
struct Member {
    process: Process,
    /// The port of clients and of the other servers.
    port: Port,
    /// The port of the commands of the set, when clients and servers need TLS.
    plain: Option<Port>,
}

impl Member {
    async fn start(arguments: &[String], config: Option<&str>, encryption: Option<&Encryption>) -> Self {
        let mut member = Self {
            process: Process::new("redis", "TERM", None),
            port: Port::reserve(),
            plain: encryption.map(|_| Port::reserve()),
        };
        let mut command = member.process.command(find_program("redis-server", &[]));
        if let Some(config) = config {
            // Sentinels write their knowledge into the file.
            let path = member.process.directory().join("redis.conf");
            fs::write(&path, config).expect("the settings of the server");
            command.arg(path);
        }
        command.args(["--bind", "127.0.0.1"]);
        command.args([
            "--port",
            &member.plain.as_ref().unwrap_or(&member.port).number().to_string(),
        ]);
        if let Some(encryption) = encryption {
            let certificate = encryption.certificate();
            command.args(["--tls-port", &member.port.number().to_string()]);
            command.args([
                "--tls-replication",
                "yes",
                "--tls-cluster",
                "yes",
                "--tls-auth-clients",
                "no",
            ]);
            command
                .arg("--tls-cert-file")
                .arg(&certificate)
                .arg("--tls-ca-cert-file")
                .arg(certificate);
            command.arg("--tls-key-file").arg(encryption.key());
        }
        command.arg("--dir").arg(member.process.directory());
        command.args(arguments);
        member.process.spawn(command);
        let address = member.command_address();
        let is_ready = async || responds(&address).await.unwrap_or(false);
        member.process.wait_until_ready(is_ready).await;
        member
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    fn command_address(&self) -> String {
        format!("127.0.0.1:{}", self.plain.as_ref().unwrap_or(&self.port).number())
    }

    /// Sends one command of words without spaces. Returns the response.
    async fn run(&self, command: &str) -> String {
        let response = tokio::time::timeout(RESPONSE_TIMEOUT, exchange(&self.command_address(), command)).await;
        response.expect("a response in time").unwrap_or_default()
    }

    /// Sends a command until the response has this text.
    async fn run_until(&self, command: &str, text: &str) {
        let start = Instant::now();
        loop {
            let response = self.run(command).await;
            if response.contains(text) {
                return;
            }
            assert!(start.elapsed() < START_TIMEOUT, "{command}: {response}");
            tokio::time::sleep(POLL_INTERVAL).await; // not a synchronisation: a pause between two polls
        }
    }
}

/// A primary, a replica and three sentinels, of which two decide. They notice a dead primary after half a second.
pub struct RedisSentinels {
    servers: Vec<Member>,
    sentinels: Vec<Member>,
    encryption: Option<Encryption>,
}

impl RedisSentinels {
    /// Starts the set. Clients and servers have a password.
    pub async fn start() -> Self {
        Self::new(None).await
    }

    /// Starts a set in which clients, servers and sentinels need TLS.
    pub async fn start_encrypted() -> Self {
        Self::new(Some(Encryption::new())).await
    }

    async fn new(encryption: Option<Encryption>) -> Self {
        let tls = encryption.as_ref();
        let server = |more: &[&str]| {
            let all = [
                "--save",
                "",
                "--appendonly",
                "no",
                "--requirepass",
                "p@ss",
                "--masterauth",
                "p@ss",
            ];
            let arguments = all.iter().chain(more).map(|&text| text.to_owned());
            arguments.collect::<Vec<String>>()
        };
        let primary = Member::start(&server(&[]), None, tls).await;
        let port = primary.port.number();
        let replica = server(&["--replicaof", &format!("127.0.0.1 {port}")]);
        let replica = Member::start(&replica, None, tls).await;
        let config = format!(
            "sentinel monitor {SERVICE} 127.0.0.1 {port} 2\nsentinel auth-pass {SERVICE} p@ss\n\
             sentinel down-after-milliseconds {SERVICE} 500\nsentinel failover-timeout {SERVICE} 3000\n"
        );
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(Member::start(&["--sentinel".to_owned()], Some(&config), tls).await);
        }
        for sentinel in &sentinels {
            sentinel
                .run_until(&format!("SENTINEL CKQUORUM {SERVICE}"), "OK 3 usable")
                .await;
            sentinel
                .run_until(
                    &format!("SENTINEL REPLICAS {SERVICE}"),
                    "master-link-status\r\n$2\r\nok",
                )
                .await;
        }
        Self {
            servers: vec![primary, replica],
            sentinels,
            encryption,
        }
    }

    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(Member::address).collect();
        let scheme = scheme(self.encryption.as_ref());
        format!("{scheme}+sentinel://:p%40ss@{}/{SERVICE}", hosts.join(","))
    }

    /// Returns the certificate of the encrypted set, as PEM. Clients have to trust it explicitly.
    pub fn certificate(&self) -> PathBuf {
        self.encryption.as_ref().expect("an encrypted set").certificate()
    }

    /// Waits until the replica has all writes, and kills the primary.
    pub async fn kill_primary(&mut self) {
        let primary = self.primary().await;
        self.wait_for_replica(primary).await;
        self.servers[primary].process.kill();
    }

    /// Kills a sentinel: two are left.
    pub fn kill_sentinel(&mut self) {
        self.sentinels[0].process.kill();
    }

    /// Makes the replica the primary, while the former one lives on as its replica.
    pub async fn switch_over(&self) {
        let former = self.primary().await;
        self.wait_for_replica(former).await;
        let sentinel = self.sentinels.last().expect("a sentinel");
        sentinel.run_until(&format!("SENTINEL FAILOVER {SERVICE}"), "OK").await;
        let start = Instant::now();
        while self.primary().await == former {
            assert!(start.elapsed() < START_TIMEOUT, "no other primary");
            tokio::time::sleep(POLL_INTERVAL).await; // not a synchronisation: a pause between two polls
        }
    }

    /// Returns the server that the sentinels name.
    async fn primary(&self) -> usize {
        let sentinel = self.sentinels.last().expect("a sentinel");
        let named = sentinel
            .run(&format!("SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}"))
            .await;
        let is_named = |member: &Member| named.contains(&format!("\r\n{}\r\n", member.port.number()));
        self.servers.iter().position(is_named).expect("a primary")
    }

    async fn wait_for_replica(&self, primary: usize) {
        let address = self.servers[primary].command_address();
        // A closed half of the connection would end the wait.
        let response = redis::exchange(&address, "AUTH p@ss\r\nWAIT 1 5000")
            .await
            .expect("a response");
        assert!(response.contains(":1"), "{response}");
    }
}

/// A cluster of primaries that share the slots.
pub struct RedisCluster {
    nodes: Vec<Member>,
    _bus_ports: Vec<Port>,
    encryption: Option<Encryption>,
}

impl RedisCluster {
    pub async fn start(count: usize) -> Self {
        Self::new(count, None).await
    }

    /// Starts a cluster in which clients and nodes need TLS.
    pub async fn start_encrypted(count: usize) -> Self {
        Self::new(count, Some(Encryption::new())).await
    }

    async fn new(count: usize, encryption: Option<Encryption>) -> Self {
        let bus_ports: Vec<Port> = (0..count).map(|_| Port::reserve()).collect();
        let mut nodes = Vec::new();
        for bus in &bus_ports {
            let arguments = [
                "--save",
                "",
                "--appendonly",
                "no",
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "2000",
                "--cluster-port",
                &bus.number().to_string(),
            ];
            nodes.push(Member::start(&arguments.map(str::to_owned), None, encryption.as_ref()).await);
        }
        for (index, node) in nodes.iter().enumerate() {
            let (first, end) = (index * SLOTS / count, (index + 1) * SLOTS / count);
            node.run_until(&format!("CLUSTER ADDSLOTSRANGE {first} {}", end - 1), "OK")
                .await;
            node.run_until(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1), "OK")
                .await;
        }
        for (node, bus) in nodes.iter().zip(&bus_ports).skip(1) {
            let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", node.port.number(), bus.number());
            nodes[0].run_until(&meet, "OK").await;
        }
        for node in &nodes {
            node.run_until("CLUSTER INFO", "cluster_state:ok").await;
            node.run_until("CLUSTER INFO", &format!("cluster_known_nodes:{count}"))
                .await;
        }
        Self {
            nodes,
            _bus_ports: bus_ports,
            encryption,
        }
    }

    /// Returns the URL with one node: clients find the others.
    pub fn url(&self) -> String {
        let scheme = scheme(self.encryption.as_ref());
        format!("{scheme}+cluster://{}", self.nodes[0].address())
    }

    /// Returns the certificate of the encrypted cluster, as PEM. Clients have to trust it explicitly.
    pub fn certificate(&self) -> PathBuf {
        self.encryption.as_ref().expect("an encrypted cluster").certificate()
    }

    /// Returns the URL of a node, as if it were a server alone.
    pub fn node_url(&self) -> String {
        format!("redis://{}", self.nodes[0].address())
    }

    /// Counts the keys of each node.
    pub async fn key_counts(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for node in &self.nodes {
            let response = node.run("DBSIZE").await;
            let count = response.trim().trim_start_matches(':').parse();
            counts.push(count.expect("a number of keys"));
        }
        counts
    }

    /// Moves the slot of a key to another node, with the key.
    pub async fn move_slot_of(&self, key: &str) {
        let slot = self.nodes[0].run(&format!("CLUSTER KEYSLOT {key}")).await;
        let slot = slot.trim().trim_start_matches(':').to_owned();
        let number: usize = slot.parse().expect("a slot");
        let from = number * self.nodes.len() / SLOTS;
        let to = (from + 1) % self.nodes.len();
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let (source_id, target_id) = (node_id(source).await, node_id(target).await);
        target
            .run_until(&format!("CLUSTER SETSLOT {slot} IMPORTING {source_id}"), "OK")
            .await;
        source
            .run_until(&format!("CLUSTER SETSLOT {slot} MIGRATING {target_id}"), "OK")
            .await;
        let migrate = format!("MIGRATE 127.0.0.1 {} {key} 0 5000", target.port.number());
        source.run_until(&migrate, "OK").await;
        for node in [target, source] {
            node.run_until(&format!("CLUSTER SETSLOT {slot} NODE {target_id}"), "OK")
                .await;
        }
    }
}

fn scheme(encryption: Option<&Encryption>) -> &'static str {
    encryption.map_or("redis", |_| "rediss")
}

/// Sends a command and reads until the server closes the connection, which it does when it has answered: a sentinel knows no QUIT.
async fn exchange(address: &str, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{command}\r\n").as_bytes()).await?;
    stream.shutdown().await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response)
}

async fn node_id(node: &Member) -> String {
    let response = node.run("CLUSTER MYID").await;
    response.lines().nth(1).expect("an id").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sentinels_replace_dead_primary() {
        let mut set = RedisSentinels::start().await;
        let former = set.primary().await;
        set.kill_primary().await;
        let start = Instant::now();
        while set.primary().await == former {
            assert!(start.elapsed() < START_TIMEOUT, "no other primary");
            tokio::time::sleep(POLL_INTERVAL).await; // not a synchronisation: a pause between two polls
        }
    }
}
