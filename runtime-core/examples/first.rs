fn main() -> husk_core::Result<()> {
    husk_core::reenter_sealed()?;
    let runtime = husk_core::Runtime::open("/run/husk-first")?;
    let bundle = husk_core::Bundle::open(std::env::args().nth(1).unwrap())?;
    let id: husk_core::ContainerId = "first".parse()?;
    let t = std::time::Instant::now();
    let husk_core::Created { container, mut init } =
        runtime.create(&id, &bundle, &husk_core::CreateOptions::new().trace("/tmp/trace.json"))?;
    eprintln!("{}", serde_json::to_string(&container.state()?).unwrap());
    container.start()?;
    let status = init.wait()?;
    eprintln!("{status} {:?}", t.elapsed());
    container.delete(husk_core::Force::No)?;
    Ok(())
}
