//! How the process gets memory from the kernel.

/// Asks the kernel for small pages from now on. The allocator marks its memory for huge ones, of which a process with many small objects
/// fills a part only: a third of the memory of a process at rest was unused.
#[cfg(target_os = "linux")]
pub(crate) fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "huge pages stay enabled");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn use_small_pages() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn kernel_gives_small_pages() {
        use_small_pages();
        assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
    }
}
