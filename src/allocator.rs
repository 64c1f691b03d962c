//! How the C library's allocator gives memory back.

/// Bytes from which on a buffer has pages of its own, which go back to the system as soon as it is freed.
///
/// By itself glibc raises this to the size of the largest buffer that was freed, up to 32 MiB, and keeps what
/// is smaller for later, for each thread apart (mallopt(3), `M_MMAP_THRESHOLD`). So some bodies of 8 MB would
/// leave hundreds of MiB behind for good.
#[cfg(target_env = "gnu")]
const LARGE: i32 = 1 << 20;

/// Has large buffers go back to the system when they are freed.
#[cfg_attr(
    target_env = "gnu",
    expect(unsafe_code, reason = "there is no safe mallopt")
)]
pub(crate) fn give_large_buffers_back() {
    #[cfg(target_env = "gnu")]
    {
        use nix::libc::{M_MMAP_THRESHOLD, mallopt};
        // SAFETY: mallopt only sets a number, under the allocator's own lock. Where it refuses, all works as
        // before.
        let _refused = unsafe { mallopt(M_MMAP_THRESHOLD, LARGE) };
    }
}
