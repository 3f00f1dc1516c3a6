//! Requests for authorization.

use crate::authorization::Request;

/// A branch that asks for `172.16.19.0/24`, at noon of a Wednesday (2023-11-08 UTC), and is alone.
/// Change what the test is about: `Request { ups: 9, ..request("test") }`.
pub fn request(identity: &str) -> Request<'_> {
    Request {
        tenant: "default",
        template: "branches",
        identity,
        identity_kind: "fqdn",
        method: "pre-shared-key",
        address: "120.208.142.17",
        port: 8192,
        behind_nat: true,
        remote_selectors: vec!["172.16.19.0/24"],
        local_selectors: vec!["192.168.100.0/24"],
        identity_devices: 0,
        tenant_devices: 0,
        ups: 0,
        downs: 0,
        now_unix_s: 1_699_444_800,
        ext: Vec::new(),
    }
}
