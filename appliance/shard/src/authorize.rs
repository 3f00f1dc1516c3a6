//! Authorization of authenticated peers by plugins: after the device is found, before the grant.
//!
//! Only what narrows comes back. Without an answer in time a new SA is refused, or, where the
//! template says so, let in as asked for, and an event says that it was. SAs that stand, and rekeys
//! of theirs, which cannot widen them, are not asked about.

use crate::Shard;
use crate::asks::Asker;
use crate::hooks::{Allowed, AuthorizeRequest, Authorized, DecidedBy, Grant};
use crate::io::{DeviceId, Question};
use crate::placing::Home;
use hawser_flight::{Event, HandshakeFailure, PeerLabel};
use hawser_ike::IkeSa;
use hawser_ike::io::{AuthRequest, ChildRefusal, ChildRequest, Output as IkeOutput};
use hawser_policy::Identity;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer may take before the fallback decides. A branch sends its IKE_AUTH again
/// after some seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

const HOOK: &str = "peer-authorization";

impl Shard {
    /// The home of an authenticated IKE SA is known: a plugin may have to allow it.
    pub(crate) fn authorize(
        &mut self,
        now: Instant,
        sa: Box<IkeSa>,
        request: AuthRequest,
        home: Home,
    ) {
        let asked = as_asked(request.child.as_ref());
        match self.authorization_of(now, &sa, &request.identity, &asked) {
            Some(question) => {
                let asker = Asker::Authorize(sa, request, home);
                self.ask(now, asker, Question::Authorize(Box::new(question)));
            }
            None => {
                let events = Vec::new();
                let allowed = Allowed {
                    grant: asked,
                    events,
                };
                self.move_in(now, sa, request, home, allowed);
            }
        }
    }

    /// What a plugin is asked; `None`: none decides here.
    fn authorization_of(
        &self,
        now: Instant,
        sa: &IkeSa,
        identity: &Identity,
        asked: &Grant,
    ) -> Option<AuthorizeRequest> {
        let template = sa.template();
        let tenant_name = &self.policy.tenant(template.tenant).name;
        if !self.hooks.authorizes(tenant_name, &template.name) {
            return None;
        }
        Some(AuthorizeRequest {
            tenant: template.tenant,
            tenant_name: Arc::clone(tenant_name),
            template: Arc::clone(&template.name),
            identity: identity.clone(),
            endpoint: sa.path().remote,
            behind_nat: sa.nat().peer,
            local: asked.local.clone(),
            remote: asked.remote.clone(),
            lifetime: template.ike_lifetimes.time,
            until: now + PATIENCE,
        })
    }

    /// The answer about an IKE_AUTH.
    pub(crate) fn authorized(
        &mut self,
        now: Instant,
        sa: Box<IkeSa>,
        request: AuthRequest,
        home: Home,
        answer: Authorized,
    ) {
        let asked = as_asked(request.child.as_ref());
        let admit = sa.template().upkeep.admit_undecided;
        let (grant, events) = judge(answer, asked, admit);
        match grant {
            Some(grant) => self.move_in(now, sa, request, home, Allowed { grant, events }),
            None => self.turn_away(now, *sa, &request, home, events),
        }
    }

    /// AUTHENTICATION_FAILED: from outside not to be told from a wrong secret.
    fn turn_away(
        &mut self,
        now: Instant,
        mut sa: IkeSa,
        request: &AuthRequest,
        home: Home,
        events: Vec<Event>,
    ) {
        let half_open = self.placing.remove(&sa.local_spi());
        self.tell_decisions(&sa, &request.identity, home.device(), events);
        let identity = Some(request.identity.to_string());
        self.handshake_failed(now, sa.path(), identity, HandshakeFailure::NotAuthorized);
        sa.refuse(&mut crate::env!(self, now), ChildRefusal::NotAuthorized);
        let mut answer = Vec::new();
        while let Some(output) = sa.poll_output() {
            if let IkeOutput::Transmit { path, message } = output {
                self.transmit(path, &message);
                answer.push(message);
            }
        }
        if let Some(key) = half_open {
            self.responders.refused(key, sa.local_spi(), answer);
        }
        self.shutdown_progress();
    }

    /// Records what was decided about an IKE SA that is no device's yet.
    pub(crate) fn tell_decisions(
        &mut self,
        sa: &IkeSa,
        identity: &Identity,
        device: Option<DeviceId>,
        events: Vec<Event>,
    ) {
        let template = sa.template();
        let label = Arc::new(PeerLabel {
            instance: device.map_or(0, |device| device.0),
            tenant: Arc::clone(&self.policy.tenant(template.tenant).name),
            template: Arc::clone(&template.name),
            identity: identity.to_string().into(),
            path: sa.path(),
        });
        for event in events {
            let undecided = matches!(event, Event::PluginUndecided { .. });
            self.counters.hooks_undecided += u64::from(undecided);
            self.event(Some(Arc::clone(&label)), event);
        }
    }

    /// Another Child SA of an authorized peer, which the directory has nothing against.
    pub(crate) fn authorize_child(
        &mut self,
        now: Instant,
        device: DeviceId,
        spi: u64,
        request: ChildRequest,
    ) {
        let key = self.devices.get(&device).copied();
        let Some(sa) = key.and_then(|key| self.peers.get(key)?.find_ike_sa(spi)) else {
            return;
        };
        let asked = as_asked(Some(&request));
        match self.authorization_of(now, sa, sa.remote_identity(), &asked) {
            Some(question) => {
                let asker = Asker::AuthorizeChild {
                    device,
                    spi,
                    request,
                };
                self.ask(now, asker, Question::Authorize(Box::new(question)));
            }
            None => self.child_authorized(now, device, spi, &request, Authorized::Unasked),
        }
    }

    /// The answer about another Child SA. A lifetime is the IKE SA's, which has its own already.
    pub(crate) fn child_authorized(
        &mut self,
        now: Instant,
        device: DeviceId,
        spi: u64,
        request: &ChildRequest,
        answer: Authorized,
    ) {
        let Some(key) = self.devices.get(&device).copied() else {
            return;
        };
        let Some(sa) = self.peers.get_mut(key).and_then(|p| p.ike_sa(spi)) else {
            return;
        };
        let admit = sa.template().upkeep.admit_undecided;
        let (grant, events) = judge(answer, as_asked(Some(request)), admit);
        let mut env = crate::env!(self, now);
        match grant {
            Some(grant) => sa.grant(&mut env, grant.local, grant.remote),
            None => {
                let reason = HandshakeFailure::NotAuthorized;
                sa.refuse(&mut env, ChildRefusal::Selectors(reason));
            }
        }
        for event in events {
            self.peer_event(now, key, spi, event);
        }
        self.drive(now, key);
    }
}

/// What an answer comes to (`None`: nothing is granted), and what is recorded of it.
fn judge(answer: Authorized, asked: Grant, admit: bool) -> (Option<Grant>, Vec<Event>) {
    match answer {
        Authorized::Unasked => (Some(asked), Vec::new()),
        Authorized::Allowed { grant, by } => {
            let left = (&grant.local, &grant.remote, grant.lifetime);
            let decision = match left == (&asked.local, &asked.remote, None) {
                true => "allow".to_owned(),
                false => narrowing(&grant),
            };
            (Some(grant), decided(&by, &decision))
        }
        Authorized::Denied { code, detail, by } => {
            (None, decided(&by, &format!("deny {code}: {detail}")))
        }
        Authorized::Undecided(reason) => {
            let event = Event::PluginUndecided {
                hook: HOOK,
                fallback: if admit { "allowed" } else { "refused" },
                reason,
            };
            (admit.then_some(asked), vec![event])
        }
    }
}

/// Everything that was asked for.
fn as_asked(child: Option<&ChildRequest>) -> Grant {
    let (local, remote) = child
        .map(|c| (c.local.clone(), c.remote.clone()))
        .unwrap_or_default();
    Grant {
        local,
        remote,
        ..Grant::default()
    }
}

/// What is left of what was asked for.
fn narrowing(grant: &Grant) -> String {
    let texts: Vec<String> = grant.remote.iter().map(ToString::to_string).collect();
    let lifetime = grant
        .lifetime
        .map(|time| format!(" for {} s", time.as_secs()));
    format!(
        "narrow to {}{}",
        texts.join(", "),
        lifetime.unwrap_or_default()
    )
}

/// Who decided what: those before the last of a chain have let it pass.
fn decided(by: &[DecidedBy], decision: &str) -> Vec<Event> {
    let last = by.len().saturating_sub(1);
    let event = |(at, by): (usize, &DecidedBy)| Event::PluginDecided {
        hook: HOOK,
        plugin: Arc::clone(&by.plugin),
        version: Arc::clone(&by.version),
        generation: by.generation,
        decision: if at == last { decision } else { "pass" }.to_owned(),
    };
    by.iter().enumerate().map(event).collect()
}
