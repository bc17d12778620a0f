//! Events that happen to an installation under load.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use super::{
    super::servers::Servers,
    Options,
    load::{Kind, Traffic},
    replicas::{ROLES, Replicas},
};

/// After the end of an outage, all answers must be good again by then.
const MAX_RECOVERY: Duration = Duration::from_secs(5);
/// How long the answers are watched after an outage.
const WATCH: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Disturbance {
    /// SIGKILL to one replica after the other, again and again.
    Kills,
    /// A rolling restart: each replica is replaced once, and ends gracefully.
    Replacements,
    /// Postgres, NATS and Redis are stopped and started again, one after the other.
    Outages,
}

#[derive(Clone, Copy, Debug)]
enum Backend {
    Postgres,
    Nats,
    Redis,
}

pub async fn run(
    options: &Options,
    servers: &mut Servers,
    replicas: &mut Replicas,
    traffic: &Traffic,
) -> anyhow::Result<()> {
    let pause = Duration::from_secs(options.every);
    match options.by {
        Disturbance::Kills => {
            ensure!(options.seconds > options.every, "--seconds must be more than --every");
            let end = Instant::now() + Duration::from_secs(options.seconds);
            for number in 0.. {
                sleep(pause).await;
                if Instant::now() >= end {
                    break;
                }
                let index = number % ROLES.len();
                let started = Instant::now();
                replicas.kill(index, &servers.backends).await?;
                println!(
                    "killed {} {index}, serving again after {:.0?}",
                    ROLES[index],
                    started.elapsed()
                );
            }
        }
        Disturbance::Replacements => {
            for (index, role) in ROLES.iter().enumerate() {
                sleep(pause).await;
                let started = Instant::now();
                replicas.replace(index, &servers.backends).await?;
                println!("replaced {role} {index} in {:.1?}", started.elapsed());
            }
            sleep(pause).await;
        }
        Disturbance::Outages => {
            for backend in [Backend::Postgres, Backend::Nats, Backend::Redis] {
                sleep(pause).await;
                stop(backend, options, servers, traffic).await?;
            }
        }
    }
    Ok(())
}

/// Stops a server for a time. Prints how the answers were meanwhile, and how long they took to be good again.
async fn stop(backend: Backend, options: &Options, servers: &mut Servers, traffic: &Traffic) -> anyhow::Result<()> {
    let kinds = [&traffic.sends, &traffic.webhooks];
    let before = kinds.map(|kind| (kind.acknowledged(), kind.others()));
    match backend {
        Backend::Postgres => servers.postgres.stop().await,
        Backend::Nats => servers.nats.stop().await,
        Backend::Redis => servers.redis.stop().await,
    }
    sleep(Duration::from_secs(options.outage)).await;
    let during = kinds.map(|kind| (kind.acknowledged(), kind.others()));
    match backend {
        Backend::Postgres => servers.postgres.start_again().await,
        Backend::Nats => servers.nats.start_again().await,
        Backend::Redis => servers.redis.start_again().await,
    }
    let back = Instant::now();
    sleep(WATCH).await;
    let recovery = kinds.map(|kind: &Kind| kind.recovery(back));
    println!(
        "{backend:?} away for {} s: {} sends acknowledged and {} refused, {} webhooks acknowledged and {} refused; \
         good again after {:.1?} and {:.1?}",
        options.outage,
        during[0].0 - before[0].0,
        during[0].1 - before[0].1,
        during[1].0 - before[1].0,
        during[1].1 - before[1].1,
        recovery[0],
        recovery[1],
    );
    ensure!(
        recovery.iter().all(|time| *time <= MAX_RECOVERY),
        "not good again within {MAX_RECOVERY:?}"
    );
    Ok(())
}
