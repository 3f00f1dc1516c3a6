//! The compiling child for real: this program is its own compiler, as `hawser` is.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod fixtures;

use std::process::ExitCode;
use std::time::Duration;

use fixtures::Fixture;
use hawser_plugin::dpd::sample_evidence;
use hawser_plugin::{
    ChildCompiler, Compiler, DpdHost, Hook, LoadError, Options, Plugins, Scope, Source,
    compile_main,
};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    if arguments
        .nth(1)
        .is_some_and(|verb| verb == "plugin-compile")
    {
        return compile_main(arguments);
    }
    let test = |name: &str, run: fn()| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    };
    let trials = vec![
        test("a_child_compiles_what_the_gateway_runs", compiles),
        test("a_child_without_memory_is_an_error", without_memory),
        test("a_child_says_what_is_wrong", says_what_is_wrong),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn options(child: ChildCompiler) -> Options {
    Options {
        compiler: Compiler::Child(child),
        ..Options::default()
    }
}

fn load(options: Options, bytes: Vec<u8>) -> Result<DpdHost, LoadError> {
    let plugins = Plugins::new(options).unwrap();
    let source = Source {
        bytes,
        ..Source::default()
    };
    plugins.load(Hook::DpdPolicy, &Scope::global(), &source)?;
    Ok(DpdHost::new(plugins))
}

fn compiles() {
    let bytes = Fixture::dpd("good", 1_000).build();
    let mut host = load(options(ChildCompiler::this_program()), bytes).unwrap();
    let decided = host.decide("t", "t", &sample_evidence()).unwrap().unwrap();
    assert_eq!(decided.value.len(), 3);
}

fn without_memory() {
    let child = ChildCompiler {
        memory: 48 << 20,
        timeout: Duration::from_secs(30),
        ..ChildCompiler::this_program()
    };
    // 60,000 functions: more than 48 MiB hold.
    let mut fixture = Fixture::dpd("large", 1_000);
    fixture.items = "(func (result i64) i64.const 1 i64.const 2 i64.add)".repeat(60_000);
    let error = load(options(child), fixture.build()).map(drop).unwrap_err();
    assert!(matches!(error, LoadError::Compile(_)), "{error}");
}

fn says_what_is_wrong() {
    // A good frame around a core module that does not type-check.
    let mut bytes = Fixture::dpd("broken", 1_000).build();
    let code = [0x41, 0x80, 0x04, 0x0b];
    let at = bytes.windows(4).position(|four| four == code).unwrap();
    bytes[at] = 0x1a;
    let error = load(options(ChildCompiler::this_program()), bytes);
    let error = error.map(drop).unwrap_err().to_string();
    assert!(error.contains("cannot be compiled"), "{error}");
}
