//! The load of real agents: the client of rmcp, over Streamable HTTP. It takes several times the CPU of the client in
//! `http_client.rs` on the same two processors, so it measures what a program with rmcp gets, not the server's limit.

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

use super::load::Load;

type Client = RunningService<RoleClient, ClientConfig>;

async fn connect(address: SocketAddr, token: Option<&str>) -> anyhow::Result<Client> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(format!("http://{address}/mcp"));
    if let Some(token) = token {
        config = config.auth_header(token);
    }
    let transport = StreamableHttpClientTransport::from_config(config);
    ClientConfig::default().serve(transport).await.context("connecting")
}

/// Measures the calls per second over sessions that stay open.
pub async fn rate(
    address: SocketAddr,
    token: Option<&str>,
    load: Load,
    tool: &'static str,
    args: fn(u64) -> String,
) -> anyhow::Result<f64> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut clients = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        clients.push(connect(address, token).await?);
    }
    let started = Instant::now();
    let mut callers = JoinSet::new();
    for client in clients {
        callers.spawn(async move {
            let mut calls = 0u64;
            while started.elapsed() < load.duration {
                // Other numbers than those of `mcp_client`: a repeated idempotency key would not send again.
                let n = (1 << 40) + NEXT.fetch_add(1, Ordering::Relaxed);
                let arguments: JsonObject = serde_json::from_str(&args(n))?;
                let request = CallToolRequestParams::new(tool).with_arguments(arguments);
                let result = client.call_tool(request).await?;
                ensure!(result.is_error != Some(true), "{tool}: {:?}", result.content);
                calls += 1;
            }
            client.cancel().await?;
            Ok::<u64, anyhow::Error>(calls)
        });
    }
    let mut total = 0;
    while let Some(calls) = callers.join_next().await {
        total += calls??;
    }
    Ok(total as f64 / started.elapsed().as_secs_f64())
}
