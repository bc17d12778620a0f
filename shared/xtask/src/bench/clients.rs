//! The same load as agents bring it: rmcp's own client, over Streamable HTTP. It costs several times what the cheap client in
//! `http.rs` does, on the same two processors, and so says what a program that uses it gets rather than what a server can do.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use anyhow::{Context, ensure};
use rmcp::{
    RoleClient, ServiceExt,
    model::{CallToolRequestParams, ClientConfig, JsonObject},
    service::RunningService,
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use tokio::task::JoinSet;

use super::mcp::Job;

type Client = RunningService<RoleClient, ClientConfig>;

async fn connect(address: SocketAddr, token: Option<&str>) -> anyhow::Result<Client> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(format!("http://{address}/mcp"));
    if let Some(token) = token {
        config = config.auth_header(token);
    }
    let transport = StreamableHttpClientTransport::from_config(config);
    ClientConfig::default().serve(transport).await.context("connecting")
}

/// Calls a second over sessions that stay open.
pub async fn rate(
    address: SocketAddr,
    token: Option<&str>,
    job: Job,
    tool: &'static str,
    args: fn(u64) -> String,
) -> anyhow::Result<f64> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut clients = Vec::with_capacity(job.connections);
    for _ in 0..job.connections {
        clients.push(connect(address, token).await?);
    }
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for client in clients {
        callers.spawn(async move {
            let mut done = 0u64;
            while begun.elapsed() < job.time {
                // Other numbers than the cheap client's: a key that was used before would only be looked up.
                let n = (1 << 40) + NEXT.fetch_add(1, Ordering::Relaxed);
                let arguments: JsonObject = serde_json::from_str(&args(n))?;
                let request = CallToolRequestParams::new(tool).with_arguments(arguments);
                let result = client.call_tool(request).await?;
                ensure!(result.is_error != Some(true), "{tool}: {:?}", result.content);
                done += 1;
            }
            client.cancel().await?;
            Ok::<u64, anyhow::Error>(done)
        });
    }
    let mut total = 0;
    while let Some(done) = callers.join_next().await {
        total += done??;
    }
    Ok(total as f64 / begun.elapsed().as_secs_f64())
}
