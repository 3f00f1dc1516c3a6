//! Commands that begin with `ipsec`, and those of the views that they open.

use super::algorithms::{ESP_AUTHENTICATION, ESP_ENCRYPTION, PFS, all, one};
use super::args::{Args, Done, Fault, Outcome};
use super::ikev2::described;
use super::model::{
    Config, EsnChoice, IpsecPolicy, PolicyKind, PolicyName, SaDuration, SecurityAcl, TransformSet,
    open,
};
use super::view::{Opened, View};
use crate::problem::At;
use std::time::Duration;

const IDLE: &str = "an SA lives as long as its peer";
const ROUTES: &str = "routes to the branches are always installed";

/// A command of system view.
pub(super) fn system(config: &mut Config, args: &mut Args<'_>) -> Opened {
    const COMMANDS: [&str; 13] = [
        "transform-set",
        "policy",
        "policy-template",
        "ipv6-policy",
        "ipv6-policy-template",
        "apply",
        "sa",
        "anti-replay",
        "df-bit",
        "fragmentation",
        "limit",
        "logging",
        "decrypt-check",
    ];
    let word = args.word("a command behind `ipsec`")?;
    let done = match word.text {
        "transform-set" => {
            let set = open(&mut config.transform_sets, args.name("the name")?);
            return Ok((View::TransformSet(set), Done::Taken));
        }
        "policy" | "ipv6-policy" => return open_policy(config, word.text == "ipv6-policy", args),
        "policy-template" | "ipv6-policy-template" => {
            return open_template(config, word.text == "ipv6-policy-template", args);
        }
        "sa" => global_sa(config, args)?,
        "anti-replay" => anti_replay(config, args)?,
        "df-bit" | "global-df-bit" | "fragmentation" => {
            Done::NoEffect("DF and fragments are handled as RFC 4301 says")
        }
        "limit" => Done::NoEffect("the number of tunnels is not limited"),
        "logging" => Done::NoEffect("every drop is recorded anyway"),
        "decrypt-check" => Done::NoEffect("decrypted packets are always checked"),
        "redundancy" => Done::NoEffect("there is no standby yet"),
        "profile" => return Err(Fault::unsupported(word.place, "`ipsec profile`")),
        _ => return Err(Fault::unknown(word, "command", &COMMANDS)),
    };
    Ok((View::System, done))
}

/// `ipsec sa {global-duration ...|idle-time S}`.
fn global_sa(config: &mut Config, args: &mut Args<'_>) -> Result<Done, Fault> {
    if args.one_of(&["global-duration", "idle-time"])? == 1 {
        return Ok(Done::NoEffect(IDLE));
    }
    sa_duration(&mut config.global.sa, args)?;
    Ok(Done::Taken)
}

fn anti_replay(config: &mut Config, args: &mut Args<'_>) -> Result<Done, Fault> {
    if args.one_of(&["check", "window"])? == 0 {
        config.global.replay_off = false;
    } else {
        let window = args.number("the anti-replay window", 64..=65_536_u32)?;
        if !window.value.is_power_of_two() {
            return Err(Fault::new(
                window.place,
                "the anti-replay window is no power of two",
            ));
        }
        config.global.replay_window = Some(window.value);
    }
    Ok(Done::Taken)
}

/// `{time-based S|traffic-based K}`.
fn sa_duration(duration: &mut SaDuration, args: &mut Args<'_>) -> Result<(), Fault> {
    if args.one_of(&["time-based", "traffic-based"])? == 0 {
        let seconds = args.number("the lifetime in seconds", 180..=604_800)?;
        duration.time = Some(Duration::from_secs(seconds.value));
    } else {
        let kilobytes = args.number("the lifetime in kilobytes", 2560..=4_294_967_295_u64)?;
        duration.kilobytes = Some(kilobytes.value);
    }
    Ok(())
}

/// `ipsec policy NAME SEQ {isakmp [template T]|manual}`, or `ipsec policy NAME local-address ...`.
fn open_policy(config: &mut Config, ipv6: bool, args: &mut Args<'_>) -> Opened {
    let name = args.name("the name of the policy")?;
    let name = name.map(|name| PolicyName { ipv6, name });
    if args.peek() == Some("local-address") {
        return Ok((
            View::System,
            Done::NoEffect("the policy's own addresses are used"),
        ));
    }
    let sequence = args.number("the sequence number", 1..=65_535)?.value;
    let known = |p: &IpsecPolicy| {
        !p.is_template() && p.name.value.is(&name.value) && p.sequence == sequence
    };
    if let (true, Some(index)) = (
        args.is_empty(),
        config.ipsec_policies.iter().position(known),
    ) {
        return Ok((View::Ipsec(index), Done::Taken));
    }
    if args.one_of(&["isakmp", "manual"])? == 1 {
        return Err(Fault::unsupported(args.place(), "a manual policy"));
    }
    if !args.take("template") {
        let index = config.open_ipsec(name, sequence, PolicyKind::Isakmp);
        return Ok((View::Ipsec(index), Done::Taken));
    }
    let template = args.name("the name of the policy template")?;
    let place = name.place;
    let index = config.open_ipsec(name, sequence, PolicyKind::ByTemplate(template));
    if config.ipsec_policies[index].profile.is_some() {
        return Err(Fault::new(
            place,
            "the policy has settings of its own already",
        ));
    }
    Ok((View::System, Done::Taken))
}

fn open_template(config: &mut Config, ipv6: bool, args: &mut Args<'_>) -> Opened {
    let name = args.name("the name of the policy template")?;
    let name = name.map(|name| PolicyName { ipv6, name });
    let sequence = args.number("the sequence number", 1..=65_535)?.value;
    let index = config.open_ipsec(name, sequence, PolicyKind::Template);
    Ok((View::Ipsec(index), Done::Taken))
}

impl Config {
    /// The entry of this name and sequence number, made if it is not there.
    fn open_ipsec(&mut self, name: At<PolicyName>, sequence: u16, kind: PolicyKind) -> usize {
        let template = matches!(kind, PolicyKind::Template);
        let known = |p: &IpsecPolicy| {
            p.is_template() == template && p.name.value.is(&name.value) && p.sequence == sequence
        };
        if let Some(index) = self.ipsec_policies.iter().position(known) {
            self.ipsec_policies[index].kind = kind;
            return index;
        }
        self.ipsec_policies.push(IpsecPolicy {
            name,
            sequence,
            kind,
            faulty: false,
            transform_sets: Vec::new(),
            local: None,
            remote: None,
            profile: None,
            acl: None,
            sa: SaDuration::default(),
        });
        self.ipsec_policies.len() - 1
    }
}

impl IpsecPolicy {
    /// Whether it is an entry of a policy template.
    pub(super) fn is_template(&self) -> bool {
        matches!(self.kind, PolicyKind::Template)
    }

    /// What problems call it.
    pub(super) fn title(&self) -> String {
        let (word, name) = (self.name.value.word(), &self.name.value.name);
        let suffix = if self.is_template() { "-template" } else { "" };
        format!("ipsec {word}{suffix} {name} {}", self.sequence)
    }
}

/// A command of the view of an IPsec policy or policy template.
pub(super) fn policy(policy: &mut IpsecPolicy, args: &mut Args<'_>) -> Outcome {
    const COMMANDS: [&str; 8] = [
        "transform-set",
        "ikev2-profile",
        "local-address",
        "remote-address",
        "security",
        "sa",
        "reverse-route",
        "description",
    ];
    let word = args.word("a command")?;
    match word.text {
        "transform-set" => {
            policy.transform_sets = vec![args.name("the name of the transform set")?];
            while !args.is_empty() {
                policy
                    .transform_sets
                    .push(args.name("the name of the transform set")?);
            }
        }
        "ikev2-profile" => policy.profile = Some(args.name("the name of the profile")?),
        "local-address" => policy.local = Some(args.address("our address")?),
        "remote-address" => {
            policy.remote = Some(args.address("the peer's address")?);
            args.take("primary");
        }
        "security" => policy.acl = Some(security_acl(args)?),
        "sa" => return policy_sa(policy, args),
        "description" => return described(args),
        "reverse-route" => return Ok(Done::NoEffect(ROUTES)),
        "qos" => {
            return Ok(Done::NoEffect(
                "packets are not classified before they are sealed",
            ));
        }
        "tfc" => {
            return Ok(Done::NoEffect(
                "packets are not padded to hide their length",
            ));
        }
        "ike-profile" => {
            let message = "IKEv1 is not spoken here: name an `ikev2-profile`";
            return Err(Fault::new(word.place, message));
        }
        _ => return Err(Fault::unknown(word, "command", &COMMANDS)),
    }
    Ok(Done::Taken)
}

fn policy_sa(policy: &mut IpsecPolicy, args: &mut Args<'_>) -> Outcome {
    match args.one_of(&["duration", "idle-time", "trigger-mode"])? {
        0 => sa_duration(&mut policy.sa, args).map(|()| Done::Taken),
        1 => Ok(Done::NoEffect(IDLE)),
        _ => Ok(Done::NoEffect("tunnels are brought up at once")),
    }
}

/// `security acl [ipv6] {NUMBER|name NAME} [aggregation|per-host]`.
fn security_acl(args: &mut Args<'_>) -> Result<SecurityAcl, Fault> {
    args.one_of(&["acl"])?;
    args.take("ipv6");
    args.take("name");
    let name = args.name("the ACL")?;
    let aggregate = args.take("aggregation");
    if args.take("per-host") {
        return Err(Fault::unsupported(args.place(), "`per-host`"));
    }
    Ok(SecurityAcl { name, aggregate })
}

/// A command of the view of a transform set.
pub(super) fn transform_set(set: &mut TransformSet, args: &mut Args<'_>) -> Outcome {
    const COMMANDS: [&str; 5] = ["esp", "protocol", "encapsulation-mode", "pfs", "esn"];
    let word = args.word("a command")?;
    match word.text {
        "esp" => {
            if args.one_of(&["encryption-algorithm", "authentication-algorithm"])? == 0 {
                set.encryption = all(args, "encryption algorithm", ESP_ENCRYPTION)?;
            } else {
                set.authentication = all(args, "authentication algorithm", ESP_AUTHENTICATION)?;
            }
        }
        "protocol" => {
            if args.one_of(&["esp", "ah", "ah-esp"])? != 0 {
                return Err(Fault::unsupported(args.place(), "AH"));
            }
        }
        "encapsulation-mode" => {
            if args.one_of(&["tunnel", "auto", "transport"])? == 2 {
                return Err(Fault::unsupported(args.place(), "transport mode"));
            }
        }
        "pfs" => set.pfs = Some(one(args.word("the group")?, "group", PFS)?),
        "esn" => {
            args.one_of(&["enable"])?;
            set.esn = Some(if args.take("both") {
                EsnChoice::Both
            } else {
                EsnChoice::Only
            });
        }
        "ah" => return Err(Fault::unsupported(word.place, "AH")),
        "description" => return described(args),
        _ => return Err(Fault::unknown(word, "command", &COMMANDS)),
    }
    Ok(Done::Taken)
}
