//! The size limit of a page of events.

use serde_json::{Map, Value};

/// Bytes of the events of one page, as JSON. Bounds the memory of client and server. A larger event is a separate page.
pub const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// The events and bytes that still fit into a page.
pub(super) struct PageBudget {
    events: usize,
    bytes: usize,
    is_empty: bool,
}

impl PageBudget {
    pub fn new(events: usize) -> Self {
        Self {
            events,
            bytes: MAX_PAGE_BYTES,
            is_empty: true,
        }
    }

    /// Takes an event into the page. Returns false if it does not fit. The first event always fits, so that a reader can
    /// always advance.
    pub fn take(&mut self, event: &Map<String, Value>) -> bool {
        let size = json_size(event);
        if !self.is_empty && (self.events == 0 || size > self.bytes) {
            return false;
        }
        self.is_empty = false;
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
        true
    }

    pub fn is_full(&self) -> bool {
        self.events == 0 || self.bytes == 0
    }
}

/// Bytes of the event as JSON, counted without a copy.
fn json_size(event: &Map<String, Value>) -> usize {
    struct ByteCounter(usize);
    impl std::io::Write for ByteCounter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = ByteCounter(0);
    // Writing to a counter cannot fail.
    drop(serde_json::to_writer(&mut counter, event));
    counter.0
}
