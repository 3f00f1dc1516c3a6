//! Records of a batch exactly as they lie in a plugin's memory, so that a batch is copied whole.
//!
//! What wasmtime derives stores field by field and looks the memory up for each: some 100 ns a
//! record of this size. The contract's own types (in `bindings`) still say what a plugin must have:
//! [`Wired`] checks against them, and the layouts below are compared with theirs when this is compiled.

#![allow(
    unsafe_code,
    reason = "wasmtime's traits for what crosses are unsafe; see each"
)]

use std::mem::MaybeUninit;

use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext,
};
use wasmtime::component::{ComponentType, Lower};
use zerocopy::{Immutable, IntoBytes};

use crate::bindings::dpd_policy::exports::hawser::plugin::dpd;
use crate::bindings::log_format::exports::hawser::plugin::log;

const _: () = assert!(
    cfg!(target_endian = "little"),
    "a plugin's memory is little-endian"
);

/// Where a part lies in the batch's octets, and how many it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Span {
    pub(crate) at: u32,
    pub(crate) length: u32,
}

impl Span {
    /// As it lies in eight octets.
    pub(crate) fn packed(self) -> u64 {
        u64::from(self.length) << 32 | u64::from(self.at)
    }
}

/// `dpd.evidence`.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Evidence {
    pub(crate) device: u64,
    pub(crate) now_ms: u64,
    pub(crate) established_ms: u64,
    pub(crate) ike_in_ms: u64,
    pub(crate) esp_in_ms: u64,
    pub(crate) esp_out_ms: u64,
    pub(crate) transmitted_ms: u64,
    pub(crate) rtt_us: u32,
    pub(crate) interval_ms: u32,
    pub(crate) retry_ms: u32,
    pub(crate) retries: u8,
    pub(crate) mode: u8,
    pub(crate) trigger: u8,
    pub(crate) transmissions: u8,
    pub(crate) behind_nat: bool,
    pub(crate) padding: [u8; 3],
    pub(crate) moves: u32,
    pub(crate) probes: u32,
    pub(crate) losses: u32,
    pub(crate) ike_sas: u32,
    pub(crate) child_sas: u32,
    pub(crate) tenant: Span,
    pub(crate) template: Span,
    pub(crate) identity: Span,
    pub(crate) endpoint: Span,
    pub(crate) memo: Span,
    pub(crate) ext: Span,
}

/// `log.event`.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Event {
    pub(crate) time_unix_ns: u64,
    pub(crate) sequence: u64,
    pub(crate) device: u64,
    pub(crate) shard: u16,
    pub(crate) severity: u8,
    pub(crate) padding: u8,
    pub(crate) name: Span,
    pub(crate) tenant: Span,
    pub(crate) template: Span,
    pub(crate) identity: Span,
    pub(crate) local: Span,
    pub(crate) remote: Span,
    pub(crate) first_field: u32,
    pub(crate) fields: u32,
    pub(crate) ext: Span,
    pub(crate) end: [u8; 4],
}

/// `log.field`; the value is its case, and what that case holds in its low octets.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Field {
    pub(crate) name: Span,
    pub(crate) case: u8,
    pub(crate) padding: [u8; 7],
    pub(crate) value: u64,
}

/// A record that lies here as it lies in a plugin's memory.
pub(crate) trait Wire: IntoBytes + Immutable + Copy + Send + Sync + 'static {
    /// The contract's type.
    type Contract: Lower;
}

impl Wire for Evidence {
    type Contract = dpd::Evidence;
}

impl Wire for Event {
    type Contract = log::Event;
}

impl Wire for Field {
    type Contract = log::Field;
}

/// Such a record for wasmtime.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(transparent)]
pub(crate) struct Wired<T>(pub(crate) T);

// SAFETY: what the trait says of a type (size, alignment, which types of a component it fits) is
// what it says of the contract's type.
unsafe impl<T: Wire> ComponentType for Wired<T> {
    type Lower = <T::Contract as ComponentType>::Lower;
    const ABI: CanonicalAbiInfo = {
        let abi = <T::Contract as ComponentType>::ABI;
        assert!(abi.size32 as usize == size_of::<T>());
        assert!(abi.align32 as usize == align_of::<T>());
        abi
    };

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        T::Contract::typecheck(ty, types)
    }
}

// SAFETY: writes within the bounds that it was given, which are checked again, and octets whose
// layout is the contract's; every pattern that it writes is a value of the contract's types.
unsafe impl<T: Wire> Lower for Wired<T> {
    fn linear_lower_to_flat<U>(
        &self,
        _: &mut LowerContext<'_, U>,
        _: InterfaceType,
        _: &mut MaybeUninit<Self::Lower>,
    ) -> wasmtime::Result<()> {
        wasmtime::bail!("records of a batch only come in lists")
    }

    fn linear_lower_to_memory<U>(
        &self,
        cx: &mut LowerContext<'_, U>,
        ty: InterfaceType,
        offset: usize,
    ) -> wasmtime::Result<()> {
        Self::linear_store_list_to_memory(cx, ty, offset, std::slice::from_ref(self))
    }

    fn linear_store_list_to_memory<U>(
        cx: &mut LowerContext<'_, U>,
        _: InterfaceType,
        offset: usize,
        items: &[Self],
    ) -> wasmtime::Result<()> {
        let octets = items.as_bytes();
        cx.as_slice_mut()[offset..][..octets.len()].copy_from_slice(octets);
        Ok(())
    }
}
