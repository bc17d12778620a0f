//! A group of appends that waits for one transaction.

use std::sync::{Arc, Mutex};

use butt_dial_domain::ports::bus::{Appended, BusError, Headers};
use futures::future::{BoxFuture, WeakShared};

/// The limits of one transaction, so that other writers of the database are not blocked for long.
const MAX_GROUP: usize = 256;
const MAX_GROUP_BYTES: usize = 4_194_304;

/// A message to append.
pub(super) struct Append {
    pub(super) subject: String,
    pub(super) id: String,
    pub(super) headers: Headers,
    pub(super) payload: bytes::Bytes,
}

/// The results of a group, in its order.
pub(super) type Results = Arc<[Result<Appended, BusError>]>;

/// A group of appends that waits for the write lock. The callers own it together: when one is cancelled, the others
/// still drive it; when all are cancelled, it is dropped.
pub(super) struct PendingGroup {
    pub(super) group: Arc<Mutex<Group>>,
    pub(super) results: WeakShared<BoxFuture<'static, Results>>,
}

#[derive(Default)]
pub(super) struct Group {
    pub(super) appends: Vec<Append>,
    bytes: usize,
    /// The transaction has begun; no more appends can join.
    pub(super) closed: bool,
}

impl Group {
    pub(super) fn has_room_for(&self, append: &Append) -> bool {
        !self.closed && self.appends.len() < MAX_GROUP && self.bytes + append.payload.len() <= MAX_GROUP_BYTES
    }

    /// Adds the append and returns its index in the group.
    pub(super) fn add(&mut self, append: Append) -> usize {
        self.bytes += append.payload.len();
        self.appends.push(append);
        self.appends.len() - 1
    }
}
