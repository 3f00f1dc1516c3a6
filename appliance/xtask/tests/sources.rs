//! House rules for the sources: sizes, and what the packages below the engine may not name.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// A file has one subject.
const FILE_LINES: usize = 800;
/// A function fits on a screen, or nearly.
const FUNCTION_LINES: usize = 100;

/// Folders of the packages below the engine.
const PURE: &[&str] = &[
    "flight", "crypto", "policy", "ike", "esp", "shard", "config",
];

/// What reaches the outside, the clock, or chance, by the path that code would name it by.
const FORBIDDEN: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "rand::rng",
    "std::env",
    "std::fs",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::thread",
];

#[test]
fn files_and_functions_are_short() {
    let mut long = Vec::new();
    for path in sources(&root()) {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        if lines > FILE_LINES {
            long.push(format!(
                "{}: {lines} lines, {FILE_LINES} allowed",
                path.display()
            ));
        }
        let mut functions = Functions {
            path: &path,
            long: &mut long,
        };
        functions.visit_file(&parse(&path, &text));
    }
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}

#[test]
fn below_the_engine_nothing_names_the_outside_or_the_clock() {
    let mut found = Vec::new();
    for package in PURE {
        let all = sources(&root().join("appliance").join(package).join("src"));
        for path in all.into_iter().filter(|path| !holds_only_tests(path)) {
            let text = fs::read_to_string(&path).unwrap();
            let mut names = Names {
                path: &path,
                found: &mut found,
            };
            names.visit_file(&parse(&path, &text));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn the_check_of_names_finds_every_spelling_outside_of_tests() {
    let text = "use std::{fmt, fs};
        use std::net::{IpAddr, UdpSocket as Socket};
        use std::time::Instant;
        fn clock() { let _ = Instant::now(); let _ = std::time::SystemTime::now(); }
        fn file() -> std::io::Result<Vec<u8>> { std::fs::read(path) }
        #[cfg(test)]
        mod tests { use std::thread; }";
    let mut found = Vec::new();
    let mut names = Names {
        path: Path::new("x.rs"),
        found: &mut found,
    };
    names.visit_file(&syn::parse_file(text).unwrap());
    let lines: Vec<&str> = found
        .iter()
        .map(|line| line.split(' ').nth(1).unwrap())
        .collect();
    let expected = [
        "`std::fs`",
        "`std::net::UdpSocket`",
        "`Instant::now`",
        "`std::time::SystemTime::now`",
        "`std::fs::read`",
    ];
    assert_eq!(lines, expected);
}

/// Collects functions that are too long.
struct Functions<'a> {
    path: &'a Path,
    long: &'a mut Vec<String>,
}

impl Functions<'_> {
    fn measure(&mut self, name: &syn::Ident, span: Span) {
        let lines = span.end().line - span.start().line + 1;
        if lines > FUNCTION_LINES {
            self.long.push(format!(
                "{}:{}: fn {name} has {lines} lines, {FUNCTION_LINES} allowed",
                self.path.display(),
                span.start().line
            ));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        // What a test lists is data.
        if !is_test(&function.attrs) {
            self.measure(&function.sig.ident, function.block.span());
        }
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig.ident, function.block.span());
        visit::visit_impl_item_fn(self, function);
    }
}

/// Collects forbidden names outside of tests.
struct Names<'a> {
    path: &'a Path,
    found: &'a mut Vec<String>,
}

impl Names<'_> {
    fn check(&mut self, name: &str, span: Span) {
        let named = |forbidden: &&&str| {
            let rest = name
                .strip_prefix(**forbidden)
                .or_else(|| name.strip_suffix(**forbidden));
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.starts_with("::") || rest.ends_with("::")
            })
        };
        if let Some(forbidden) = FORBIDDEN.iter().find(named) {
            self.found.push(format!(
                "{}:{}: `{name}` names {forbidden}",
                self.path.display(),
                span.start().line
            ));
        }
    }

    fn check_tree(&mut self, before: &str, tree: &syn::UseTree) {
        let (last, span) = match tree {
            syn::UseTree::Path(path) => {
                return self.check_tree(&format!("{before}{}::", path.ident), &path.tree);
            }
            syn::UseTree::Group(group) => {
                return group
                    .items
                    .iter()
                    .for_each(|tree| self.check_tree(before, tree));
            }
            syn::UseTree::Name(name) => (name.ident.to_string(), name.ident.span()),
            syn::UseTree::Rename(name) => (name.ident.to_string(), name.ident.span()),
            syn::UseTree::Glob(glob) => (String::new(), glob.star_token.span()),
        };
        self.check(format!("{before}{last}").trim_end_matches(':'), span);
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.check_tree("", &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.check(&words.join("::"), path.span());
        visit::visit_path(self, path);
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[test]` or `#[cfg(test)]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let cfg = attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|word| word == "test");
        cfg || attribute.path().is_ident("test")
    })
}

/// `tests.rs`, or below a folder `tests`: modules behind `#[cfg(test)]`.
fn holds_only_tests(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// Every Rust source below `dir`, but for what was built.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn parse(path: &Path, text: &str) -> syn::File {
    syn::parse_file(text)
        .unwrap_or_else(|error| panic!("{}:{:?}: {error}", path.display(), error.span().start()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}
