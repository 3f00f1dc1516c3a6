//! Where a plugin decides, on the command line.

use crate::cli::client::Call;
use clap::Args;
use hawser_plugin::Hook;

/// A hook, and where of it.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// What it decides: dpd-policy, peer-authorization or log-format.
    #[arg(long = "for", value_name = "HOOK")]
    hook: Hook,
    /// Only for this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Only for this template.
    #[arg(long)]
    template: Option<String>,
}

impl Place {
    /// The parameters of a request about this place.
    pub(super) fn on<'a>(&'a self, call: Call<'a>) -> Call<'a> {
        let call = call.with("hook", self.hook.as_str());
        let optional = [("tenant", &self.tenant), ("template", &self.template)];
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .fold(call, |call, (name, value)| call.with(name, value))
    }
}
