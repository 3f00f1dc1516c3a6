//! A text with several of everything.

use crate::common::{comware, policy};
use crate::comware_meaning::meaning;
use hawser_policy::*;

/// Two profiles with keychains, policies with templates, VPN instances, ACLs, two interfaces.
const LARGE: &str = "\
ip vpn-instance red
 route-distinguisher 1:1
ip vpn-instance blue
ikev2 keychain red
 peer a
  address 198.51.100.0 24
  identity fqdn a.red
  pre-shared-key plaintext 0123456789abcdef
 peer b
  identity email b@red
  pre-shared-key local plaintext fedcba9876543210
  pre-shared-key remote plaintext fedcba9876543210
ikev2 keychain blue
 peer any
  address 0.0.0.0 0
  pre-shared-key plaintext 0123456789abcdeX
ikev2 profile red
 authentication-method local pre-share
 authentication-method remote pre-share
 keychain RED
 identity local fqdn hq.red
 match remote identity fqdn *.red
 match remote identity email *@red
 match local address 192.0.2.1
 inside-vrf red
ikev2 profile blue
 authentication-method local pre-share
 authentication-method remote pre-share
 keychain blue
 match remote identity fqdn *.blue
 priority 1
 match vrf any
ipsec transform-set strong
 esp encryption-algorithm gcm-256
ipsec transform-set usual
 protocol esp
 encapsulation-mode tunnel
 esp encryption-algorithm aes-cbc-256
 esp authentication-algorithm sha256
ikev2 proposal p
 encryption aes-cbc-256
 integrity sha256
 dh group14
ikev2 policy p
 proposal p
acl advanced 3000
 description what red protects
 rule permit ip source 10.0.0.0 0.255.255.255 destination 172.16.0.0 0.15.255.255
 rule 7 permit tcp source 192.0.2.9 0 source-port eq 443 destination any counting
acl advanced name both
 rule permit ip source 10.0.0.0 0.0.0.255 destination 10.9.0.0 0.0.255.255
 rule permit udp source any destination 10.8.0.0 0.0.255.255 destination-port range 5 9
acl basic 2000
 rule permit source any
acl number 3999
 rule deny ip
ipsec policy-template t 20
 transform-set usual
 ikev2-profile blue
 security acl name both aggregation
ipsec policy-template t 10
 transform-set strong usual
 ikev2-profile red
 security acl 3000
 description first
ipsec policy wan 5 isakmp template t
ipsec policy spare 1 isakmp template t
ipsec policy p2p 1 isakmp
 transform-set strong
 remote-address 203.0.113.9
 ikev2-profile p2p
ikev2 keychain p2p
 peer x
  identity fqdn far
  pre-shared-key simple 00112233445566778899
ikev2 profile p2p
 authentication-method local pre-share
 authentication-method remote pre-share
 keychain p2p
 match remote identity fqdn far
interface GigabitEthernet1/0/1
 ip address 192.0.2.1 28
 ipv6 address 2001:db8::1/64
 ipsec apply policy wan
interface GigabitEthernet1/0/2
 ip address 192.0.2.33 255.255.255.240
 ip address 192.0.2.65 255.255.255.240 sub
 ipsec apply policy p2p
interface GigabitEthernet1/0/3
 ip binding vpn-instance red
 ip address 10.0.0.1 255.0.0.0
interface Dialer1
 ip address ppp-negotiate
";

#[test]
fn a_large_text() {
    let policy = meaning(LARGE);
    let names: Vec<&str> = policy.templates.iter().map(|t| &*t.name).collect();
    assert_eq!(names, ["wan/5/t/10", "wan/5/t/20", "p2p/1"]);
    let tenants: Vec<&str> = policy.tenants.iter().map(|t| &*t.name).collect();
    assert_eq!(tenants, ["default", "red"], "blue is chosen by no profile");
    assert_eq!(policy.tenants[1].interface, "hw-red");
    assert_eq!(
        policy.tenants[1].protected,
        ["10.0.0.0/8".parse::<ipnet::IpNet>().unwrap()]
    );
    let [red, blue, p2p] = policy.templates.as_slice() else {
        panic!("three templates")
    };
    assert_eq!((red.tenant, blue.tenant), (TenantId(1), TenantId(0)));
    assert_eq!(red.local_identity, Some(Identity::Fqdn("hq.red".into())));
    assert_eq!(red.children[0].proposals.len(), 2);
    let addresses: Vec<String> = policy
        .listen
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(addresses, ["192.0.2.1", "192.0.2.33"]);
    let begin = p2p.initiate.as_ref().unwrap();
    assert_eq!(begin.remote.to_string(), "203.0.113.9:500");
    assert_eq!(begin.remote_identity, Identity::Fqdn("far".into()));
    assert_eq!(begin.secret.expose(), b"00112233445566778899");
}

#[test]
fn acls_make_children() {
    let policy = policy(comware(LARGE));
    let show = |t: &PeerTemplate| -> Vec<String> {
        let join = |s: &[TrafficSelector]| {
            s.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        t.children
            .iter()
            .map(|c| format!("{}: {} - {}", c.name, join(&c.local), join(&c.remote)))
            .collect()
    };
    assert_eq!(
        show(&policy.templates[0]),
        [
            "acl3000-0: 10.0.0.0/8 - 172.16.0.0/12",
            "acl3000-7: 192.0.2.9/32[6/443] - 0.0.0.0/0[6]"
        ]
    );
    assert_eq!(
        show(&policy.templates[1]),
        ["aclboth: 10.0.0.0/24 0.0.0.0/0[17] - 10.9.0.0/16 10.8.0.0/16[17/5-9]"]
    );
}

#[test]
fn the_pad_is_what_keychain_and_profile_agree_on() {
    let policy = policy(comware(LARGE));
    let show = |e: &PadEntry| {
        let nets: Vec<String> = e.remote_networks.iter().map(ToString::to_string).collect();
        format!("{} {} {:?}", e.template.0, e.remote, nets.join(" "))
    };
    let entries: Vec<String> = policy.pad.entries().iter().map(show).collect();
    assert_eq!(
        entries,
        [
            "0 a.red \"\"",
            "0 b@red \"\"",
            "2 far \"203.0.113.9/32\"",
            "1 *.blue \"0.0.0.0/0\"",
            "0 *.red \"198.51.100.0/24\"",
            "0 *@red \"198.51.100.0/24\"",
        ]
    );
    let red = policy
        .pad
        .entries()
        .iter()
        .find(|e| e.template == TemplateId(0))
        .unwrap();
    assert_eq!(
        red.local,
        ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]
    );
}

#[test]
fn what_is_not_in_force_is_said() {
    let notes = comware(LARGE).unwrap().notes;
    let said = |text: &str| notes.iter().any(|n| n.to_string().contains(text));
    assert!(
        said("`ipsec policy spare 1` is applied to no interface"),
        "{notes:?}"
    );
    assert!(said("`acl 3999`: no IPsec policy uses it"));
    assert!(said("`acl basic`: another feature") && said("`ip address`: the address is not known"));
}
