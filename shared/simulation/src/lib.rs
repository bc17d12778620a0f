//! The deterministic simulation of sends, inbound messages and deliveries. It has tests only; `tests/mod.rs` describes it.

#[cfg(test)]
mod tests;
