//! Plugins: WASM components that decide what a headquarters wants to decide differently.
//!
//! A plugin is a component of one of the three worlds in `sdk/wit/hawser.wit`. It runs under
//! [`Limits`] that it cannot break out of, in instances that are thrown away after any fault, and
//! it is swapped while calls are in flight. Nothing here knows packets, sockets or a runtime:
//! calls block their thread for at most [`Limits::deadline`], so they are made by workers.
//!
//! - [`Plugins`] is the registry: load, check, roll back, unload, list.
//! - [`DpdHost`], [`AuthorizationHost`] and [`LogHost`] ask the plugins; each worker has its own.
//! - [`compile_main`] is the hidden verb of the child process that compiles.
//!
//! # When a plugin fails
//!
//! Every failure names the plugin, its version and generation, and what happened
//! ([`PluginFault`]). The caller falls back: authorization is closed for new SAs (a template may
//! say otherwise) and existing ones stay; DPD follows the template's settings; events are
//! written in the built-in format. Three faults within a minute disable the plugin until another
//! generation is loaded or the previous one is rolled back.

mod authorization;
mod batch;
mod bindings;
mod cache;
mod clock;
mod compile;
mod component;
pub mod dpd;
mod engine;
mod entry;
mod event;
mod fault;
mod generation;
mod hooks;
mod instance;
mod list;
mod load;
pub mod log;
mod meter;
mod pace;
mod scope;
pub mod settings;
mod signature;
mod text;
mod wire;
mod world;

pub use authorization::{
    ATTRIBUTE, ATTRIBUTES, AuthorizationHost, AuthorizationRequest, Authorized, Grant, SELECTORS,
    Verdict, sample_request,
};
pub use cache::Cache;
pub use compile::{ChildCompiler, Compiler, compile_main};
pub use component::{FITTING, Hook, Inspection, inspect};
pub use dpd::DpdHost;
pub use engine::Limits;
pub use event::{LogLevel, PluginEvent, Sink};
pub use fault::{Decided, Failure, LoadError, Origin, PluginFault};
pub use hooks::{Checked, Options, Plugins};
pub use list::{PluginInfo, PreviousInfo};
pub use load::Source;
pub use log::LogHost;
pub use scope::Scope;
pub use signature::{SECTION as SIGNATURE_SECTION, verify as verify_signature};
pub use world::Description;
