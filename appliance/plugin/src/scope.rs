//! Where a plugin decides.

use std::fmt;

/// Where a plugin decides: everywhere, in a tenant, or for a template. The most specific wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Scope {
    /// Only for this tenant.
    pub tenant: Option<String>,
    /// Only for this template.
    pub template: Option<String>,
}

impl Scope {
    /// Everywhere.
    pub fn global() -> Self {
        Self::default()
    }

    /// In one tenant.
    pub fn tenant(name: impl Into<String>) -> Self {
        Self {
            tenant: Some(name.into()),
            template: None,
        }
    }

    /// For one template.
    pub fn template(name: impl Into<String>) -> Self {
        Self {
            tenant: None,
            template: Some(name.into()),
        }
    }

    /// Whether it covers a device of this tenant and template.
    pub fn covers(&self, tenant: &str, template: &str) -> bool {
        self.tenant.as_deref().is_none_or(|name| name == tenant)
            && self.template.as_deref().is_none_or(|name| name == template)
    }

    /// The higher, the more specific: a template beats a tenant.
    pub fn rank(&self) -> u8 {
        u8::from(self.template.is_some()) * 2 + u8::from(self.tenant.is_some())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.tenant, &self.template) {
            (None, None) => f.write_str("everywhere"),
            (Some(tenant), None) => write!(f, "tenant {tenant}"),
            (None, Some(template)) => write!(f, "template {template}"),
            (Some(tenant), Some(template)) => write!(f, "tenant {tenant}, template {template}"),
        }
    }
}
