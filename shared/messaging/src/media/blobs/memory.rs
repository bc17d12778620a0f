//! The memory of open attachments. Each is decrypted as a whole, so readers that stand still would hold any amount of it.

use std::{ops::Deref, sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Blob;

/// All open attachments of this process together, in KiB. Three of the largest (25 MiB): each needs twice its size while it is
/// decrypted.
const MEMORY_KIB: usize = 96 * 1024;
/// How long a reader waits until others have finished.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);

/// The memory that is left.
#[derive(Clone)]
pub(super) struct Memory(Arc<Semaphore>);

/// A part of the memory. Dropping it gives the part back.
pub(super) struct Part(OwnedSemaphorePermit);

impl Memory {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MEMORY_KIB)))
    }

    /// Takes the memory to decrypt this many bytes. Fails when other readers hold it for too long.
    pub(super) async fn take(&self, bytes: u64) -> Result<Part, String> {
        let kib = usize::try_from(bytes.saturating_mul(2).div_ceil(1024)).unwrap_or(MEMORY_KIB);
        // A larger one than all memory takes all of it.
        let kib = u32::try_from(kib.clamp(1, MEMORY_KIB)).unwrap_or(u32::MAX);
        let taken = tokio::time::timeout(WAIT_TIMEOUT, self.0.clone().acquire_many_owned(kib)).await;
        match taken {
            Ok(Ok(permit)) => Ok(Part(permit)),
            _ => Err("other attachments that are being read hold the memory for it".into()),
        }
    }
}

impl Part {
    /// Gives back what only the decryption needs.
    pub(super) fn shrink(&mut self) {
        let half = self.0.num_permits() / 2;
        drop(self.0.split(half));
    }
}

/// A blob in memory. Keep it until its last byte is sent.
pub struct OpenBlob {
    pub(super) blob: Blob,
    pub(super) _part: Part,
}

impl Deref for OpenBlob {
    type Target = Blob;

    fn deref(&self) -> &Blob {
        &self.blob
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[tokio::test(start_paused = true)]
    async fn bounds_memory_of_open_blobs() {
        let memory = Memory::new();
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut part = memory.take(24 * MIB).await.unwrap();
            part.shrink();
            open.push(part);
        }
        assert!(memory.take(24 * MIB).await.is_err());
        memory.take(MIB).await.unwrap();
        open.pop();
        memory.take(24 * MIB).await.unwrap();
        open.clear();
        memory.take(1_000 * MIB).await.unwrap();
    }
}
