//! What a file says about itself before anything of it is compiled or run.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use hawser_policy::PluginHook;
use wasmparser::{ComponentTypeRef, Parser, Payload};

use crate::fault::LoadError;
use crate::signature::sha256;

/// The package that all worlds are of.
const PACKAGE: &str = "hawser:plugin/";

/// Versions of the package that this gateway speaks, for people.
pub const FITTING: &str = "0.1.x";

/// What a plugin decides: one world of `hawser:plugin` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// World `dpd-policy`. Fallback: the settings of the device's template.
    DpdPolicy,
    /// World `peer-authorization`. Fallback: closed for new SAs unless the template says otherwise;
    /// existing SAs stay.
    PeerAuthorization,
    /// World `log-format`. Fallback: the built-in format, without losing an event.
    LogFormat,
}

impl Hook {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DpdPolicy, Self::PeerAuthorization, Self::LogFormat];

    /// The name of the world.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DpdPolicy => "dpd-policy",
            Self::PeerAuthorization => "peer-authorization",
            Self::LogFormat => "log-format",
        }
    }

    fn interface(self) -> &'static str {
        match self {
            Self::DpdPolicy => "dpd",
            Self::PeerAuthorization => "authorization",
            Self::LogFormat => "log",
        }
    }
}

impl From<PluginHook> for Hook {
    fn from(hook: PluginHook) -> Self {
        match hook {
            PluginHook::DpdPolicy => Self::DpdPolicy,
            PluginHook::PeerAuthorization => Self::PeerAuthorization,
            PluginHook::LogFormat => Self::LogFormat,
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Hook {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|hook| hook.as_str() == text)
            .ok_or_else(|| {
                format!("no hook `{text}`; there are dpd-policy, peer-authorization and log-format")
            })
    }
}

/// What the file shows from outside; the rest is in its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Its world.
    pub hook: Hook,
    /// The version of `hawser:plugin` that it was built against.
    pub package_version: String,
    /// Everything that it imports, by name.
    pub imports: Vec<String>,
    /// Those of `imports` that were granted and will trap when called.
    pub stubs: Vec<String>,
    /// Octets.
    pub size: usize,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Whether a backtrace shows the names of its functions.
    pub named: bool,
}

/// Reads names and versions, and refuses what could never run. `granted` are prefixes of
/// import names that are let in as stubs that trap (`wasi:cli/`).
pub fn inspect(bytes: &[u8], limit: usize, granted: &[String]) -> Result<Inspection, LoadError> {
    if bytes.len() > limit {
        let size = bytes.len();
        return Err(LoadError::TooLarge { size, limit });
    }
    header(bytes)?;
    sections(bytes)?;
    let Names {
        imports,
        exports,
        functions,
    } = names(bytes)?;
    let hook = hook_of(&exports)?;
    let package_version = version_of(&exports, hook)?;
    let stubs = check_imports(&imports, granted)?;
    Ok(Inspection {
        hook,
        package_version,
        imports,
        stubs,
        size: bytes.len(),
        sha256: hex::encode(sha256(bytes)),
        named: functions,
    })
}

fn header(bytes: &[u8]) -> Result<(), LoadError> {
    let what = match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "a core WebAssembly module; make a component of it (wasm-tools component new)"
        }
        [0, b'a', b's', b'm', ..] if bytes.len() >= 8 => {
            "WebAssembly of a version that this gateway does not know"
        }
        [] => "an empty file",
        [0x7f, b'E', b'L', b'F', ..] => "an ELF file",
        _ if b"\0asm".starts_with(bytes) || bytes.starts_with(b"\0asm") => {
            return Err(LoadError::Truncated(bytes.len()));
        }
        _ => "it does not begin as WebAssembly does",
    };
    Err(LoadError::NotAComponent(what.into()))
}

/// A section of a component, as far as its frame says.
pub(crate) struct Section {
    /// 0: a custom section.
    pub(crate) id: u8,
    /// Where its header begins.
    pub(crate) start: usize,
    /// Its content; of a custom section with the name.
    pub(crate) content: Range<usize>,
}

/// Walks the frames of the outermost sections.
pub(crate) fn sections(bytes: &[u8]) -> Result<Vec<Section>, LoadError> {
    let truncated = || LoadError::Truncated(bytes.len());
    let mut found = Vec::new();
    let mut at = 8;
    while at < bytes.len() {
        let start = at;
        let id = bytes[at];
        let (size, used) = leb128(&bytes[at + 1..]).ok_or_else(truncated)?;
        at += 1 + used;
        let end = at.checked_add(size).filter(|end| *end <= bytes.len());
        let end = end.ok_or_else(truncated)?;
        found.push(Section {
            id,
            start,
            content: at..end,
        });
        at = end;
    }
    Ok(found)
}

/// An unsigned LEB128 of at most 32 bits, and how many octets it took.
pub(crate) fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (index, octet) in bytes.iter().take(5).enumerate() {
        value |= u64::from(octet & 0x7f) << (7 * index);
        if octet & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, index + 1));
        }
    }
    None
}

/// Names in a component.
#[derive(Default)]
struct Names {
    /// What the outermost component imports.
    imports: Vec<String>,
    /// What it exports.
    exports: Vec<String>,
    /// Whether a module within has names of its functions.
    functions: bool,
}

fn names(bytes: &[u8]) -> Result<Names, LoadError> {
    let malformed = |error: wasmparser::BinaryReaderError| LoadError::Malformed(error.to_string());
    let mut names = Names::default();
    let mut depth = 0usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.map_err(malformed)?;
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        names.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    names
                        .exports
                        .push(export.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if depth > 0 && section.name() == "name" => {
                names.functions = true;
            }
            _ => {}
        }
    }
    Ok(names)
}

/// `hawser:plugin/dpd@0.1.0` -> (`dpd`, `0.1.0`).
fn ours(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?;
    Some(rest.split_once('@').unwrap_or((rest, "without a version")))
}

fn hook_of(exports: &[String]) -> Result<Hook, LoadError> {
    let exported = |interface: &str| {
        exports
            .iter()
            .filter_map(|name| ours(name))
            .any(|(name, _)| name == interface)
    };
    let mut hooks = Hook::ALL.into_iter().filter(|h| exported(h.interface()));
    match (hooks.next(), hooks.next(), exported("plugin")) {
        (Some(hook), None, true) => Ok(hook),
        _ => Err(LoadError::AnotherWorld {
            exports: match exports {
                [] => "nothing".into(),
                all => brief(&all.join(", ")),
            },
        }),
    }
}

fn version_of(exports: &[String], hook: Hook) -> Result<String, LoadError> {
    let mut found = "";
    for (name, version) in exports.iter().filter_map(|name| ours(name)) {
        if name != hook.interface() && name != "plugin" {
            continue;
        }
        if !fits(version) {
            return Err(LoadError::Version {
                found: brief(version),
                fits: FITTING,
            });
        }
        found = version;
    }
    Ok(found.to_owned())
}

/// Within 0.x a new minor version breaks.
fn fits(version: &str) -> bool {
    version.strip_prefix("0.1.").is_some_and(|patch| {
        !patch.is_empty() && patch.len() <= 6 && patch.bytes().all(|b| b.is_ascii_digit())
    })
}

/// The imports that are stubs; an error for one that is not allowed.
fn check_imports(imports: &[String], granted: &[String]) -> Result<Vec<String>, LoadError> {
    let mut stubs = Vec::new();
    for import in imports {
        match ours(import) {
            Some(("host" | "types", version)) if fits(version) => continue,
            Some(("host" | "types", version)) => {
                return Err(LoadError::Version {
                    found: brief(version),
                    fits: FITTING,
                });
            }
            _ => {}
        }
        if granted
            .iter()
            .any(|prefix| import.starts_with(prefix.as_str()))
        {
            stubs.push(import.clone());
        } else if import.starts_with("wasi:") {
            return Err(LoadError::Wasi(brief(import)));
        } else {
            return Err(LoadError::Import(brief(import)));
        }
    }
    Ok(stubs)
}

/// At most 200 characters of what somebody else wrote.
fn brief(text: &str) -> String {
    crate::text::clean(text, 200)
}
