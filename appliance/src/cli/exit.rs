//! Exit codes: 0 healthy, 1 error, 2 degraded.

use std::io;
use std::process::ExitCode;

/// How what was asked about is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Health {
    /// As it should be.
    Healthy,
    /// It works, or answers, but not as it should.
    Degraded,
}

impl Health {
    /// Healthy if `fine`.
    pub(crate) fn when(fine: bool) -> Self {
        if fine { Self::Healthy } else { Self::Degraded }
    }
}

/// The exit code of a verb; an error is printed.
pub(super) fn of(outcome: anyhow::Result<Health>) -> ExitCode {
    match outcome {
        Ok(Health::Healthy) => ExitCode::SUCCESS,
        Ok(Health::Degraded) => ExitCode::from(2),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hawser: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// Whoever read our output has had enough (`hawser events -f | head`): no error of ours.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}
