//! Between a plugin's types and its memory: the canonical ABI of `sdk/wit`, written by hand.
//!
//! Generated code copies every text into memory of its own and frees it afterwards. Here what the
//! host puts into the [`arena`] is borrowed for the call, and an answer stays where it is until the
//! next one. The layouts are those of the records in `sdk/wit/hawser.wit`; the host checks the
//! types of a component when it loads it.
#![allow(
    unsafe_code,
    reason = "exported functions get addresses from the host; each block says why it may"
)]
#![allow(missing_docs, reason = "for the macros of `export` alone")]

pub mod arena;
pub mod authorization;
pub mod dpd;
#[cfg(target_family = "wasm")]
pub mod host;
pub mod log;
pub mod plugin;

// `DPD_POLICY`, `PEER_AUTHORIZATION` and `LOG_FORMAT`: what a linker needs to know of each world.
include!(concat!(env!("OUT_DIR"), "/worlds.rs"));

/// A list or text in this memory, as the contract carries it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct List<T> {
    at: *const T,
    length: usize,
}

impl<T> List<T> {
    const NONE: Self = Self {
        at: std::ptr::null(),
        length: 0,
    };

    fn of(items: &[T]) -> Self {
        Self {
            at: items.as_ptr(),
            length: items.len(),
        }
    }

    /// # Safety
    /// The host lowered it for this call, and `'a` ends with the call.
    unsafe fn get<'a>(self) -> &'a [T] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: the host filled so many items at this place, aligned for them.
        unsafe { std::slice::from_raw_parts(self.at, self.length) }
    }
}

impl List<u8> {
    /// # Safety
    /// As of `get`, and it is a `string` of the contract.
    unsafe fn text<'a>(self) -> &'a str {
        // SAFETY: the host lowers its own texts, which are UTF-8.
        unsafe { std::str::from_utf8_unchecked(self.get()) }
    }
}

/// A part of a batch's octets.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Span {
    at: u32,
    length: u32,
}

impl Span {
    fn octets(self, batch: &[u8]) -> &[u8] {
        let (at, length) = (self.at as usize, self.length as usize);
        batch.get(at..at + length).unwrap_or_default()
    }

    /// # Safety
    /// The host put a text there.
    unsafe fn text(self, batch: &[u8]) -> &str {
        // SAFETY: see above.
        unsafe { std::str::from_utf8_unchecked(self.octets(batch)) }
    }

    fn text_of(self, batch: &str) -> &str {
        let (at, length) = (self.at as usize, self.length as usize);
        batch.get(at..at + length).unwrap_or_default()
    }
}
