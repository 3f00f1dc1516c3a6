//! What is asked of the kernel in one namespace.

use crate::error::StartError;
use crate::netns;
use crate::options::Routing;
use futures_util::{Stream, StreamExt};
use hawser_policy::Tenant;
use ipnet::IpNet;
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol, RouteScope};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use rtnetlink::{Error, Handle, IpVersion, LinkUnspec, RouteMessageBuilder};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use tokio::runtime;

/// `H` marks what is ours.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(72);

/// A netlink connection into a namespace.
pub(super) struct Netlink {
    handle: Handle,
    routing: Routing,
    /// The namespace, for messages.
    name: String,
}

impl Netlink {
    /// Opens the connection in the namespace; must be called in a tokio runtime.
    pub(super) fn connect(namespace: Option<&str>, routing: Routing) -> Result<Self, StartError> {
        let runtime = runtime::Handle::current();
        let open = || {
            let _entered = runtime.enter();
            rtnetlink::new_connection()
        };
        let (connection, handle, _messages) = netns::run_in(namespace, open)??;
        runtime.spawn(connection);
        let name = namespace.map_or_else(String::new, |n| format!(" in namespace {n}"));
        Ok(Self {
            handle,
            routing,
            name,
        })
    }

    fn failed(&self, what: &str) -> impl Fn(Error) -> StartError + use<> {
        let what = format!("{what}{}", self.name);
        move |error| StartError::Netlink {
            what: what.clone(),
            reason: reason(&error),
        }
    }

    /// Sets MTU and addresses of a tenant's interface and brings it up; its index.
    pub(super) async fn bring_up(&self, tenant: &Tenant) -> Result<u32, StartError> {
        let failed = self.failed(&format!("interface {}", tenant.interface));
        let links = self
            .handle
            .link()
            .get()
            .match_name(tenant.interface.clone())
            .execute();
        let index = match pin!(links).next().await {
            Some(link) => link.map_err(&failed)?.header.index,
            None => return Err(failed(Error::RequestFailed)),
        };
        let link = LinkUnspec::new_with_index(index)
            .mtu(tenant.mtu.into())
            .up()
            .build();
        self.handle
            .link()
            .set(link)
            .execute()
            .await
            .map_err(&failed)?;
        for net in &tenant.addresses {
            let add = self
                .handle
                .address()
                .add(index, net.addr(), net.prefix_len())
                .replace();
            add.execute().await.map_err(&failed)?;
        }
        Ok(index)
    }

    /// Removes rules and routes of ours, of this run or of one that crashed.
    pub(super) async fn clean_up(&self) -> Result<(), StartError> {
        for version in [IpVersion::V4, IpVersion::V6] {
            let failed = self.failed("the routing rule");
            for rule in self.rules(&version).await.map_err(&failed)? {
                ignore_missing(self.handle.rule().del(rule).execute().await).map_err(&failed)?;
            }
            let failed = self.failed("the routing table");
            for route in self.routes(&version).await.map_err(&failed)? {
                ignore_missing(self.handle.route().del(route).execute().await).map_err(&failed)?;
            }
        }
        Ok(())
    }

    async fn rules(&self, version: &IpVersion) -> Result<Vec<RuleMessage>, Error> {
        let all = match collect(self.handle.rule().get(version.clone()).execute()).await {
            // A kernel without IPv6 has no rules of it.
            Err(error) if *version == IpVersion::V6 && unsupported(&error) => Vec::new(),
            other => other?,
        };
        Ok(all.into_iter().filter(|rule| self.is_ours(rule)).collect())
    }

    fn is_ours(&self, rule: &RuleMessage) -> bool {
        let has = |wanted: RuleAttribute| rule.attributes.contains(&wanted);
        let Routing {
            table,
            priority,
            mark,
        } = self.routing;
        has(RuleAttribute::Priority(priority))
            && has(RuleAttribute::FwMark(mark))
            && has(RuleAttribute::Protocol(PROTOCOL))
            && (has(RuleAttribute::Table(table)) || u32::from(rule.header.table) == table)
    }

    async fn routes(&self, version: &IpVersion) -> Result<Vec<RouteMessage>, Error> {
        let query = match version {
            IpVersion::V4 => RouteMessageBuilder::<Ipv4Addr>::new().build(),
            IpVersion::V6 => RouteMessageBuilder::<Ipv6Addr>::new().build(),
        };
        let table = self.routing.table;
        let ours = |route: &RouteMessage| {
            let in_table = route.attributes.contains(&RouteAttribute::Table(table))
                || u32::from(route.header.table) == table;
            in_table && route.header.protocol == PROTOCOL
        };
        let all = match collect(self.handle.route().get(query).execute()).await {
            Err(error) if *version == IpVersion::V6 && unsupported(&error) => Vec::new(),
            other => other?,
        };
        Ok(all.into_iter().filter(ours).collect())
    }

    /// `not fwmark MARK lookup TABLE`, for both families.
    pub(super) async fn add_rules(&self) -> Result<(), StartError> {
        for v4 in [true, false] {
            let Routing {
                table,
                priority,
                mark,
            } = self.routing;
            let mut rule = self
                .handle
                .rule()
                .add()
                .action(RuleAction::ToTable)
                .table_id(table)
                .priority(priority)
                .fw_mark(mark);
            let message = rule.message_mut();
            message.header.flags |= RuleFlags::Invert;
            message.attributes.push(RuleAttribute::Protocol(PROTOCOL));
            let result = match v4 {
                true => rule.v4().execute().await,
                false => rule.v6().execute().await,
            };
            match result {
                Err(error) if !v4 && unsupported(&error) => {
                    tracing::info!(reason = reason(&error), "no IPv6 routing rule");
                }
                other => other.map_err(self.failed("the routing rule"))?,
            }
        }
        Ok(())
    }

    pub(super) async fn replace_route(&self, net: IpNet, link: u32) -> Result<(), Error> {
        self.handle
            .route()
            .add(self.route(net, link))
            .replace()
            .execute()
            .await
    }

    /// A route that is not there is removed.
    pub(super) async fn delete_route(&self, net: IpNet, link: u32) -> Result<(), Error> {
        ignore_missing(
            self.handle
                .route()
                .del(self.route(net, link))
                .execute()
                .await,
        )
    }

    fn route(&self, net: IpNet, link: u32) -> RouteMessage {
        let (table, len) = (self.routing.table, net.prefix_len());
        match net.network() {
            IpAddr::V4(address) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(address, len)
                .scope(RouteScope::Link)
                .protocol(PROTOCOL)
                .table_id(table)
                .output_interface(link)
                .build(),
            IpAddr::V6(address) => RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(address, len)
                .protocol(PROTOCOL)
                .table_id(table)
                .output_interface(link)
                .build(),
        }
    }
}

async fn collect<T>(stream: impl Stream<Item = Result<T, Error>>) -> Result<Vec<T>, Error> {
    let mut stream = pin!(stream);
    let mut all = Vec::new();
    while let Some(item) = stream.next().await {
        all.push(item?);
    }
    Ok(all)
}

fn errno(error: &Error) -> Option<i32> {
    match error {
        Error::NetlinkError(message) => Some(-message.raw_code()),
        _ => None,
    }
}

fn unsupported(error: &Error) -> bool {
    matches!(errno(error), Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP))
}

/// What was to go is gone.
fn ignore_missing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(e) if matches!(errno(&e), Some(libc::ESRCH | libc::ENOENT | libc::ENODEV)) => Ok(()),
        other => other,
    }
}

/// Whether another try may do better.
pub(super) fn may_pass(error: &Error) -> bool {
    !matches!(
        errno(error),
        Some(libc::EPERM | libc::EACCES | libc::EINVAL | libc::EAFNOSUPPORT)
    )
}

/// In words, with what is to be done about a missing right.
fn reason(error: &Error) -> String {
    match errno(error) {
        Some(libc::EPERM | libc::EACCES) => "CAP_NET_ADMIN is missing: run as root, or `setcap \
             cap_net_admin,cap_net_bind_service,cap_net_raw+ep` on the hawser binary"
            .to_owned(),
        Some(code) => std::io::Error::from_raw_os_error(code).to_string(),
        None => error.to_string(),
    }
}
