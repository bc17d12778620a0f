//! The faults of one process. Each call of a port or of the database passes a gate before and after its effect, at which it waits,
//! fails, or the process crashes. A process that has crashed has no further effect: its calls never return.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use butt_dial_store::simulation::{Fate, Process};
use tokio::runtime::Handle;

use super::{random::Random, world::World};

/// How often faults occur in a run, in 1,000 calls.
#[derive(Clone, Copy, Debug)]
pub struct Intensity {
    pub crash: u64,
    pub failure: u64,
    pub delay: u64,
    pub longest_delay: u64,
    /// Of requests to the carrier.
    pub carrier: u64,
}

impl Intensity {
    pub fn choose(random: &Random) -> Self {
        let [calm, some, crashes, failures, slow] = [
            (0, 0, 20, 5, 0),
            (2, 5, 60, 300, 150),
            (9, 0, 60, 150, 80),
            (1, 25, 60, 150, 250),
            (2, 3, 250, 2_500, 150),
        ];
        let (crash, failure, delay, longest_delay, carrier) =
            *random.pick(&[calm, some, some, some, crashes, crashes, failures, failures, slow, slow]);
        Self {
            crash,
            failure,
            delay,
            longest_delay,
            carrier,
        }
    }
}

pub struct Faults {
    pub world: Arc<World>,
    pub name: String,
    connections: Handle,
    is_dead: AtomicBool,
    /// The process starts: there are no faults yet.
    is_starting: AtomicBool,
}

impl Faults {
    pub fn new(world: Arc<World>, name: String, connections: Handle) -> Arc<Self> {
        Arc::new(Self {
            world,
            name,
            connections,
            is_dead: AtomicBool::new(false),
            is_starting: AtomicBool::new(true),
        })
    }

    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    pub fn end_start(&self) {
        self.is_starting.store(false, Ordering::SeqCst);
    }

    pub fn note(&self, step: impl FnOnce() -> String) {
        self.world.note(&self.name, step);
    }

    /// Passes the gate of a port. Returns false if the call fails here.
    pub async fn pass(&self, point: &'static str) -> bool {
        let delay = self.delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await; // not a synchronisation: simulated time
        }
        match self.fate(point) {
            Fate::Continue => true,
            Fate::Fail => false,
            Fate::Crash => pending().await,
        }
    }

    /// Returns whether something happens, of what happens `per_mille` times in 1,000 while there are faults.
    pub fn strikes(&self, per_mille: u64) -> bool {
        let is_spared = self.world.is_calm() || self.is_starting.load(Ordering::SeqCst);
        !is_spared && per_mille > 0 && self.world.random.chance(per_mille)
    }
}

impl Process for Faults {
    fn delay(&self) -> Duration {
        let intensity = self.world.intensity;
        match self.strikes(intensity.delay) {
            true => Duration::from_millis(self.world.random.between(1, intensity.longest_delay)),
            false => Duration::ZERO,
        }
    }

    fn fate(&self, point: &'static str) -> Fate {
        self.world.note_gate(&self.name, point);
        if self.is_dead() {
            return Fate::Crash;
        }
        let intensity = self.world.intensity;
        if self.strikes(intensity.crash) {
            self.note(|| format!("crashes {point}"));
            self.is_dead.store(true, Ordering::SeqCst);
            return Fate::Crash;
        }
        if self.strikes(intensity.failure) {
            self.note(|| format!("gets no answer {point}"));
            return Fate::Fail;
        }
        Fate::Continue
    }

    fn connections(&self) -> &Handle {
        &self.connections
    }
}
