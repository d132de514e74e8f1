//! `embed COMMAND…`: runs a command in a container whose root is a read-only view of this machine, and says what came
//! out of it. No config file, no image: the config is made in memory, from the types that husk-core brings along.

use husk_core::{Bundle, ContainerId, CreateOptions, Created, Force, Runtime, Stdio, default_spec};
use std::error::Error;
use std::fs::File;
use std::io::{Read, pipe};
use std::process::ExitCode;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    husk_core::seal_own_binary()?;
    let command: Vec<String> = std::env::args().skip(1).collect();

    let mut spec = default_spec(false);
    if let Some(process) = spec.process_mut() {
        process.set_args(Some(command)).set_terminal(Some(false));
    }
    if let Some(root) = spec.root_mut() {
        root.set_path("/".into()).set_readonly(Some(true));
    }
    spec.set_hostname(Some("embedded".to_owned()));

    let (mut reader, writer) = pipe()?;
    let stdio = [File::open("/dev/null")?.into(), writer.try_clone()?.into(), writer.into()];
    let state = std::env::temp_dir().join(format!("embed-{}", std::process::id()));
    let runtime = Runtime::open(&state)?;
    let id: ContainerId = format!("embed-{}", std::process::id()).parse()?;
    // The options go at the end of this statement, and with them this program's ends of the pipe.
    let Created { container, mut init } = runtime.create(
        &id,
        &Bundle::from_spec(spec, "/")?,
        &CreateOptions::new().stdio(Stdio::Fds(stdio.into())),
    )?;

    let mut output = String::new();
    let lived = container.start().map_err(Box::from).and_then(|()| -> Result<_, Box<dyn Error>> {
        reader.read_to_string(&mut output)?;
        Ok(init.wait()?)
    });
    container.delete(Force::Yes)?;
    std::fs::remove_dir(state)?;

    let status = lived?;
    print!("{output}");
    println!("the container ended with {status}");
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
