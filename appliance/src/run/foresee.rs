//! What applying a configuration would do to the peers that are up.

use hawser_engine::EngineHandle;
use hawser_flight::Consequence;
use hawser_policy::Policy;
use hawser_policy::change::changes;
use hawser_shard::adapt::Standing;
use hawser_shard::io::{Command, Reply};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What happens to so many peers of a template.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Foreseen {
    /// Tenant.
    pub(crate) tenant: String,
    /// Template.
    pub(crate) template: String,
    /// What.
    pub(crate) consequence: Consequence,
    /// To how many.
    pub(crate) peers: usize,
}

/// What applying `next` would do, by template; nothing is said of peers to whom nothing happens.
pub(super) async fn foresee(engine: &EngineHandle, next: Policy) -> Vec<Foreseen> {
    let running = engine.policy();
    let replies = engine.command(Command::Standings).await;
    let standings = replies.into_iter().filter_map(|(_, reply)| match reply {
        Reply::Standings(standings) => Some(standings),
        _ => None,
    });
    let standings: Vec<Standing> = standings.flatten().collect();
    // Many peers and many secrets are not for a task.
    let judged = tokio::task::spawn_blocking(move || judge(&standings, &running, &next));
    judged.await.unwrap_or_default()
}

fn judge(standings: &[Standing], running: &Policy, next: &Policy) -> Vec<Foreseen> {
    let changes = changes(running, next);
    let mut counts: BTreeMap<(Arc<str>, Arc<str>, Consequence), usize> = BTreeMap::new();
    for standing in standings {
        let change = changes.get(&(standing.tenant, Arc::clone(&standing.template)));
        if let Some(consequence) = standing.consequence(change, next) {
            let tenant = Arc::clone(&running.tenant(standing.tenant).name);
            let template = Arc::clone(&standing.template);
            *counts.entry((tenant, template, consequence)).or_default() += 1;
        }
    }
    let foreseen = counts.into_iter();
    foreseen
        .map(|((tenant, template, consequence), peers)| Foreseen {
            tenant: tenant.to_string(),
            template: template.to_string(),
            consequence,
            peers,
        })
        .collect()
}
