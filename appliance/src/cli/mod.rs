//! The command line: one file a verb.

mod bugreport;
mod capture;
mod client;
mod config;
mod demo;
mod doctor;
mod drops;
mod events;
mod exit;
mod explain;
mod peer;
mod ping;
mod plugin;
mod rekey;
mod reset;
mod run;
mod show;
mod status;
mod swarm;
mod table;
mod top;
mod trace;

pub(crate) use exit::Health;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// An IPsec concentrator for the headquarters end of thousands of branch tunnels.
///
/// Exit codes: 0 healthy, 1 error, 2 degraded.
#[derive(Debug, Parser)]
#[command(name = "hawser", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the gateway in the foreground.
    Run(run::Run),
    /// One line for every peer, those that are down included.
    Status(status::Status),
    /// The busiest peers, or those in trouble, redrawn in place.
    Top(top::Top),
    /// Everything about one peer.
    Show(show::Show),
    /// Why a peer dropped: what happened, the verdict, what to change.
    Explain(explain::Explain),
    /// What dropped, counted.
    Drops(drops::Drops),
    /// Every IKE message of one peer, its events, and its ESP counters, while it runs.
    Trace(trace::Trace),
    /// One peer's outer packets, IKE and ESP, as pcapng, while it runs.
    Capture(capture::Capture),
    /// Everything that is known of one peer, redacted, in an archive to pass on.
    Bugreport(bugreport::Bugreport),
    /// End the SAs of a peer with DELETE; it may come back at once.
    Reset(reset::Reset),
    /// Renew the keys of a peer's IKE SA and Child SAs.
    Rekey(rekey::Rekey),
    /// Ask a peer through its IKE SA whether it is alive.
    Ping(ping::Ping),
    /// What happened lately, or with -f what happens.
    Events(events::Events),
    /// Check, convert and apply configurations.
    #[command(subcommand)]
    Config(config::Config),
    /// See, swap and roll back the plugins that decide.
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    #[command(hide = true)]
    PluginCompile(plugin::Compile),
    /// A gateway and fifty branches behind NATs on this machine, without root.
    Demo(demo::Demo),
    /// Thousands of branches as load for a gateway.
    Swarm(swarm::Swarm),
    /// Whether this machine has what a gateway needs.
    Doctor(doctor::Doctor),
}

/// How to reach the gateway that runs, and how to print what it says.
#[derive(Clone, Debug, Args)]
pub(crate) struct Remote {
    /// The gateway's admin socket.
    #[arg(long, value_name = "PATH", default_value = crate::admin::DEFAULT_SOCKET)]
    socket: PathBuf,
    /// Print JSON ("version": 1) in place of text.
    #[arg(long)]
    json: bool,
}

/// Reads the command line, does what it says, and says how it went.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own code for a usage error is 2, which here means degraded.
            let code = if error.use_stderr() { 1 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    exit::of(match cli.verb {
        Verb::Run(verb) => verb.perform(),
        Verb::Status(verb) => verb.perform(),
        Verb::Top(verb) => verb.perform(),
        Verb::Show(verb) => verb.perform(),
        Verb::Explain(verb) => verb.perform(),
        Verb::Drops(verb) => verb.perform(),
        Verb::Trace(verb) => verb.perform(),
        Verb::Capture(verb) => verb.perform(),
        Verb::Bugreport(verb) => verb.perform(),
        Verb::Reset(verb) => verb.perform(),
        Verb::Rekey(verb) => verb.perform(),
        Verb::Ping(verb) => verb.perform(),
        Verb::Events(verb) => verb.perform(),
        Verb::Config(verb) => verb.perform(),
        Verb::Plugin(verb) => verb.perform(),
        Verb::PluginCompile(verb) => return verb.perform(),
        Verb::Demo(verb) => verb.perform(),
        Verb::Swarm(verb) => verb.perform(),
        Verb::Doctor(verb) => verb.perform(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_peer_may_be_an_outer_address() {
        let cli = Cli::try_parse_from(["hawser", "show", "120.208.142.17/8192", "--json"]);
        assert!(matches!(cli.map(|c| c.verb), Ok(Verb::Show(_))));
    }
}
