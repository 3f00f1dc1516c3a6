//! The plugins that ship, the SDK, and the templates of `hawser plugin new`: each in its language
//! and for each hook is made, tested, built, and loaded by the real host.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::step::{cargo, step};

const HOOKS: [&str; 3] = ["dpd-policy", "log-format", "peer-authorization"];
/// The settings without which the templates for authorization let nobody in.
const SETTINGS: &str = r#"{"suffix": ".branch.example"}"#;

/// Whether missing tools are an error. CI has everything.
fn must_be_whole() -> bool {
    env::var_os("CI").is_some()
}

/// Tests of the plugins and of the SDK, and `plugins/dist` against the sources.
pub(crate) fn check(root: &Path) -> Result<()> {
    for workspace in ["sdk", "plugins"] {
        let manifest = root.join(workspace).join("Cargo.toml");
        let on = |words: &[&str]| {
            let mut command = cargo();
            command.arg(words[0]).arg("--manifest-path").arg(&manifest);
            command.args(&words[1..]);
            command.env("CARGO_TARGET_DIR", folder(root));
            command
        };
        step(
            &format!("clippy of {workspace}"),
            on(&["clippy", "--locked", "--workspace", "--all-targets"])
                .args(["--", "-D", "warnings"]),
        )?;
        step(
            &format!("tests of {workspace}"),
            &mut on(&["test", "--locked", "--quiet", "--workspace"]),
        )?;
    }
    if !Path::new("/usr/bin/rust-lld").exists() {
        return missing(
            "plugins/dist is not compared: rustc-web rust-web-src rust-web-llvm lld-22",
        );
    }
    let mut compare = Command::new(root.join("plugins/build"));
    compare.arg("check").env("CARGO_TARGET_DIR", folder(root));
    step("plugins/dist against its sources", &mut compare)
}

/// Every template in every language.
pub(crate) fn templates(root: &Path) -> Result<()> {
    // As the tests build it: with the features of `-p hawser` alone all would be compiled again.
    step(
        "hawser, for its templates",
        cargo().args([
            "test",
            "--quiet",
            "--workspace",
            "--no-run",
            "--test",
            "rig",
        ]),
    )?;
    let mut harness = cargo();
    harness.args([
        "test",
        "--locked",
        "--quiet",
        "-p",
        "hawser-sdk",
        "--test",
        "component",
    ]);
    harness
        .arg("--manifest-path")
        .arg(root.join("sdk/Cargo.toml"));
    harness.args(["--", "--ignored"]);
    harness.env("CARGO_TARGET_DIR", folder(root));
    harness.env("HAWSER", target(root).join("debug/hawser"));
    step("the SDK's harness for components", &mut harness)?;
    let tools = folder(root).join("tools-of-templates");
    fs::create_dir_all(&tools)?;
    // At once: most of what they do takes one core each.
    thread::scope(|scope| {
        let tried = ["c", "python", "js", "rust"]
            .map(|language| scope.spawn(|| templates_in(root, language, &tools)));
        tried.into_iter().try_for_each(|language| {
            language
                .join()
                .unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
        })
    })
}

/// Every template in one language.
fn templates_in(root: &Path, language: &str, tools: &Path) -> Result<()> {
    let Some(path) = install(language, tools)? else {
        return missing(&format!(
            "templates in {language} are not tried: its tools are not here"
        ));
    };
    for hook in HOOKS {
        template(root, language, hook, &path)
            .with_context(|| format!("the template {language} {hook}"))?;
    }
    Ok(())
}

/// Makes, tests, builds and checks one project.
fn template(root: &Path, language: &str, hook: &str, tools: &Path) -> Result<()> {
    let place = folder(root).join("templates");
    fs::create_dir_all(&place)?;
    let name = format!("{language}-{hook}");
    let project = place.join(&name);
    if project.exists() {
        fs::remove_dir_all(&project)?;
    }
    let hawser = target(root).join("debug/hawser");
    let mut new = Command::new(&hawser);
    new.args(["plugin", "new", "--lang", language, "--hook", hook, &name]);
    new.arg("--repository").arg(root).current_dir(&place);
    step(&format!("template {name}"), &mut new)?;
    if language == "js" {
        std::os::unix::fs::symlink(tools.join("node_modules"), project.join("node_modules"))?;
    }
    let lines: &[&[&str]] = match language {
        "rust" => &[
            &["cargo", "test", "--quiet"],
            &["./build"],
            &["cargo", "test", "--quiet", "--", "--ignored"],
        ],
        "c" => &[&["make", "-s", "test"], &["make", "-s"]],
        "python" => &[&["python3", "-m", "unittest", "-q"], &["./build"]],
        _ => &[
            &["npm", "test", "--silent"],
            &["npm", "run", "--silent", "build"],
        ],
    };
    let path = env::var("PATH").unwrap_or_default();
    for words in lines {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&project);
        command.env("PATH", format!("{}:{path}", tools.display()));
        command.env("CARGO_TARGET_DIR", folder(root).join("rust-templates"));
        command.env("HAWSER", &hawser);
        step(&format!("{name}: {}", words.join(" ")), &mut command)?;
    }
    let mut check = Command::new(&hawser);
    check.args(["plugin", "check", "--for", hook]);
    check.arg(project.join(format!("{name}.wasm")));
    if hook == "peer-authorization" && language != "c" {
        check.args(["--settings", SETTINGS]);
    }
    step(&format!("{name} in the host"), &mut check)
}

/// The folder that has to be in PATH for this language; none: its tools cannot be had here.
fn install(language: &str, tools: &Path) -> Result<Option<PathBuf>> {
    match language {
        "rust" => Ok(Path::new("/usr/bin/rust-lld")
            .exists()
            .then(|| tools.to_owned())),
        "c" => {
            let there = Path::new("/usr/bin/clang-22").exists()
                && Path::new("/usr/lib/wasm32-wasi").exists();
            let bin = tools.join("bin");
            if there && !bin.join("wit-bindgen").exists() {
                let mut command = cargo();
                // It runs three times for a second: not worth optimizing.
                command.args(["install", "--quiet", "--locked", "--debug"]);
                command.arg("wit-bindgen-cli@0.61.1");
                command.args(["--no-default-features", "--features", "c", "--root"]);
                step("wit-bindgen for C", command.arg(tools))?;
            }
            Ok(there.then_some(bin))
        }
        "python" => {
            let bin = tools.join("python/bin");
            if !bin.join("componentize-py").exists() {
                let mut venv = Command::new("python3");
                if step(
                    "a place for Python",
                    venv.args(["-m", "venv"]).arg(tools.join("python")),
                )
                .is_err()
                {
                    return Ok(None);
                }
                let mut pip = Command::new(bin.join("pip"));
                step(
                    "componentize-py",
                    pip.args(["install", "-q", "componentize-py==0.25.1"]),
                )?;
            }
            Ok(Some(bin))
        }
        _ => {
            if !tools.join("node_modules").exists() {
                let mut npm = Command::new("npm");
                npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
                npm.arg(tools)
                    .arg("@bytecodealliance/componentize-js@0.23.0");
                if Command::new("npm").arg("--version").output().is_err() {
                    return Ok(None);
                }
                step("componentize-js", &mut npm)?;
            }
            Ok(Some(tools.to_owned()))
        }
    }
}

/// Says what is not tried; in CI nothing may be left out.
fn missing(what: &str) -> Result<()> {
    ensure!(!must_be_whole(), "{what}");
    eprintln!("xtask: SKIPPED: {what}");
    Ok(())
}

/// Where all of this is built.
fn folder(root: &Path) -> PathBuf {
    target(root).join("plugins")
}

fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
