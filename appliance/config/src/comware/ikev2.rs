//! Commands that begin with `ikev2`, and those of the views that they open.

use super::algorithms::{IKE_DH, IKE_ENCRYPTION, IKE_INTEGRITY, IKE_PRF, all};
use super::args::{Args, Done, Fault, Outcome};
use super::model::{Config, Dpd, IkePolicy, LocalMatch, Peer, Profile, Proposal, VrfMatch, open};
use super::view::{Opened, View};
use crate::problem::{At, Place};
use crate::values::{identity_text, pattern_text};
use hawser_policy::{DpdMode, Identity, IdentityPattern, TrafficSelector};
use std::time::Duration;
use zeroize::Zeroizing;

/// A command of system view.
pub(super) fn system(config: &mut Config, args: &mut Args<'_>) -> Opened {
    const COMMANDS: [&str; 8] = [
        "dpd",
        "nat-keepalive",
        "cookie-challenge",
        "limit",
        "keychain",
        "profile",
        "proposal",
        "policy",
    ];
    let word = args.word("a command behind `ikev2`")?;
    let view = match word.text {
        "keychain" => View::Keychain(open(&mut config.keychains, args.name("the name")?)),
        "profile" => View::Profile(open(&mut config.profiles, args.name("the name")?)),
        "proposal" => View::Proposal(open(&mut config.proposals, args.name("the name")?)),
        "policy" => View::IkePolicy(open(&mut config.ike_policies, args.name("the name")?)),
        "dpd" => {
            config.global.dpd = Some(dpd(args)?);
            View::System
        }
        "nat-keepalive" => {
            config.global.nat_keepalive = Some(nat_keepalive(args)?);
            View::System
        }
        "cookie-challenge" => {
            let number = args.number("the number of half-open IKE SAs", 0..=1000)?;
            config.global.cookie_challenge = Some(number.value);
            View::System
        }
        "limit" => return limit(config, args).map(|done| (View::System, done)),
        "address-group" | "ipv6-address-group" => {
            return Err(Fault::unsupported(
                word.place,
                "giving addresses to branches",
            ));
        }
        _ => return Err(Fault::unknown(word, "command", &COMMANDS)),
    };
    Ok((view, Done::Taken))
}

fn limit(config: &mut Config, args: &mut Args<'_>) -> Outcome {
    match args.one_of(&["max-negotiating-sa", "max-sa"])? {
        0 => {
            let number = args.number("the number of half-open IKE SAs", 1..=99_999)?;
            config.global.max_negotiating = Some(number.value);
            Ok(Done::Taken)
        }
        _ => Ok(Done::NoEffect("the number of IKE SAs is not limited")),
    }
}

/// `[dpd] interval N [retry S] {on-demand|periodic}`, ranges as the case has them.
fn dpd(args: &mut Args<'_>) -> Result<Dpd, Fault> {
    let place = args.place();
    args.one_of(&["interval"])?;
    let interval = args.number("the DPD interval", 10..=3600_u64)?;
    let retry = match args.take("retry") {
        true => Some(args.number("the DPD retry interval", 2..=60_u64)?),
        false => None,
    };
    let mode = match args.one_of(&["on-demand", "periodic"])? {
        0 => DpdMode::OnDemand,
        _ => DpdMode::Periodic,
    };
    if let Some(retry) = retry.as_ref().filter(|r| r.value >= interval.value) {
        let message = format!(
            "the DPD interval ({} s) must exceed the retry interval ({} s)",
            interval.value, retry.value
        );
        return Err(Fault::new(retry.place, message));
    }
    let retry = retry.map(|r| Duration::from_secs(r.value));
    Ok(Dpd {
        place,
        mode,
        interval: Duration::from_secs(interval.value),
        retry,
    })
}

fn nat_keepalive(args: &mut Args<'_>) -> Result<Duration, Fault> {
    let seconds = args.number("the NAT keepalive interval", 5..=3600)?;
    Ok(Duration::from_secs(seconds.value))
}

/// A command of keychain view: it opens the view of a peer.
pub(super) fn keychain(
    config: &mut Config,
    index: usize,
    args: &mut Args<'_>,
) -> Result<View, Fault> {
    let word = args.word("a command")?;
    if word.text != "peer" {
        return Err(Fault::unknown(word, "command", &["peer"]));
    }
    let peer = open(
        &mut config.keychains[index].peers,
        args.name("the name of the peer")?,
    );
    Ok(View::Peer(index, peer))
}

/// `peer` in peer view begins the next peer of the same keychain.
pub(super) fn next_peer(
    config: &mut Config,
    index: usize,
    args: &mut Args<'_>,
) -> Option<Result<View, Fault>> {
    (args.peek() == Some("peer")).then(|| keychain(config, index, args))
}

/// A command of peer view.
pub(super) fn peer(peer: &mut Peer, args: &mut Args<'_>) -> Outcome {
    const COMMANDS: [&str; 5] = ["address", "hostname", "identity", "pre-shared-key", "peer"];
    let word = args.word("a command")?;
    match word.text {
        "address" => peer.address = Some(args.network("the peer's address")?.value),
        "hostname" => {
            return Ok(Done::NoEffect(
                "a peer that waits to be called needs no host name",
            ));
        }
        "identity" => peer.identity = Some(exact(args)?.value),
        "pre-shared-key" => return pre_shared_key(peer, args),
        "description" => return described(args),
        _ => return Err(Fault::unknown(word, "command", &COMMANDS)),
    }
    Ok(Done::Taken)
}

/// `pre-shared-key [local|remote] {plaintext|simple|ciphertext|cipher} KEY`. No message shows the key.
fn pre_shared_key(peer: &mut Peer, args: &mut Args<'_>) -> Outcome {
    let (local, remote) = (args.take("local"), args.take("remote"));
    let form = args.word("`plaintext` and the key")?;
    match form.text {
        "plaintext" | "simple" => {}
        "ciphertext" | "cipher" => {
            let message = "only the device itself can read a `ciphertext` key: write \
                           `pre-shared-key plaintext KEY` here, or keep the configuration in \
                           TOML, where `secret_file` or `secret_env` says where the key is";
            return Err(Fault::new(form.place, message));
        }
        _ => {
            let message = "expected `plaintext` or `ciphertext` before the key";
            return Err(Fault::new(form.place, message));
        }
    }
    let key = args.word("the key")?;
    if !(1..=128).contains(&key.text.len()) || !args.is_empty() {
        return Err(Fault::new(
            key.place,
            "the key must be one word of 1 to 128 characters",
        ));
    }
    let key = At::new(key.place, Zeroizing::new(key.text.as_bytes().to_vec()));
    if !remote {
        peer.local_secret = Some(key.clone());
    }
    if !local {
        peer.remote_secret = Some(key);
    }
    Ok(Done::Taken)
}

/// A command of profile view.
pub(super) fn profile(profile: &mut Profile, args: &mut Args<'_>) -> Outcome {
    const COMMANDS: [&str; 9] = [
        "authentication-method",
        "keychain",
        "identity",
        "match",
        "inside-vrf",
        "sa",
        "nat-keepalive",
        "dpd",
        "priority",
    ];
    let word = args.word("a command")?;
    match word.text {
        "authentication-method" => authentication_method(profile, args)?,
        "keychain" => profile.keychain = Some(args.name("the name of the keychain")?),
        "identity" => {
            args.one_of(&["local"])?;
            profile.identity = Some(exact(args)?);
        }
        "match" => profile_match(profile, args)?,
        "inside-vrf" => {
            args.take("name");
            profile.inside_vrf = Some(args.name("the name of the VPN instance")?);
        }
        "sa" => {
            args.one_of(&["duration"])?;
            let seconds = args.number("the lifetime of the IKE SA", 120..=86_400)?;
            profile.sa_duration = Some(Duration::from_secs(seconds.value));
        }
        "nat-keepalive" => profile.nat_keepalive = Some(nat_keepalive(args)?),
        "dpd" => profile.dpd = Some(dpd(args)?),
        "priority" => profile.priority = Some(priority(args)?),
        "description" => return described(args),
        "config-exchange" | "aaa" | "certificate" => {
            return Err(Fault::unsupported(word.place, format!("`{}`", word.text)));
        }
        _ => return Err(Fault::unknown(word, "command", &COMMANDS)),
    }
    Ok(Done::Taken)
}

fn authentication_method(profile: &mut Profile, args: &mut Args<'_>) -> Result<(), Fault> {
    const METHODS: [&str; 4] = [
        "pre-share",
        "rsa-signature",
        "dsa-signature",
        "ecdsa-signature",
    ];
    let local = args.one_of(&["local", "remote"])? == 0;
    let method = args.word("the method")?;
    if method.text != "pre-share" {
        if METHODS.contains(&method.text) {
            let what = format!("`{}` (only `pre-share` is)", method.text);
            return Err(Fault::unsupported(method.place, what));
        }
        return Err(Fault::unknown(method, "method", &METHODS));
    }
    if local {
        profile.local_pre_share = true;
    } else {
        profile.remote_pre_share = true;
    }
    Ok(())
}

fn profile_match(profile: &mut Profile, args: &mut Args<'_>) -> Result<(), Fault> {
    match args.one_of(&["local", "remote", "vrf"])? {
        0 => profile.match_local.push(local_match(args)?),
        1 => match args.one_of(&["identity", "certificate"])? {
            0 => profile.match_remote.extend(patterns(args)?),
            _ => return Err(Fault::unsupported(args.place(), "matching certificates")),
        },
        _ => profile.match_vrf = Some(vrf_match(args)?),
    }
    Ok(())
}

/// `match local [address] {ADDRESS|ipv6 ADDRESS|INTERFACE}`.
fn local_match(args: &mut Args<'_>) -> Result<LocalMatch, Fault> {
    args.take("address");
    let letters = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic());
    let placeholder = |word: &str| word.to_ascii_lowercase().starts_with("x.");
    match args.peek() {
        Some(word) if word != "ipv6" && letters(word) && !placeholder(word) => {
            super::interface::name(args).map(LocalMatch::Interface)
        }
        _ => args.address("our address").map(LocalMatch::Address),
    }
}

fn vrf_match(args: &mut Args<'_>) -> Result<VrfMatch, Fault> {
    match args.one_of(&["name", "any"])? {
        0 => args
            .name("the name of the VPN instance")
            .map(VrfMatch::Name),
        _ => Ok(VrfMatch::Any),
    }
}

fn priority(args: &mut Args<'_>) -> Result<u16, Fault> {
    args.number("the priority", 1..=65_535).map(|at| at.value)
}

/// A command of proposal view.
pub(super) fn proposal(proposal: &mut Proposal, args: &mut Args<'_>) -> Outcome {
    const COMMANDS: [&str; 4] = ["encryption", "integrity", "prf", "dh"];
    let word = args.word("a command")?;
    match word.text {
        "encryption" => proposal.encryption = all(args, "encryption algorithm", IKE_ENCRYPTION)?,
        "integrity" => proposal.integrity = all(args, "integrity algorithm", IKE_INTEGRITY)?,
        "prf" => proposal.prf = all(args, "PRF", IKE_PRF)?,
        "dh" => proposal.dh = all(args, "group", IKE_DH)?,
        _ => return Err(Fault::unknown(word, "command", &COMMANDS)),
    }
    Ok(Done::Taken)
}

/// A command of the view of an IKEv2 policy.
pub(super) fn policy(policy: &mut IkePolicy, args: &mut Args<'_>) -> Outcome {
    const COMMANDS: [&str; 3] = ["proposal", "match", "priority"];
    let word = args.word("a command")?;
    match word.text {
        "proposal" => policy
            .proposals
            .push(args.name("the name of the proposal")?),
        "match" => match args.one_of(&["local", "vrf"])? {
            0 => policy.match_local.push(local_match(args)?),
            _ => policy.match_vrf = Some(vrf_match(args)?),
        },
        "priority" => policy.priority = Some(priority(args)?),
        _ => return Err(Fault::unknown(word, "command", &COMMANDS)),
    }
    Ok(Done::Taken)
}

/// `description ...`, which every view may have.
pub(super) fn described(args: &mut Args<'_>) -> Outcome {
    args.rest();
    Ok(Done::Taken)
}

const IDENTITY_KINDS: [&str; 5] = ["address", "fqdn", "email", "key-id", "dn"];

/// `{address A|fqdn X|email X|key-id X}`: an identity.
fn exact(args: &mut Args<'_>) -> Result<At<Identity>, Fault> {
    let kind = args.one_of(&IDENTITY_KINDS)?;
    if kind == 0 {
        return Ok(args.address("the address")?.map(Identity::from_ip));
    }
    let at = named_identity(kind, args)?;
    if identity_text(&at.value).is_none() || at.value.to_string().contains('*') {
        return Err(Fault::new(at.place, "no peer can have this identity"));
    }
    Ok(at)
}

/// Every identity but an address.
fn named_identity(kind: usize, args: &mut Args<'_>) -> Result<At<Identity>, Fault> {
    if kind == 4 {
        return Err(Fault::unsupported(
            args.place(),
            "a distinguished name as identity",
        ));
    }
    let word = args.word("the name")?;
    let text = word.text.to_owned();
    let identity = match kind {
        1 => Identity::Fqdn(text),
        2 if !text.contains('@') => {
            return Err(Fault::new(
                word.place,
                format!("`{text}` is not an e-mail address"),
            ));
        }
        2 => Identity::Email(text),
        _ => Identity::KeyId(text.into_bytes()),
    };
    Ok(At::new(word.place, identity))
}

/// What `match remote identity` and names with `*` speak of.
fn patterns(args: &mut Args<'_>) -> Result<Vec<At<IdentityPattern>>, Fault> {
    let kind = args.one_of(&IDENTITY_KINDS)?;
    if kind == 0 {
        return address_patterns(args);
    }
    let At { place, value } = named_identity(kind, args)?;
    let pattern = match &value {
        Identity::Fqdn(name) | Identity::Email(name) if name.contains('*') => {
            IdentityPattern::parse(name).filter(|p| *p != IdentityPattern::Any)
        }
        _ => Some(IdentityPattern::Exact(value)),
    };
    match pattern.filter(|p| pattern_text(p).is_some()) {
        Some(pattern) => Ok(vec![At::new(place, pattern)]),
        None => Err(Fault::new(place, "no peer can have this identity")),
    }
}

/// `address {A [MASK]|range LOW HIGH}`, of either family.
fn address_patterns(args: &mut Args<'_>) -> Result<Vec<At<IdentityPattern>>, Fault> {
    if args.peek() != Some("range") {
        let At { place, value } = args.network("the peer's address")?;
        return Ok(vec![At::new(place, network_pattern(value))]);
    }
    args.take("range");
    let (low, high) = (
        args.address("the first address")?,
        args.address("the last address")?,
    );
    let place: Place = low.place;
    if low.value.is_ipv4() != high.value.is_ipv4() || low.value > high.value {
        return Err(Fault::new(
            place,
            "the first address must not be above the last one",
        ));
    }
    let range = TrafficSelector {
        start: low.value,
        end: high.value,
        ..TrafficSelector::any_v4()
    };
    Ok(range
        .to_nets()
        .into_iter()
        .map(|net| At::new(place, network_pattern(net)))
        .collect())
}

/// A single address is the identity itself.
fn network_pattern(net: ipnet::IpNet) -> IdentityPattern {
    if net.prefix_len() == net.max_prefix_len() {
        IdentityPattern::Exact(Identity::from_ip(net.addr()))
    } else {
        IdentityPattern::Network(net)
    }
}
