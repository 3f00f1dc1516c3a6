//! `hawser plugin-compile`: the child process of the gateway that compiles.

use clap::Args;
use std::ffi::OsString;
use std::process::ExitCode;

/// Reads a component from the standard input, writes machine code to the standard output.
#[derive(Debug, Args)]
pub(in crate::cli) struct Compile {
    #[arg(hide = true)]
    bounds: Vec<OsString>,
}

impl Compile {
    pub(in crate::cli) fn perform(self) -> ExitCode {
        hawser_plugin::compile_main(self.bounds)
    }
}
