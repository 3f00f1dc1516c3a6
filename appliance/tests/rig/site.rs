//! What the two ends of a scenario's tunnels agree on, from which the configuration of either end is written.

use crate::rig::{Branch, HQ, HQ_V6};
use crate::strongswan::{CHILD, Connection};

/// The connection at a branch.
pub const TO_HQ: &str = "hq";
/// The connection at the headquarters.
pub const TO_BRANCHES: &str = "branches";

/// The identity of every branch, unless a scenario says otherwise.
pub const BRANCH_ID: &str = "test";
/// Where Hawser's metrics are, in its own namespace.
pub const METRICS: &str = "127.0.0.1:9464";

/// By default the case's: `configs/hq.cfg`.
#[derive(Clone, Debug)]
pub struct Site {
    /// IKE proposals, as strongSwan writes them.
    pub ike: String,
    /// ESP proposals; a group in them asks for PFS.
    pub esp: String,
    /// The pre-shared key.
    pub psk: String,
    /// The FQDN by which every branch goes.
    pub branch_id: String,
    /// The headquarters' outer address.
    pub hq: &'static str,
    /// The subnets behind the headquarters.
    pub hq_networks: &'static str,
    /// What the branches' subnets must lie in.
    pub branch_networks: &'static str,
    /// The headquarters asks every IKE_SA_INIT for a cookie.
    pub cookies: bool,
    /// The largest IP packet with an IKE fragment, at both ends.
    pub fragment_size: Option<u16>,
    /// Further options of charon, at whichever end it is.
    pub charon: Vec<String>,
    /// Further lines of Hawser's configuration, about the whole gateway.
    pub gateway: &'static str,
    /// Further lines of Hawser's template.
    pub template: &'static str,
    /// Further lines of Hawser's Child SA.
    pub child: &'static str,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            ike: "aes128-sha1-modp1024".to_owned(),
            esp: "aes128-sha1".to_owned(),
            psk: "test".to_owned(),
            branch_id: BRANCH_ID.to_owned(),
            hq: HQ,
            hq_networks: "192.168.100.0/24",
            branch_networks: "172.16.0.0/16",
            cookies: false,
            fragment_size: None,
            charon: Vec::new(),
            gateway: "",
            template: "",
            child: "",
        }
    }
}

impl Site {
    /// IPv6 outside and inside, with a strong suite.
    pub fn v6() -> Self {
        Self {
            hq: HQ_V6,
            hq_networks: "fd00:100::/64",
            branch_networks: "fd00::/16",
            ..Self::strong()
        }
    }

    /// A suite of today, with PFS.
    pub fn strong() -> Self {
        Self {
            ike: "aes128gcm16-prfsha256-x25519".to_owned(),
            esp: "aes128gcm16-x25519".to_owned(),
            ..Self::default()
        }
    }

    /// Hawser's configuration.
    pub fn toml(&self) -> String {
        let Self {
            ike,
            esp,
            psk,
            branch_id,
            hq,
            hq_networks,
            branch_networks,
            gateway,
            template,
            child,
            ..
        } = self;
        let cookies = if self.cookies {
            "admission.cookie_threshold = 0"
        } else {
            ""
        };
        let fragment = self
            .fragment_size
            .map(|size| format!("fragment_size = {size}"))
            .unwrap_or_default();
        format!(
            r#"
            listen.addresses = ["{hq}"]
            metrics.listen = "{METRICS}"
            {cookies}
            {gateway}

            [[tenants]]
            name = "default"
            protected = ["{hq_networks}"]

            [[templates]]
            name = "{TO_BRANCHES}"
            ike_proposals = ["{ike}"]
            {fragment}
            {template}

            [[templates.children]]
            name = "{CHILD}"
            proposals = ["{esp}"]
            local = ["{hq_networks}"]
            remote = ["{branch_networks}"]
            {child}

            [[secrets]]
            identity = "{branch_id}"
            template = "{TO_BRANCHES}"
            secret = "{psk}"
            "#
        )
    }

    /// The headquarters' connection, for strongSwan in its place.
    pub fn at_hq(&self) -> Connection {
        Connection {
            name: TO_BRANCHES.to_owned(),
            local: self.hq.to_owned(),
            remote: "%any".to_owned(),
            local_id: self.hq.to_owned(),
            remote_id: self.branch_id.clone(),
            psk: self.psk.clone(),
            ike: self.ike.clone(),
            esp: self.esp.clone(),
            local_ts: self.hq_networks.to_owned(),
            remote_ts: self.branch_networks.to_owned(),
            settings: vec!["unique = never".to_owned()],
            child_settings: Vec::new(),
        }
    }

    /// A branch's connection. ESP in charon's own process exists only in UDP, which the branch insists on where no NAT is.
    pub fn at_branch(&self, branch: &Branch) -> Connection {
        let v6 = self.hq_networks.contains(':');
        Connection {
            name: TO_HQ.to_owned(),
            local: "%any".to_owned(),
            remote: self.hq.to_owned(),
            local_id: self.branch_id.clone(),
            remote_id: self.hq.to_owned(),
            local_ts: if v6 {
                branch.subnet_v6()
            } else {
                branch.subnet()
            },
            remote_ts: self.hq_networks.to_owned(),
            settings: vec!["encap = yes".to_owned()],
            ..self.at_hq()
        }
    }

    /// Options of charon that the site asks for.
    pub fn charon_options(&self) -> Vec<String> {
        let fragment = self
            .fragment_size
            .map(|size| format!("fragment_size = {size}"));
        self.charon.iter().cloned().chain(fragment).collect()
    }
}
