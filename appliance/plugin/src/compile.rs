//! Compiling: in a child process with bounds, because a large component takes seconds and 340 MB,
//! and because a compiler that dies must not take the gateway with it.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::engine::{Limits, compiling_engine};
use crate::fault::LoadError;

/// Compiled code is at most this many times larger than the component, and 16 MiB more.
const GROWTH: usize = 32;
const ERROR_TEXT: u64 = 4096;

/// Who compiles.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// This process: for tests and tools.
    InProcess,
    /// A child that calls [`compile_main`].
    Child(ChildCompiler),
}

/// A program that compiles, with bounds.
#[derive(Clone, Debug)]
pub struct ChildCompiler {
    /// Usually `/proc/self/exe`.
    pub program: PathBuf,
    /// What leads the program to [`compile_main`]: `["plugin-compile"]`.
    pub arguments: Vec<OsString>,
    /// It is killed after this time.
    pub timeout: Duration,
    /// Its address space in octets.
    pub memory: u64,
}

impl ChildCompiler {
    /// This program with the verb `plugin-compile`, one minute and 2 GiB.
    pub fn this_program() -> Self {
        Self {
            program: "/proc/self/exe".into(),
            arguments: vec!["plugin-compile".into()],
            timeout: Duration::from_secs(60),
            memory: 2 << 30,
        }
    }
}

impl Compiler {
    /// Machine code for an engine with these limits.
    pub(crate) fn compile(&self, bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, LoadError> {
        let compiled = match self {
            Self::InProcess => precompile(bytes, limits),
            Self::Child(child) => child.compile(bytes, limits),
        };
        compiled.map_err(LoadError::Compile)
    }
}

fn precompile(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, String> {
    compiling_engine(limits)
        .and_then(|engine| engine.precompile_component(bytes))
        .map_err(|error| format!("{error:#}"))
}

impl ChildCompiler {
    fn compile(&self, bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, String> {
        let program = self.program.display();
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(self.memory.to_string())
            .arg(limits.stack.to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("starting {program}: {error}"))?;
        let writer = feed(&mut child, bytes.to_vec());
        let most = bytes.len() * GROWTH + (16 << 20);
        let reader = drain(child.stdout.take(), most as u64);
        let errors = drain(child.stderr.take(), ERROR_TEXT);
        let status = wait(&mut child, self.timeout);
        let fed = join(writer);
        let (code, errors) = (join(reader)?, join(errors)?);
        let status = status?;
        if !status.success() {
            let text = String::from_utf8_lossy(&errors);
            return Err(format!("{} ({status})", text.trim()));
        }
        fed?;
        if code.len() >= most {
            return Err(format!("the compiler made more than {most} octets"));
        }
        Ok(code)
    }
}

fn feed(child: &mut Child, bytes: Vec<u8>) -> JoinHandle<io::Result<()>> {
    let stdin = child.stdin.take();
    spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&bytes)))
}

fn drain(from: Option<impl Read + Send + 'static>, most: u64) -> JoinHandle<io::Result<Vec<u8>>> {
    spawn(move || {
        let mut all = Vec::new();
        if let Some(from) = from {
            from.take(most).read_to_end(&mut all)?;
        }
        Ok(all)
    })
}

fn join<T>(thread: JoinHandle<io::Result<T>>) -> Result<T, String> {
    match thread.join() {
        Ok(result) => result.map_err(|error| format!("the compiler's pipes: {error}")),
        Err(_) => Err("the compiler's pipes: a thread panicked".into()),
    }
}

fn wait(child: &mut Child, timeout: Duration) -> Result<ExitStatus, String> {
    let end = Instant::now() + timeout;
    let outcome = loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() >= end => break format!("not done after {timeout:?}"),
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            Err(error) => break format!("waiting for the compiler: {error}"),
        }
    };
    // It may have ended meanwhile; either way it is reaped.
    let _ = child.kill();
    let _ = child.wait();
    Err(outcome)
}

/// The whole of the hidden verb `plugin-compile MEMORY STACK`: reads a component from standard
/// input, writes machine code to standard output. `arguments` are those after the verb.
pub fn compile_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match child_main(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn child_main(arguments: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    let numbers: Vec<u64> = arguments
        .into_iter()
        .filter_map(|argument| argument.to_str()?.parse().ok())
        .collect();
    let [memory, stack] = numbers[..] else {
        return Err("usage: plugin-compile MEMORY STACK (it is called by the gateway)".into());
    };
    bound(Resource::As, memory)?;
    bound(Resource::Core, 0)?;
    // It has what it needs; files it never opens, writes or creates.
    bound(Resource::Fsize, 0)?;
    let limits = Limits {
        stack: usize::try_from(stack).map_err(|error| error.to_string())?,
        ..Limits::default()
    };
    let mut bytes = Vec::new();
    let most = limits.file as u64 + 1;
    io::stdin()
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("reading the component: {error}"))?;
    let code = precompile(&bytes, &limits)?;
    let mut out = io::stdout().lock();
    out.write_all(&code)
        .and_then(|()| out.flush())
        .map_err(|error| format!("writing the code: {error}"))
}

fn bound(resource: Resource, most: u64) -> Result<(), String> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(resource, limit).map_err(|error| format!("limiting {resource:?}: {error}"))
}
