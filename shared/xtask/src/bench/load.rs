//! The load of a measurement: how many connections for how long.

use std::time::Duration;

#[derive(Clone, Copy)]
pub struct Load {
    pub connections: usize,
    pub duration: Duration,
}
