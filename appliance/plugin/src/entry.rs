//! The functions of a hook for records that are copied whole; see `wire`.

#![allow(unsafe_code, reason = "a function whose type was checked; see each")]

use wasmtime::Store;
use wasmtime::component::{Func, TypedFunc};

use crate::bindings::dpd_policy::DpdPolicy;
use crate::bindings::dpd_policy::exports::hawser::plugin::dpd::Decision;
use crate::bindings::log_format::LogFormat;
use crate::instance::HostState;
use crate::wire::{Event, Evidence, Field, Wired};

type DecideParameters<'a> = (&'a [u8], &'a [Wired<Evidence>]);
type Decided = (Vec<Decision>,);

/// `dpd.decide` of an instance.
#[derive(Clone, Copy)]
pub(crate) struct Decide(Func);

impl Decide {
    pub(crate) fn bind(
        exports: &DpdPolicy,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<Self> {
        let func = *exports.hawser_plugin_dpd().func_decide().func();
        func.typed::<DecideParameters<'_>, Decided>(store)?;
        Ok(Self(func))
    }

    /// `octets` and `evidence` as the contract names them.
    pub(crate) fn call(
        self,
        store: &mut Store<HostState>,
        octets: &[u8],
        evidence: &[Wired<Evidence>],
    ) -> wasmtime::Result<Vec<Decision>> {
        // SAFETY: `bind` has checked the function's type against these.
        let func = unsafe { TypedFunc::<DecideParameters<'_>, Decided>::new_unchecked(self.0) };
        Ok(func.call(store, (octets, evidence))?.0)
    }
}

type FormatParameters<'a> = (&'a str, &'a [Wired<Field>], &'a [Wired<Event>]);
type Formatted = (Result<Vec<u8>, String>,);

/// `log.format` of an instance.
#[derive(Clone, Copy)]
pub(crate) struct Format(Func);

impl Format {
    pub(crate) fn bind(
        exports: &LogFormat,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<Self> {
        let func = *exports.hawser_plugin_log().func_format().func();
        func.typed::<FormatParameters<'_>, Formatted>(store)?;
        Ok(Self(func))
    }

    /// `texts`, `fields` and `events` as the contract names them.
    pub(crate) fn call(
        self,
        store: &mut Store<HostState>,
        texts: &str,
        fields: &[Wired<Field>],
        events: &[Wired<Event>],
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        // SAFETY: `bind` has checked the function's type against these.
        let func = unsafe { TypedFunc::<FormatParameters<'_>, Formatted>::new_unchecked(self.0) };
        Ok(func.call(store, (texts, fields, events))?.0)
    }
}
