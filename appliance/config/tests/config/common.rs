//! What the tests share.

use hawser_config::{Format, Loaded, Note, NoteKind, Problem, load};
use hawser_policy::Policy;

pub(crate) const HQ: &str = include_str!("../../../../configs/hq.cfg");
/// The configuration of the case as it was published: no indentation, placeholders, ciphertext.
pub(crate) const CASE: &str = "\
#
ikev2 dpd interval 20 on-demand
#
ikev2 keychain 1
peer 2
identity fqdn test
pre-shared-key ciphertext $c$3$ea+tyrkuRMjsikahglajgd/XVc43xMlrmGk=
#
ikev2 profile 1
authentication-method local pre-share
authentication-method remote pre-share
keychain 1
identity local address X.X.X.X
match remote identity fqdn test
#
ikev2 proposal 1
encryption aes-cbc-128
integrity sha1
dh group2
#
ikev2 policy 1
proposal 1
#
#
interface GigabitEthernet1/0/1
port link-mode route
ip address X.X.X.X 255.255.255.240
manage https inbound
manage ping inbound
manage ssh inbound
undo dhcp select server
ipsec apply policy GE0/1
gateway 183.203.181.177
#
ipsec transform-set 1
esp encryption-algorithm aes-cbc-128
esp authentication-algorithm sha1
#
ipsec policy-template 1 1
transform-set 1
local-address X.X.X.X
ikev2-profile 1
#
ipsec policy GE0/1 2 isakmp template 1
#
";

pub(crate) fn comware(text: &str) -> Result<Loaded, Vec<Problem>> {
    load(text, Format::Comware, &|_| None)
}

pub(crate) fn toml(text: &str) -> Result<Loaded, Vec<Problem>> {
    load(text, Format::Toml, &|_| None)
}

/// The policy, or a panic that shows the problems.
pub(crate) fn policy(loaded: Result<Loaded, Vec<Problem>>) -> Policy {
    match loaded {
        Ok(loaded) => loaded.policy,
        Err(problems) => panic!("{}", show(&problems)),
    }
}

/// The problems as an operator sees them.
pub(crate) fn show(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|p| p.in_file("f").to_string())
        .collect();
    lines.join("\n")
}

/// The problems that a text must have.
pub(crate) fn problems(loaded: Result<Loaded, Vec<Problem>>) -> String {
    match loaded {
        Ok(_) => panic!("no problem was found"),
        Err(problems) => {
            assert!(!problems.is_empty());
            show(&problems)
        }
    }
}

pub(crate) fn warnings(notes: &[Note]) -> Vec<(Option<usize>, &str)> {
    let warnings = notes.iter().filter(|n| n.kind == NoteKind::Warning);
    warnings.map(|n| (n.line, n.message.as_str())).collect()
}

/// Everything of a policy, the secrets too, as text.
pub(crate) fn picture(policy: &Policy) -> String {
    let pad: Vec<&[u8]> = policy
        .pad
        .entries()
        .iter()
        .map(|e| e.secret.expose())
        .collect();
    let initiate: Vec<_> = policy
        .templates
        .iter()
        .filter_map(|t| t.initiate.as_ref())
        .collect();
    let initiate: Vec<&[u8]> = initiate.iter().map(|i| i.secret.expose()).collect();
    format!("{policy:#?}\n{pad:?}\n{initiate:?}")
}

/// `text` with its only `from` replaced.
pub(crate) fn with(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "`{from}` must be there once");
    text.replace(from, to)
}
