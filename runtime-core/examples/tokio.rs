//! Drives a container from an async program: `tokio BUNDLE`.
//!
//! A [`Process`](husk_core::Process) is a pidfd, which becomes readable when the process ends: an event loop waits
//! for it as for a socket, without a thread, a signal handler or a timer.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use husk_core::{Bundle, CreateOptions, Created, Force, Runtime};
use std::error::Error;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

fn main() -> Result<(), Box<dyn Error>> {
    // Before there are threads: the program executes itself once more.
    husk_core::seal_own_binary()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    // Creating takes a few milliseconds of system calls, so it has its place among the blocking tasks.
    let Created { container, init } = tokio::task::spawn_blocking(move || {
        let runtime = Runtime::open("/run/husk-examples")?;
        runtime.create(&"tokio".parse()?, &Bundle::open(directory)?, &CreateOptions::new())
    })
    .await??;
    container.start()?;

    // What tokio newly asks for, unsafe, is that the fd stays the same: a Process sees to that.
    #[allow(deprecated)]
    let mut init = AsyncFd::new(init)?;
    if timeout(Duration::from_secs(10), init.readable()).await.is_err() {
        println!("it takes too long");
        container.kill(9)?;
        let _ = init.readable().await?;
    }
    let status = init.get_mut().wait()?;
    println!("it ended with {status}");
    container.delete(Force::No)?;
    Ok(())
}
