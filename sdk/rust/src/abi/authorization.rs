//! `authorization.authorize`.

use super::List;
use super::plugin::Instance;
use crate::PeerAuthorization;
use crate::authorization::{self, Grant, Verdict};

type Text = List<u8>;

/// `request`.
#[repr(C)]
struct Request {
    tenant: Text,
    template: Text,
    identity: Text,
    identity_kind: Text,
    method: Text,
    address: Text,
    port: u16,
    behind_nat: bool,
    remote_selectors: List<Text>,
    local_selectors: List<Text>,
    identity_devices: u32,
    tenant_devices: u32,
    ups: u32,
    downs: u32,
    now_unix_s: u64,
    ext: List<Pair>,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Pair {
    name: Text,
    value: Text,
}

impl Request {
    /// # Safety
    /// The host lowered it for this call, and `'a` ends with the call.
    unsafe fn typed<'a>(&self) -> authorization::Request<'a> {
        // SAFETY: see above.
        let text = |text: Text| unsafe { text.text() };
        // SAFETY: as above.
        let texts = |list: List<Text>| unsafe { list.get() }.iter().map(|t| text(*t)).collect();
        // SAFETY: as above.
        let ext = unsafe { self.ext.get() }.iter();
        authorization::Request {
            tenant: text(self.tenant),
            template: text(self.template),
            identity: text(self.identity),
            identity_kind: text(self.identity_kind),
            method: text(self.method),
            address: text(self.address),
            port: self.port,
            behind_nat: self.behind_nat,
            remote_selectors: texts(self.remote_selectors),
            local_selectors: texts(self.local_selectors),
            identity_devices: self.identity_devices,
            tenant_devices: self.tenant_devices,
            ups: self.ups,
            downs: self.downs,
            now_unix_s: self.now_unix_s,
            ext: ext.map(|p| (text(p.name), text(p.value))).collect(),
        }
    }
}

/// `verdict`: the case, and a grant or a denial.
#[repr(C)]
struct Lowered {
    denied: bool,
    value: Value,
}

#[repr(C)]
union Value {
    grant: LoweredGrant,
    denial: Denial,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct LoweredGrant {
    remote_selectors: List<Text>,
    local_selectors: List<Text>,
    limited: bool,
    lifetime_s: u64,
    attributes: List<Pair>,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Denial {
    code: Text,
    detail: Text,
}

const ALL: LoweredGrant = LoweredGrant {
    remote_selectors: List::NONE,
    local_selectors: List::NONE,
    limited: false,
    lifetime_s: 0,
    attributes: List::NONE,
};

/// The verdict, the lists in it, and its form for the host.
pub struct Answer {
    typed: Option<Verdict>,
    remote: Vec<Text>,
    local: Vec<Text>,
    attributes: Vec<Pair>,
    lowered: Lowered,
}

impl Answer {
    pub const fn new() -> Self {
        Self {
            typed: None,
            remote: Vec::new(),
            local: Vec::new(),
            attributes: Vec::new(),
            lowered: Lowered {
                denied: false,
                value: Value { grant: ALL },
            },
        }
    }

    fn set(&mut self, verdict: Verdict) {
        let (denied, value) = match self.typed.insert(verdict) {
            Verdict::Allow(grant) => {
                let texts = |all: &[String]| all.iter().map(|t| of(t)).collect();
                let Grant {
                    remote_selectors,
                    local_selectors,
                    lifetime_s,
                    attributes,
                } = grant;
                self.remote = texts(remote_selectors);
                self.local = texts(local_selectors);
                let pair = |(name, value): &(String, String)| Pair {
                    name: of(name),
                    value: of(value),
                };
                self.attributes = attributes.iter().map(pair).collect();
                let grant = LoweredGrant {
                    remote_selectors: List::of(&self.remote),
                    local_selectors: List::of(&self.local),
                    limited: lifetime_s.is_some(),
                    lifetime_s: lifetime_s.unwrap_or(0),
                    attributes: List::of(&self.attributes),
                };
                (false, Value { grant })
            }
            Verdict::Deny(denial) => {
                let denial = Denial {
                    code: of(&denial.code),
                    detail: of(&denial.detail),
                };
                (true, Value { denial })
            }
        };
        self.lowered = Lowered { denied, value };
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::new()
    }
}

fn of(text: &str) -> Text {
    List::of(text.as_bytes())
}

/// # Safety
/// The host calls with the request that it lowered.
pub unsafe fn authorize<P: PeerAuthorization>(
    instance: &mut Instance<P, Answer>,
    request: *const u8,
) -> *const u8 {
    // SAFETY: see above.
    let request = unsafe { (*request.cast::<Request>()).typed() };
    let answer = instance.ask(|policy, answer| answer.set(policy.authorize(&request)));
    (&raw const answer.lowered).cast()
}
