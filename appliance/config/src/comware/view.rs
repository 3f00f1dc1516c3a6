//! Which view a line belongs to.
//!
//! Pasted text may have lost its indentation, so the lines themselves must tell: `#` and the commands
//! that open a view end the view before; anything else belongs to the view that is open.

use super::args::{Args, Done, Fault, Outcome};
use super::lex::{Line, Word, lines};
use super::model::{Config, PolicyName};
use super::{acl, ikev2, interface, ipsec};
use crate::problem::{Problem, Report};

/// The view that is open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    System,
    /// The view of another feature.
    Other,
    /// A view whose opening was refused: its lines are not judged.
    Refused,
    Keychain(usize),
    Peer(usize, usize),
    Profile(usize),
    Proposal(usize),
    IkePolicy(usize),
    TransformSet(usize),
    Ipsec(usize),
    Interface(usize),
    Acl(usize),
    VpnInstance,
}

/// What a command of system view does: it may open a view.
pub(super) type Opened = Result<(View, Done), Fault>;

const OTHER_FEATURE: &str = "another feature";

/// First words that only the views of IPsec have.
const STRAY: [&str; 9] = [
    "authentication-method",
    "encryption",
    "esp",
    "ikev2-profile",
    "inside-vrf",
    "integrity",
    "pfs",
    "pre-shared-key",
    "transform-set",
];

/// Reads every line of a text.
pub(super) fn read(text: &str, report: &mut Report) -> Config {
    let mut reader = Reader {
        config: Config::default(),
        view: View::System,
        report,
    };
    for line in lines(text) {
        match line {
            Line::Empty => {}
            Line::Separator => reader.view = View::System,
            Line::Command(words) => reader.command(&words),
        }
    }
    reader.config
}

struct Reader<'a> {
    config: Config,
    view: View,
    report: &'a mut Report,
}

impl Reader<'_> {
    fn command(&mut self, words: &[Word<'_>]) {
        match words.first().map(|w| w.text) {
            Some("quit") => self.view = self.view.parent(),
            Some("return" | "system-view") => self.view = View::System,
            _ if is_system(words) => self.system(words),
            _ => self.inside(words),
        }
    }

    /// A command of system view that is ours.
    fn system(&mut self, words: &[Word<'_>]) {
        let mut args = Args::new(words);
        self.view = if opens_view(words) {
            View::Refused
        } else {
            View::System
        };
        let opened = system(&mut self.config, &mut args).and_then(|(view, done)| {
            self.view = view;
            finish(done, &mut args)
        });
        let field = words
            .iter()
            .take(2)
            .map(|w| w.text)
            .collect::<Vec<_>>()
            .join(" ");
        self.say(words, &field, opened);
    }

    /// A command of the open view.
    fn inside(&mut self, words: &[Word<'_>]) {
        let mut args = Args::new(words);
        let field = self.view.title(&self.config);
        let config = &mut self.config;
        let outcome = match self.view {
            View::Refused => return,
            View::System => {
                let stray = stray(words);
                self.view = if stray.is_err() {
                    View::System
                } else {
                    View::Other
                };
                stray
            }
            View::Other | View::VpnInstance => Ok(Done::NoEffect(OTHER_FEATURE)),
            View::Keychain(k) => ikev2::keychain(config, k, &mut args).map(|view| {
                self.view = view;
                Done::Taken
            }),
            View::Peer(k, p) => match ikev2::next_peer(config, k, &mut args) {
                Some(opened) => opened.map(|view| {
                    self.view = view;
                    Done::Taken
                }),
                None => ikev2::peer(&mut config.keychains[k].peers[p], &mut args),
            },
            View::Profile(i) => ikev2::profile(&mut config.profiles[i], &mut args),
            View::Proposal(i) => ikev2::proposal(&mut config.proposals[i], &mut args),
            View::IkePolicy(i) => ikev2::policy(&mut config.ike_policies[i], &mut args),
            View::TransformSet(i) => ipsec::transform_set(&mut config.transform_sets[i], &mut args),
            View::Ipsec(i) => ipsec::policy(&mut config.ipsec_policies[i], &mut args),
            View::Interface(i) => interface::command(&mut config.interfaces[i], &mut args),
            View::Acl(i) => acl::command(&mut config.acls[i], &mut args),
        };
        let outcome = outcome.and_then(|done| finish(done, &mut args));
        if outcome.is_err() {
            self.view.mark_faulty(&mut self.config);
        }
        self.say(words, &field, outcome);
    }

    fn say(&mut self, words: &[Word<'_>], field: &str, outcome: Outcome) {
        match outcome {
            Ok(Done::Taken) => {}
            Ok(Done::NoEffect(why)) => {
                // What follows the first words may be another feature's secret.
                let shown: Vec<&str> = words.iter().take(2).map(|w| w.text).collect();
                let place = words.first().map_or_else(Default::default, |w| w.place);
                self.report
                    .ignored(place, format!("`{}`: {why}", shown.join(" ")));
            }
            Err(Fault {
                place,
                message,
                suggestion,
            }) => {
                self.report.add(Problem {
                    suggestion,
                    ..Problem::new(place, field, message)
                });
            }
        }
    }
}

/// A command that was taken must have no words left.
fn finish(done: Done, args: &mut Args<'_>) -> Outcome {
    if matches!(done, Done::Taken) {
        args.end()?;
    }
    Ok(done)
}

/// Whether the line is a command of system view that IPsec needs.
fn is_system(words: &[Word<'_>]) -> bool {
    let second = words.get(1).map_or("", |w| w.text);
    match words.first().map_or("", |w| w.text) {
        "ike" | "ikev2" | "interface" => true,
        "ipsec" => second != "apply",
        "acl" => !second.starts_with(|c: char| c.is_ascii_digit()),
        "ip" => second == "vpn-instance",
        "undo" => matches!(second, "ike" | "ikev2" | "ipsec"),
        _ => false,
    }
}

/// Whether a command of system view opens a view, well or ill.
fn opens_view(words: &[Word<'_>]) -> bool {
    let second = words.get(1).map_or("", |w| w.text);
    const SETTINGS: [&str; 4] = ["dpd", "nat-keepalive", "cookie-challenge", "limit"];
    match words.first().map_or("", |w| w.text) {
        "ikev2" => !SETTINGS.contains(&second),
        "ipsec" => second.contains("policy") || matches!(second, "transform-set" | "profile"),
        "undo" => false,
        _ => true,
    }
}

fn system(config: &mut Config, args: &mut Args<'_>) -> Opened {
    let word = args.word("a command")?;
    match word.text {
        "ikev2" => ikev2::system(config, args),
        "ipsec" => ipsec::system(config, args),
        "interface" => interface::open(config, args),
        "acl" => acl::open(config, args),
        "ip" => interface::vpn_instance(config, args),
        "undo" => undo(config, args),
        _ => Err(Fault::new(
            word.place,
            "IKEv1 is not spoken here: give the peers an `ikev2 profile`, or remove the line",
        )),
    }
}

fn undo(config: &mut Config, args: &mut Args<'_>) -> Opened {
    let word = args.word("a command")?;
    let rest: Vec<&str> = args.rest().iter().map(|w| w.text).collect();
    match (word.text, rest.as_slice()) {
        ("ikev2", ["dpd", ..]) => config.global.dpd = None,
        ("ikev2", ["cookie-challenge"]) => config.global.cookie_challenge = None,
        ("ikev2", ["nat-keepalive"]) => config.global.nat_keepalive = None,
        ("ipsec", ["anti-replay", "check"]) => config.global.replay_off = true,
        _ => {
            let message = "this `undo` is not understood: remove what it undoes instead";
            return Err(Fault::new(word.place, message));
        }
    }
    Ok((View::System, Done::Taken))
}

/// A line in system view that is not ours, unless it looks as if it should be.
fn stray(words: &[Word<'_>]) -> Outcome {
    let Some(first) = words.first() else {
        return Ok(Done::Taken);
    };
    if STRAY.contains(&first.text) {
        let message = format!("`{}` stands outside of the view it belongs to", first.text);
        return Err(Fault::new(first.place, message));
    }
    if first.text == "ipsec" {
        return Err(Fault::new(
            first.place,
            "`ipsec apply` belongs into the view of an interface",
        ));
    }
    let slip =
        |ours: &&&str| first.text.len() <= 8 && strsim::damerau_levenshtein(first.text, ours) == 1;
    match ["ikev2", "ipsec"].iter().find(slip) {
        Some(ours) => Err(Fault::unknown(*first, "command", &[ours])),
        None => Ok(Done::NoEffect(OTHER_FEATURE)),
    }
}

impl View {
    fn parent(self) -> Self {
        match self {
            Self::Peer(keychain, _) => Self::Keychain(keychain),
            _ => Self::System,
        }
    }

    /// Remembers that a line of the view is reported.
    fn mark_faulty(self, config: &mut Config) {
        match self {
            Self::System | Self::Other | Self::Refused | Self::VpnInstance => {}
            Self::Keychain(i) => config.keychains[i].faulty = true,
            Self::Peer(k, p) => {
                config.keychains[k].faulty = true;
                config.keychains[k].peers[p].faulty = true;
            }
            Self::Profile(i) => config.profiles[i].faulty = true,
            Self::Proposal(i) => config.proposals[i].faulty = true,
            Self::IkePolicy(i) => config.ike_policies[i].faulty = true,
            Self::TransformSet(i) => config.transform_sets[i].faulty = true,
            Self::Ipsec(i) => config.ipsec_policies[i].faulty = true,
            Self::Interface(i) => config.interfaces[i].faulty = true,
            Self::Acl(i) => config.acls[i].faulty = true,
        }
    }

    /// What problems call the view.
    fn title(self, config: &Config) -> String {
        match self {
            Self::System | Self::Other | Self::Refused | Self::VpnInstance => String::new(),
            Self::Keychain(i) => format!("ikev2 keychain {}", config.keychains[i].name.value),
            Self::Peer(k, p) => {
                let keychain = &config.keychains[k];
                format!(
                    "ikev2 keychain {} peer {}",
                    keychain.name.value, keychain.peers[p].name.value
                )
            }
            Self::Profile(i) => format!("ikev2 profile {}", config.profiles[i].name.value),
            Self::Proposal(i) => format!("ikev2 proposal {}", config.proposals[i].name.value),
            Self::IkePolicy(i) => format!("ikev2 policy {}", config.ike_policies[i].name.value),
            Self::TransformSet(i) => {
                format!(
                    "ipsec transform-set {}",
                    config.transform_sets[i].name.value
                )
            }
            Self::Ipsec(i) => config.ipsec_policies[i].title(),
            Self::Interface(i) => format!("interface {}", config.interfaces[i].name.value),
            Self::Acl(i) => format!("acl {}", config.acls[i].name.value),
        }
    }
}

impl PolicyName {
    /// The word that opens such a policy.
    pub(super) fn word(&self) -> &'static str {
        if self.ipv6 { "ipv6-policy" } else { "policy" }
    }
}
