//! One loopback server that mounts every vendor's simulator under `/<vendor>`, a page where people read and write,
//! and routes that make the vendors misbehave. Real HTTP through real sockets: adapters can't tell the difference.

pub mod answering;
pub mod calls;
mod control;
mod courier;
pub mod keys;
mod mailbox;
mod message;
pub mod misbehaviour;
pub mod models;
mod page;
mod people;
pub mod picture;
mod report;
mod socket;
pub mod sound;

#[cfg(test)]
mod tests;
mod world;

use std::{future::IntoFuture, io, net::SocketAddr};

use axum::serve::Listener;
use butt_dial_domain::Clock;

pub use courier::{Journey, Reporter, Station};
pub use message::SimulatedMessage;
pub use misbehaviour::{Misbehaviour, Voice};
pub use models::{Ended, ModelRequest};
pub use people::{Manner, PersonWrites, Telling, Written};
pub use report::{Answered, FORM, Headers, Heard, JSON, Patience, Report};
pub use world::World;

use self::socket::{Connection, Loopback};

/// A running simulator. Dropping it stops it; `stop` also waits.
pub struct Simulator {
    addr: SocketAddr,
    world: World,
}

impl Simulator {
    /// Listens on a loopback address; port 0 takes a free one.
    pub async fn start(addr: SocketAddr) -> io::Result<Self> {
        Self::start_with(addr, World::new(Clock::System)).await
    }

    /// Listens with a world of the caller's making, such as one on a clock that stands still.
    pub async fn start_with(addr: SocketAddr, world: World) -> io::Result<Self> {
        let listener = Loopback::bind(addr).await?;
        let addr = listener.local_addr()?;
        world.set_base_url(format!("http://{addr}"));
        let router = router(&world).into_make_service_with_connect_info::<Connection>();
        let stopped = world.clone();
        // On stop it waits for its open connections: each ends once its request has, and held requests end then too.
        let server = axum::serve(listener, router)
            .with_graceful_shutdown(async move { stopped.stopped().await })
            .into_future();
        world.run_to_its_end(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the simulator's server ended");
            }
        });
        world.run(courier::work(world.clone()));
        Ok(Self { addr, world })
    }

    /// Without a slash at the end. A vendor's endpoint is this with `/<vendor>`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn world(&self) -> &World {
        &self.world
    }

    pub async fn stop(self) {
        self.world.stop().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.world.begin_to_stop();
    }
}

fn router(world: &World) -> axum::Router {
    crate::VENDORS
        .iter()
        .fold(control::router(world.clone()), |router, vendor| {
            world.mount(vendor.manifest.id);
            router.nest(&format!("/{}", vendor.manifest.id), (vendor.simulator)(world.clone()))
        })
}
