//! Templates: defaults, and what goes together within one.

use super::Build;
use super::settings::DEFAULT_TENANT;
use crate::document::{self, Limit};
use crate::problem::{At, Place};
use hawser_policy::{
    ChildTemplate, DpdSettings, EspProposal, IkeProposal, Initiate, Lifetimes, PeerTemplate,
    Retransmission, TemplateId, Tenant, TenantId, TrafficSelector, Upkeep,
};
use std::sync::Arc;
use std::time::Duration;

const IKE_LIFETIME: Duration = Duration::from_secs(86_400);
const CHILD_LIFETIME: Duration = Duration::from_secs(3600);
const NAT_KEEPALIVE: Duration = Duration::from_secs(20);
const DPD_RETRY: Duration = Duration::from_secs(5);
const DPD_RETRIES: u8 = 2;
const FRAGMENT_SIZE: u16 = 1280;
const REPLAY_WINDOW: u32 = 4096;
/// Smaller windows protect nothing from reordering; 0 means none at all.
const SMALLEST_WINDOW: u32 = 64;

/// What is accepted where no IKE proposal is named: nothing weak.
pub(super) fn default_ike_proposals() -> Vec<IkeProposal> {
    const DEFAULT: [&str; 2] = [
        "aes256gcm16-aes128gcm16-chacha20poly1305-prfsha384-prfsha256-x25519-ecp384-ecp256-modp3072-modp2048",
        "aes256-aes128-sha384-sha256-x25519-ecp384-ecp256-modp3072-modp2048",
    ];
    DEFAULT
        .iter()
        .filter_map(|text| IkeProposal::parse(text).ok())
        .collect()
}

pub(super) fn upkeep(given: &document::Upkeep) -> Upkeep {
    let default = Upkeep::default();
    Upkeep {
        revive: given.revive.unwrap_or(default.revive),
        revive_weak_secret: given
            .revive_weak_secret
            .unwrap_or(default.revive_weak_secret),
        audit: given.audit.unwrap_or(default.audit),
        uniqueness: given.uniqueness.unwrap_or(default.uniqueness),
        admit_undecided: given.admit_undecided.unwrap_or(default.admit_undecided),
    }
}

impl Build<'_> {
    pub(super) fn templates(&mut self, tenants: &[Tenant]) -> Vec<Arc<PeerTemplate>> {
        let given = &self.document.templates;
        self.unique("templates", given.iter().map(|t| &t.name));
        if let Some(more) = given.get(usize::from(u16::MAX)) {
            self.report
                .problem(more.name.place, "templates", "there are too many templates");
        }
        (0..u16::MAX)
            .zip(given)
            .map(|(id, t)| Arc::new(self.template(TemplateId(id), t, tenants)))
            .collect()
    }

    fn template(
        &mut self,
        id: TemplateId,
        given: &document::Template,
        tenants: &[Tenant],
    ) -> PeerTemplate {
        given.ike_proposals.iter().for_each(|p| self.judge_ike(p));
        self.unique("templates.children", given.children.iter().map(|c| &c.name));
        PeerTemplate {
            id,
            name: Arc::from(given.name.value.as_str()),
            tenant: self.tenant_of(given, tenants),
            local_identity: given.local_identity.as_ref().map(|at| at.value.clone()),
            ike_proposals: given
                .ike_proposals
                .iter()
                .map(|at| at.value.clone())
                .collect(),
            ike_lifetimes: self.lifetimes("ike_rekey_margin", &given.ike_lifetimes, IKE_LIFETIME),
            children: given.children.iter().map(|c| self.child(c)).collect(),
            dpd: given.dpd.as_ref().map(|d| self.dpd(d)),
            nat_keepalive: given.nat_keepalive.unwrap_or(Some(NAT_KEEPALIVE)),
            retransmission: self.retransmission(&given.retransmission),
            upkeep: upkeep(&given.upkeep),
            allow_any_route: given.allow_any_route.unwrap_or(false),
            fragment_size: given.fragment_size.unwrap_or(FRAGMENT_SIZE),
            initiate: given.initiate.as_ref().map(|i| self.initiate(i)),
        }
    }

    fn tenant_of(&mut self, given: &document::Template, tenants: &[Tenant]) -> TenantId {
        let implied = At::new(Place::default(), DEFAULT_TENANT.to_owned());
        let wanted = given.tenant.as_ref().unwrap_or(&implied);
        let names = tenants.iter().map(|t| &*t.name);
        TenantId(
            self.index("templates.tenant", "tenant", wanted, names)
                .unwrap_or(0),
        )
    }

    fn lifetimes(
        &mut self,
        field: &str,
        given: &document::Lifetimes,
        default: Duration,
    ) -> Lifetimes {
        let time: Limit = given.time.unwrap_or(Some(default));
        let lifetimes = Lifetimes::with_default_margin(time, given.bytes);
        let Some(margin) = &given.margin else {
            return lifetimes;
        };
        if time.is_some_and(|t| margin.value >= t) {
            let message = "the margin must be less than the lifetime";
            self.report
                .problem(margin.place, format!("templates.{field}"), message);
        }
        Lifetimes {
            margin: margin.value,
            ..lifetimes
        }
    }

    fn child(&mut self, given: &document::Child) -> ChildTemplate {
        given.proposals.iter().for_each(|p| self.judge_esp(p));
        let window = given.replay_window.as_ref();
        if let Some(at) = window.filter(|at| (1..SMALLEST_WINDOW).contains(&at.value)) {
            let message = format!("{} is neither 0 nor at least {SMALLEST_WINDOW}", at.value);
            self.report
                .problem(at.place, "templates.children.replay_window", message);
        }
        ChildTemplate {
            name: given.name.value.clone(),
            proposals: given
                .proposals
                .iter()
                .map(|at| at.value.clone())
                .collect::<Vec<EspProposal>>(),
            local: selectors(&given.local),
            remote: selectors(&given.remote),
            lifetimes: self.lifetimes("children.rekey_margin", &given.lifetimes, CHILD_LIFETIME),
            replay_window: window.map_or(REPLAY_WINDOW, |at| at.value),
        }
    }

    fn dpd(&mut self, given: &document::Dpd) -> DpdSettings {
        let retry = given.retry.unwrap_or(DPD_RETRY);
        // The case: "ensure that the interval is greater than retry".
        if given.interval <= retry {
            let message = format!(
                "the interval ({} s) must exceed the retry interval ({} s)",
                given.interval.as_secs(),
                retry.as_secs()
            );
            self.report
                .problem(given.place, "templates.dpd.interval", message);
        }
        DpdSettings {
            mode: given.mode,
            interval: given.interval,
            retry,
            retries: given.retries.unwrap_or(DPD_RETRIES),
        }
    }

    fn retransmission(&mut self, given: &document::Retransmission) -> Retransmission {
        let default = Retransmission::default();
        let initial = given.initial.unwrap_or(default.initial);
        let max = given.max.unwrap_or(default.max.max(initial));
        if max < initial {
            let message = "`max` must not be less than `initial`";
            self.report
                .problem(given.place, "templates.retransmission", message);
        }
        Retransmission {
            initial,
            backoff_percent: given.backoff_percent.unwrap_or(default.backoff_percent),
            max,
            tries: given.tries.unwrap_or(default.tries),
        }
    }

    fn initiate(&mut self, given: &document::Initiate) -> Initiate {
        Initiate {
            remote: given.remote.value,
            remote_identity: given.identity.value.clone(),
            secret: self.secret("templates.initiate", &given.secret),
        }
    }
}

fn selectors(given: &[At<TrafficSelector>]) -> Vec<TrafficSelector> {
    if given.is_empty() {
        return vec![TrafficSelector::any_v4(), TrafficSelector::any_v6()];
    }
    given.iter().map(|at| at.value).collect()
}
