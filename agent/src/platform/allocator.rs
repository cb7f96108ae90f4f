//! The memory allocator of glibc, told to keep the process small.
//!
//! By itself it gives every thread that meets another in it an arena of its own, and keeps in each what was used once: some
//! megabytes that a process with a handful of threads has no use for. `mallopt(3)` is the only way to say so from within.
#![expect(unsafe_code, reason = "glibc has no other door")]

/// Makes all threads share one arena. To be called before there are threads.
pub(crate) fn share_one_arena() {
    // SAFETY: mallopt changes a number of the allocator and takes no pointer; no thread is there to use it meanwhile.
    // What it answers does not matter: refused, the process is as large as before.
    let _taken = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}
