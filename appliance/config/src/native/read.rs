//! TOML into the document.

use super::keys::ROOT;
use super::table::{Source, Table, Wrong};
use crate::document::{
    Admission, Child, Document, Dpd, IkePolicy, Initiate, Lifetimes, Listen, Log, Observability,
    PadSecret, Plugin, PluginHost, Retransmission, SecretSource, Template, Tenant, Upkeep,
};
use crate::problem::{At, Place, Problem, Report, nearest};
use crate::values::{parse_output, parse_secret};
use hawser_policy::{
    DpdMode, EspProposal, Identity, IdentityPattern, IkeProposal, LogLevel, PluginHook,
    ProposalError, Revive, TrafficSelector, Uniqueness,
};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use toml::de::DeTable;

/// Reads TOML; what is wrong goes to the report. `None`: it is no TOML at all.
pub(crate) fn read(text: &str, report: &mut Report) -> Option<Document> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let source = Source::new(text, report);
    for error in &errors {
        let place = error
            .span()
            .map_or(Place::default(), |span| source.place(&span));
        source.add(Problem::new(place, "", error.message().replace('\n', ", ")));
    }
    if !errors.is_empty() {
        return None;
    }
    let root = Table::new(
        &source,
        root.get_ref(),
        &ROOT,
        String::new(),
        Place::default(),
    );
    Some(document(&root))
}

fn document(root: &Table<'_, '_>) -> Document {
    Document {
        shards: root.count("shards"),
        listen: root.table("listen").map(|t| listen(&t)).unwrap_or_default(),
        admission: root
            .table("admission")
            .map(|t| admission(&t))
            .unwrap_or_default(),
        metrics: root
            .table("metrics")
            .and_then(|t| t.parsed("listen", from_str::<SocketAddr>)),
        observability: root
            .table("observability")
            .map(|t| Observability {
                recorder: t.count("recorder"),
                incidents: value(t.parsed("incidents", from_str)),
                capture_keys: t.flag("capture_keys"),
            })
            .unwrap_or_default(),
        log: root.table("log").map(|t| log(&t)).unwrap_or_default(),
        tenants: root.tables("tenants").iter().map(tenant).collect(),
        ike_policies: root.tables("ike_policies").iter().map(ike_policy).collect(),
        templates: root.tables("templates").iter().map(template).collect(),
        secrets: root
            .tables("secrets")
            .iter()
            .filter_map(pad_secret)
            .collect(),
        plugins: root.tables("plugins").iter().filter_map(plugin).collect(),
        plugin_host: root
            .table("plugin_host")
            .map(|t| plugin_host(&t))
            .unwrap_or_default(),
    }
}

fn from_str<T: FromStr>(text: &str) -> Result<T, Wrong> {
    text.parse().map_err(|_| Wrong::default())
}

fn values<T>(list: Vec<At<T>>) -> Vec<T> {
    list.into_iter().map(|at| at.value).collect()
}

fn value<T>(at: Option<At<T>>) -> Option<T> {
    at.map(|at| at.value)
}

/// The name of a table; where it is missing, which is reported already, none.
fn name(table: &Table<'_, '_>) -> At<String> {
    table
        .text("name")
        .unwrap_or_else(|| At::new(table.place(), String::new()))
}

fn listen(table: &Table<'_, '_>) -> Listen {
    Listen {
        addresses: table.list("addresses", from_str::<IpAddr>),
        port: table.count("port"),
        nat_port: table.count("nat_port"),
        native_esp: table.flag("native_esp"),
    }
}

fn admission(table: &Table<'_, '_>) -> Admission {
    Admission {
        cookie_threshold: value(table.count("cookie_threshold")),
        max_half_open: value(table.count("max_half_open")),
        source_rate: value(table.count("source_rate")),
        half_open_timeout: value(table.duration("half_open_timeout")),
    }
}

fn log(table: &Table<'_, '_>) -> Log {
    let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warning];
    let output = |text: &str| {
        parse_output(text).ok_or_else(|| Wrong {
            message: None,
            suggestion: nearest(text, ["stdout", "stderr"]).map(str::to_owned),
        })
    };
    let outputs = table.list("outputs", output);
    Log {
        level: table.choice("level").and_then(|at| levels.get(at).copied()),
        rate: value(table.count("rate")),
        line: value(table.count("line")),
        outputs: table.has("outputs").then_some(outputs),
        file_size: value(table.count("file_size")),
        file_keep: value(table.count("file_keep")),
    }
}

fn tenant(table: &Table<'_, '_>) -> Tenant {
    Tenant {
        name: name(table),
        interface: table.text("interface"),
        mtu: value(table.count("mtu")),
        addresses: values(table.list("addresses", from_str::<IpNet>)),
        namespace: table.text("namespace"),
        protected: values(table.list("protected", network)),
    }
}

/// A network; a single address is the network of it alone.
fn network(text: &str) -> Result<IpNet, Wrong> {
    let net = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map(|n| n.trunc()).map_err(|_| Wrong::default())
}

fn ike_policy(table: &Table<'_, '_>) -> IkePolicy {
    IkePolicy {
        name: name(table),
        local: table.list("local", from_str::<IpAddr>),
        proposals: table.list("proposals", ike_proposal),
    }
}

fn template(table: &Table<'_, '_>) -> Template {
    Template {
        name: name(table),
        tenant: table.text("tenant"),
        local_identity: table.parsed("local_identity", identity),
        ike_proposals: table.list("ike_proposals", ike_proposal),
        ike_lifetimes: Lifetimes {
            time: value(table.limit("ike_lifetime")),
            bytes: None,
            margin: table.duration("ike_rekey_margin"),
        },
        dpd: table.table("dpd").and_then(|t| dpd(&t)),
        nat_keepalive: value(table.limit("nat_keepalive")),
        retransmission: table
            .table("retransmission")
            .map(|t| retransmission(&t))
            .unwrap_or_default(),
        upkeep: upkeep(table),
        allow_any_route: table.flag("allow_any_route"),
        fragment_size: value(table.count("fragment_size")),
        children: table.tables("children").iter().map(child).collect(),
        initiate: table.table("initiate").and_then(|t| initiate(&t)),
    }
}

fn upkeep(table: &Table<'_, '_>) -> Upkeep {
    let revive = [Revive::Off, Revive::On];
    let uniqueness = {
        use Uniqueness::{Device, Keep, Never, Replace};
        [Device, Replace, Keep, Never]
    };
    Upkeep {
        revive: table
            .choice("revive")
            .and_then(|at| revive.get(at).copied()),
        revive_weak_secret: table.flag("revive_weak_secret"),
        audit: value(table.limit("audit")),
        uniqueness: table
            .choice("uniqueness")
            .and_then(|at| uniqueness.get(at).copied()),
        admit_undecided: table.flag("admit_undecided"),
    }
}

fn dpd(table: &Table<'_, '_>) -> Option<Dpd> {
    let mode = table.choice("mode");
    let interval = table.duration("interval");
    let (retry, retries) = (
        value(table.duration("retry")),
        value(table.count("retries")),
    );
    let mode = if mode? == 0 {
        DpdMode::OnDemand
    } else {
        DpdMode::Periodic
    };
    let At {
        place,
        value: interval,
    } = interval?;
    Some(Dpd {
        place,
        mode,
        interval,
        retry,
        retries,
    })
}

fn retransmission(table: &Table<'_, '_>) -> Retransmission {
    Retransmission {
        place: table.place(),
        initial: value(table.duration("initial")),
        backoff_percent: value(table.count("backoff_percent")),
        max: value(table.duration("max")),
        tries: value(table.count("tries")),
    }
}

fn child(table: &Table<'_, '_>) -> Child {
    Child {
        name: name(table),
        proposals: table.list("proposals", esp_proposal),
        local: table.list("local", selector),
        remote: table.list("remote", selector),
        lifetimes: Lifetimes {
            time: value(table.limit("lifetime")),
            bytes: value(table.count("lifetime_bytes")),
            margin: table.duration("rekey_margin"),
        },
        replay_window: table.count("replay_window"),
    }
}

fn initiate(table: &Table<'_, '_>) -> Option<Initiate> {
    let remote = table.parsed("remote", peer_address);
    let identity = table.parsed("identity", identity);
    let secret = secret(table);
    Some(Initiate {
        remote: remote?,
        identity: identity?,
        secret: secret?,
    })
}

fn peer_address(text: &str) -> Result<SocketAddr, Wrong> {
    const IKE_PORT: u16 = 500;
    let address = match text.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, IKE_PORT),
        Err(_) => from_str::<SocketAddr>(text)?,
    };
    if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
        return Err(format!("no peer can have the address `{text}`").into());
    }
    Ok(address)
}

fn pad_secret(table: &Table<'_, '_>) -> Option<PadSecret> {
    let pattern = |text: &str| IdentityPattern::parse(text).ok_or_else(Wrong::default);
    let identity = table.parsed("identity", pattern);
    let template = table.text("template");
    let local = table.list("local", from_str::<IpAddr>);
    let networks = values(table.list("networks", network));
    let secret = secret(table);
    Some(PadSecret {
        identity: identity?,
        template: template?,
        local,
        networks,
        secret: secret?,
    })
}

fn plugin(table: &Table<'_, '_>) -> Option<Plugin> {
    let hooks = [
        PluginHook::DpdPolicy,
        PluginHook::PeerAuthorization,
        PluginHook::LogFormat,
    ];
    let hook = table.choice("hook");
    let plugin = table.text("plugin");
    let (tenant, template) = (table.text("tenant"), table.text("template"));
    let settings = table.free("settings");
    Some(Plugin {
        place: table.place(),
        hook: hooks.get(hook?).copied()?,
        plugin: plugin?,
        tenant,
        template,
        settings,
    })
}

fn plugin_host(table: &Table<'_, '_>) -> PluginHost {
    let key = |text: &str| {
        let mut key = [0; 32];
        hex::decode_to_slice(text, &mut key).map_err(|_| Wrong::default())?;
        Ok(key)
    };
    PluginHost {
        deadline: value(table.duration("deadline")),
        memory: value(table.count("memory")),
        keys: values(table.list("keys", key)),
        granted: values(table.list("granted", from_str)),
        watch: value(table.parsed("watch", from_str)),
        cache: value(table.parsed("cache", from_str)),
    }
}

/// Exactly one of `secret`, `secret_env` and `secret_file`.
fn secret(table: &Table<'_, '_>) -> Option<At<SecretSource>> {
    let inline = table.parsed("secret", |text| {
        parse_secret(text)
            .map(SecretSource::Inline)
            .map_err(|why| why.to_owned().into())
    });
    let env = table.parsed("secret_env", |name| {
        Ok(SecretSource::Reference(format!("env:{name}")))
    });
    let file = table.parsed("secret_file", |path| {
        Ok(SecretSource::Reference(format!("file:{path}")))
    });
    let given = ["secret", "secret_env", "secret_file"]
        .iter()
        .filter(|k| table.has(k))
        .count();
    if given != 1 {
        let message = match given {
            0 => "one of `secret`, `secret_env` and `secret_file` must be there",
            _ => "only one of `secret`, `secret_env` and `secret_file` may be there",
        };
        table.refuse(table.place(), message);
        return None;
    }
    inline.or(env).or(file)
}

fn identity(text: &str) -> Result<Identity, Wrong> {
    // A `*` would be taken literally, and no peer calls itself so.
    let literal = !text.contains('*');
    Identity::parse(text)
        .filter(|_| literal)
        .ok_or_else(Wrong::default)
}

fn selector(text: &str) -> Result<TrafficSelector, Wrong> {
    TrafficSelector::parse(text).ok_or_else(Wrong::default)
}

fn ike_proposal(text: &str) -> Result<IkeProposal, Wrong> {
    IkeProposal::parse(text).map_err(|e| proposal_error(text, &e))
}

fn esp_proposal(text: &str) -> Result<EspProposal, Wrong> {
    EspProposal::parse(text).map_err(|e| proposal_error(text, &e))
}

fn proposal_error(text: &str, error: &ProposalError) -> Wrong {
    let near = match error {
        ProposalError::Unknown(word) => nearest(word, keywords()),
        _ => None,
    };
    Wrong {
        message: Some(format!("proposal `{text}`: {error}")),
        suggestion: near.map(str::to_owned),
    }
}

/// The keywords that proposals are made of.
fn keywords() -> impl Iterator<Item = &'static str> {
    use hawser_crypto::{Encr, Integ, KeyExchange, Prf};
    let encr = Encr::ALL.into_iter().map(Encr::keyword);
    let integ = Integ::ALL.into_iter().map(Integ::keyword);
    let prf = Prf::ALL.into_iter().map(Prf::keyword);
    let ke = KeyExchange::ALL.into_iter().map(KeyExchange::keyword);
    encr.chain(integ)
        .chain(prf)
        .chain(ke)
        .chain(["esn", "noesn"])
}
