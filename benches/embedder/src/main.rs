//! embedder: a program that has touched some memory and then makes a container with husk-core, again and again. Prints how
//! many seconds each `create` took, a line each.
//!
//!   embedder BUNDLE TIMES MIB [--dont-fork]        --dont-fork: that memory is no part of the copies that fork makes
//!
//! The unsafe code is one madvise(2) on memory of this program's own.

#![allow(clippy::expect_used)] // a benchmark that cannot go on ends

use husk_core::{Bundle, CreateOptions, Created, Force, Runtime, Stdio};
use std::error::Error;
use std::io::Write;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    husk_core::seal_own_binary()?;
    let arguments: Vec<String> = std::env::args().collect();
    let [_, bundle, times, mib, rest @ ..] = arguments.as_slice() else {
        return Err("usage: embedder BUNDLE TIMES MIB [--dont-fork]".into());
    };
    let resident = vec![1u8; mib.parse::<usize>()? << 20];
    if rest == ["--dont-fork"] {
        keep_from_copies(&resident);
    }
    let runtime = Runtime::open("/run/embedder")?;
    let bundle = Bundle::open(bundle)?;
    for _ in 0..times.parse()? {
        let options = CreateOptions::new().stdio(Stdio::Null);
        let began = Instant::now();
        let Created { container, mut init } = runtime.create(&"embedder".parse()?, &bundle, &options)?;
        let took = began.elapsed();
        container.delete(Force::Yes)?;
        init.wait()?;
        writeln!(std::io::stdout(), "{}", took.as_secs_f64())?;
    }
    // Until here nothing of it may be given back.
    assert!(resident.iter().step_by(4096).all(|&byte| byte == 1));
    Ok(())
}

fn keep_from_copies(memory: &[u8]) {
    let page = 4096;
    let unaligned = memory.as_ptr().align_offset(page);
    let whole = memory.len().saturating_sub(unaligned) / page * page;
    if whole == 0 {
        return;
    }
    // SAFETY: whole pages inside of the slice, which nobody looks at in a copy of this process: a new container's process
    // reads what husk-core has laid out for it, and nothing else of its caller's.
    let value = unsafe {
        libc::madvise(memory.as_ptr().add(unaligned).cast_mut().cast(), whole, libc::MADV_DONTFORK)
    };
    assert_eq!(value, 0, "madvise: {}", std::io::Error::last_os_error());
}
