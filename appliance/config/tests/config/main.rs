//! Configurations and what they say, and what is said about wrong ones.
#![allow(clippy::unwrap_used)]

mod case;
mod common;
mod comware_faults;
mod comware_large;
mod comware_meaning;
mod native;
mod native_faults;
mod never_panics;
mod outline;
