//! Hawser: an IPsec concentrator for the headquarters end of thousands of branch tunnels.
//!
//! This package is the command and the wiring; what a gateway does is in the crates beside it.

mod admin;
mod branch;
mod capture;
mod cli;
mod demo;
mod plugins;
mod report;
mod run;
mod swarm;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
