//! What a plugin calls.

#[link(wasm_import_module = "hawser:plugin/host@0.1.0")]
unsafe extern "C" {
    #[link_name = "log"]
    fn host_log(level: i32, at: *const u8, length: usize);
    #[link_name = "count"]
    fn host_count(at: *const u8, length: usize, delta: i64);
}

/// Level 0 is `debug`, 3 is `error`.
pub(crate) fn log(level: i32, message: &str) {
    // SAFETY: the host copies the text before it returns.
    unsafe { host_log(level, message.as_ptr(), message.len()) }
}

pub(crate) fn count(name: &str, delta: u64) {
    // SAFETY: as above.
    unsafe { host_count(name.as_ptr(), name.len(), delta.cast_signed()) }
}
