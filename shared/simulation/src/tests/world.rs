//! The part of a run that survives a crash of a process: time, log, key-value store, carrier and the trace. The database is in
//! `laboratory.rs`.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use butt_dial_domain::{Clock, clock::Timestamp};
use butt_dial_kv::MemoryKv;
use chrono::TimeDelta;

use super::{carrier::CarrierBook, faults::Intensity, log::Log, random::Random};

/// A working day at noon in New York.
pub const START: &str = "2026-11-24T17:00:00Z";

pub struct World {
    pub clock: Clock,
    pub random: Random,
    pub intensity: Intensity,
    pub log: Log,
    kv: Mutex<Arc<MemoryKv>>,
    pub carrier: CarrierBook,
    /// No more faults: the run comes to its end.
    is_calm: AtomicBool,
    trace: Option<Mutex<Vec<String>>>,
    /// Of all gates in their order. Most leave no step in the trace.
    gates: Mutex<DefaultHasher>,
    start: Timestamp,
}

impl World {
    pub fn new(seed: u64, is_traced: bool) -> Self {
        let start: Timestamp = START.parse().unwrap();
        let clock = Clock::manual(start);
        let random = Random::new(seed);
        Self {
            kv: Mutex::new(Arc::new(MemoryKv::new(clock.clone()))),
            intensity: Intensity::choose(&random),
            log: Log::default(),
            carrier: CarrierBook::default(),
            is_calm: AtomicBool::new(false),
            trace: is_traced.then(Mutex::default),
            gates: Mutex::default(),
            start,
            random,
            clock,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn elapsed(&self) -> TimeDelta {
        self.now() - self.start
    }

    pub fn kv(&self) -> Arc<MemoryKv> {
        self.kv.lock().unwrap().clone()
    }

    /// Loses the whole key-value store, as a restart of Redis does.
    pub fn empty_kv(&self) {
        *self.kv.lock().unwrap() = Arc::new(MemoryKv::new(self.clock.clone()));
        self.note("world", || "the key-value store is emptied".into());
    }

    pub fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::SeqCst)
    }

    pub fn calm_down(&self) {
        self.is_calm.store(true, Ordering::SeqCst);
        self.note("world", || "no more faults".into());
    }

    /// Adds a step to the trace.
    pub fn note(&self, who: &str, step: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let line = format!("{:>9} ms  {who:<8} {}", self.elapsed().num_milliseconds(), step());
            trace.lock().unwrap().push(line);
        }
    }

    /// Notes that a process is at a gate.
    pub fn note_gate(&self, who: &str, point: &str) {
        if self.trace.is_some() {
            let gate = (self.elapsed().num_milliseconds(), who, point, self.random.state());
            gate.hash(&mut *self.gates.lock().unwrap());
        }
    }

    /// Ends the trace with the digest of all gates. Two runs with the same one had the same calls and faults in the same order.
    pub fn end_trace(&self) {
        self.note("world", || {
            format!("ends; gates {:016x}", self.gates.lock().unwrap().finish())
        });
    }

    pub fn trace(&self) -> Vec<String> {
        self.trace
            .as_ref()
            .map(|trace| trace.lock().unwrap().clone())
            .unwrap_or_default()
    }
}
