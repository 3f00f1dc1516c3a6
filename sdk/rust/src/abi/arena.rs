//! Where the host puts what it asks with: taken in a row, and given back all together at the end of
//! the call.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;

/// Octets of the first block: a question about one device, or one peer.
const FIRST: usize = 4 << 10;
/// A block does not grow beyond this; larger questions go to the allocator.
const LARGEST: usize = 1 << 20;
/// No record is aligned more strictly.
const ALIGN: usize = 8;

struct Arena {
    block: *mut u8,
    size: usize,
    used: usize,
    /// What did not fit.
    spilled: Vec<(*mut u8, Layout)>,
}

thread_local! {
    static ARENA: RefCell<Arena> = const {
        RefCell::new(Arena {
            block: std::ptr::null_mut(),
            size: 0,
            used: 0,
            spilled: Vec::new(),
        })
    };
}

impl Arena {
    fn take(&mut self, align: usize, length: usize) -> *mut u8 {
        if self.block.is_null() {
            self.grow(FIRST);
        }
        let at = self.used.next_multiple_of(align.clamp(1, ALIGN));
        if at + length <= self.size {
            self.used = at + length;
            // SAFETY: within the block, or just behind its end.
            return unsafe { self.block.add(at) };
        }
        let layout = layout(length);
        let place = allocate(layout);
        self.spilled.push((place, layout));
        place
    }

    /// Gives everything back; what did not fit this time will fit the next time.
    fn reset(&mut self) {
        if !self.spilled.is_empty() {
            let more: usize = self.spilled.iter().map(|(_, l)| l.size() + ALIGN).sum();
            for (place, layout) in self.spilled.drain(..) {
                // SAFETY: `take` allocated it with this layout.
                unsafe { dealloc(place, layout) };
            }
            let size = (self.size + more).min(LARGEST);
            if size > self.size {
                // SAFETY: `grow` allocated it with this layout.
                unsafe { dealloc(self.block, layout(self.size)) };
                self.grow(size);
            }
        }
        self.used = 0;
    }

    fn grow(&mut self, size: usize) {
        self.block = allocate(layout(size));
        self.size = size;
    }
}

fn layout(size: usize) -> Layout {
    // Fails for sizes that no memory has.
    Layout::from_size_align(size.max(1), ALIGN).expect("a size")
}

fn allocate(layout: Layout) -> *mut u8 {
    // SAFETY: the size is not 0.
    let place = unsafe { alloc(layout) };
    if place.is_null() {
        handle_alloc_error(layout);
    }
    place
}

/// What the host calls for room.
///
/// # Safety
/// `old` is null, or what this gave before with `old_length`.
#[cfg_attr(target_family = "wasm", unsafe(export_name = "cabi_realloc"))]
pub unsafe extern "C" fn realloc(
    old: *const u8,
    old_length: usize,
    align: usize,
    length: usize,
) -> *mut u8 {
    let place = ARENA.with_borrow_mut(|arena| arena.take(align, length));
    if !old.is_null() {
        // SAFETY: both are of this length at least, and the new one is nobody else's.
        unsafe { old.copy_to_nonoverlapping(place, old_length.min(length)) };
    }
    place
}

/// The call is over: nobody borrows from the arena any more.
pub(crate) fn reset() {
    ARENA.with_borrow_mut(Arena::reset);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(align: usize, length: usize) -> *mut u8 {
        // SAFETY: nothing is taken over.
        unsafe { realloc(std::ptr::null(), 0, align, length) }
    }

    #[test]
    fn parts_are_aligned_apart_and_used_again() {
        let first = take(8, 5);
        let (second, third) = (take(8, 16), take(1, 3));
        assert_eq!(second as usize - first as usize, 8);
        assert_eq!(third as usize - second as usize, 16);
        assert_eq!(second as usize % 8, 0);
        reset();
        assert_eq!(take(1, 1), first);
        reset();
    }

    #[test]
    fn what_does_not_fit_is_found_room_for() {
        let large = take(8, 3 * FIRST);
        let larger = take(8, 2 * LARGEST);
        // SAFETY: both are that large.
        unsafe {
            large.write_bytes(1, 3 * FIRST);
            larger.write_bytes(2, 2 * LARGEST);
            // What grows keeps what it held.
            let grown = realloc(large, 3 * FIRST, 8, 4 * FIRST);
            assert_eq!(*grown.add(3 * FIRST - 1), 1);
        }
        reset();
        assert!(ARENA.with_borrow(|arena| arena.size == LARGEST && arena.spilled.is_empty()));
    }
}
