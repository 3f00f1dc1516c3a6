//! Signatures, the cache of compiled code, and the child that compiles.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod fixtures;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use fixtures::Fixture;
use hawser_plugin::{
    Cache, ChildCompiler, Compiler, Hook, LoadError, Options, Plugins, Scope, Source,
};

fn load(options: Options, source: &Source) -> Result<(), LoadError> {
    let plugins = Plugins::new(options)?;
    plugins.load(Hook::DpdPolicy, &Scope::global(), source)?;
    Ok(())
}

fn good() -> Source {
    Source {
        bytes: Fixture::dpd("good", 1_000).build(),
        ..Source::default()
    }
}

#[test]
fn with_a_key_only_its_signatures_pass() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let key: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
    let check = |source: &Source| {
        load(
            Options {
                keys: vec![[1; 32], key],
                ..Options::default()
            },
            source,
        )
    };
    let mut source = good();
    assert!(matches!(check(&source), Err(LoadError::Unsigned)));
    let signature = pair.sign(&source.bytes);
    source.signature = Some(signature.as_ref().to_vec());
    check(&source).unwrap();
    source.signature = Some(format!("{}\n", hex::encode(signature.as_ref())).into_bytes());
    check(&source).unwrap();
    source.signature = Some(vec![0; 64]);
    assert!(matches!(check(&source), Err(LoadError::Signature(_))));

    // In a custom section at the end.
    source.signature = None;
    let name = b"hawser-signature";
    let length = u8::try_from(1 + name.len() + 64).unwrap();
    source
        .bytes
        .extend([0, length, u8::try_from(name.len()).unwrap()]);
    source.bytes.extend(name);
    source.bytes.extend(signature.as_ref());
    check(&source).unwrap();
    let last = source.bytes.len() - 1;
    source.bytes[last] ^= 1;
    assert!(matches!(check(&source), Err(LoadError::Signature(_))));
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|e| e == "cwasm"))
        .collect()
}

fn only_file(dir: &Path) -> PathBuf {
    let mut files = files(dir);
    assert_eq!(files.len(), 1);
    files.remove(0)
}

#[test]
fn the_cache_believes_only_what_this_gateway_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    // Nothing can be compiled: what loads came from the cache.
    let no_compiler = || {
        Compiler::Child(ChildCompiler {
            program: "/bin/false".into(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(10),
            memory: 1 << 30,
        })
    };
    let options = |compiler| Options {
        compiler,
        cache: Some(Cache::open(&path).unwrap()),
        ..Options::default()
    };
    assert!(matches!(
        load(options(no_compiler()), &good()),
        Err(LoadError::Compile(_))
    ));
    load(options(Compiler::InProcess), &good()).unwrap();
    load(options(no_compiler()), &good()).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert_eq!(
        fs::metadata(path.join("key")).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let file = only_file(&path);
    let mut code = fs::read(&file).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    fs::write(&file, code).unwrap();
    assert!(matches!(
        load(options(no_compiler()), &good()),
        Err(LoadError::Compile(_))
    ));
    assert!(!file.exists());
    load(options(Compiler::InProcess), &good()).unwrap();
    // Another gateway's key.
    fs::write(path.join("key"), [1; 32]).unwrap();
    assert!(matches!(
        load(options(no_compiler()), &good()),
        Err(LoadError::Compile(_))
    ));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(Cache::open(&path), Err(LoadError::Io(..))));
}

/// As `plugin dev` fills it: a component each time that somebody saves.
#[test]
fn the_cache_keeps_what_was_used_last() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let load_with = |room: u64, millis: u64| {
        let options = Options {
            cache: Some(Cache::open(&path).unwrap().room(room)),
            ..Options::default()
        };
        load(options, &Fixture::dpd("good", millis).source()).unwrap();
    };
    load_with(u64::MAX, 1_000);
    let first = only_file(&path);
    let size = fs::metadata(&first).unwrap().len();
    // One that a writer which was killed left behind, older than all.
    let left = path.join(".tmpleft");
    fs::write(&left, vec![0; 64]).unwrap();
    for (file, hours) in [(&left, 3), (&first, 2)] {
        let file = fs::File::options().write(true).open(file).unwrap();
        let then = SystemTime::now() - Duration::from_secs(hours * 3600);
        file.set_modified(then).unwrap();
    }
    load_with(u64::MAX, 1_001);
    let second = files(&path).into_iter().find(|f| *f != first).unwrap();
    // The first is used again: now the second is the older one, and there is room for two.
    load_with(u64::MAX, 1_000);
    load_with(2 * size + size / 2, 1_002);
    assert!(first.exists() && !second.exists() && !left.exists());
    assert_eq!(files(&path).len(), 2);
    // What was compiled last stays though it does not fit, and so does the key.
    load_with(0, 1_003);
    assert_eq!(files(&path).len(), 1);
    assert!(!first.exists() && path.join("key").exists());
}

/// A compiler that is a line of shell.
fn child(shell: &str) -> Compiler {
    Compiler::Child(ChildCompiler {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), shell.into()],
        timeout: Duration::from_millis(500),
        memory: 2 << 30,
    })
}

#[test]
fn a_compiler_that_hangs_or_dies_is_an_error() {
    let attempt = |shell: &str| {
        let options = Options {
            compiler: child(shell),
            ..Options::default()
        };
        match load(options, &good()) {
            Err(LoadError::Compile(text)) => text,
            other => panic!("{other:?}"),
        }
    };
    assert!(attempt("exec sleep 60").contains("not done after"));
    assert!(attempt("echo no memory >&2; exit 3").contains("no memory"));
    assert!(attempt("kill -9 $$").contains("signal: 9"));
    assert!(!attempt("cat").is_empty());
}
