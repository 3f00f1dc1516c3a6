//! `hawser-componentize IN.wasm OUT.wasm`: the core module of a plugin becomes a component.

use anyhow::{Context, Result, bail};
use std::fs;
use wit_component::ComponentEncoder;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        bail!("usage: hawser-componentize IN.wasm OUT.wasm");
    };
    let module = fs::read(input).with_context(|| format!("reading {input}"))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .with_context(|| format!("{input} is not the module of a plugin"))?
        .encode()
        .with_context(|| format!("{input} lacks what its world demands"))?;
    fs::write(output, component).with_context(|| format!("writing {output}"))
}
