//! The attacker of a race: a thread that exchanges two names for as long as it lives.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::Stop;

/// Exchanges two names (renameat2(2), RENAME_EXCHANGE) until it is dropped.
#[derive(Debug)]
pub struct Racer {
    stop: Arc<AtomicBool>,
    exchanges: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Racer {
    /// Both names have to exist.
    pub fn exchange(one: &Path, other: &Path) -> Racer {
        let (stop, exchanges) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let race = {
            let (stop, exchanges) = (Arc::clone(&stop), Arc::clone(&exchanges));
            let (one, other): (PathBuf, PathBuf) = (one.to_owned(), other.to_owned());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    if renameat2(AT_FDCWD, &one, AT_FDCWD, &other, RenameFlags::RENAME_EXCHANGE).is_ok() {
                        exchanges.fetch_add(1, Ordering::Relaxed);
                    } else {
                        // Something is mounted there for the moment.
                        std::thread::sleep(Duration::from_micros(20));
                    }
                }
            }
        };
        Racer { stop, exchanges, thread: Some(std::thread::spawn(race)) }
    }

    /// How often the names were exchanged. A race in which nothing moved is none.
    pub fn finish(mut self) -> Result<u64, Stop> {
        self.stop();
        match self.exchanges.load(Ordering::Relaxed) {
            0 => Err(Stop::Failed("the two names were never exchanged".to_owned())),
            count => Ok(count),
        }
    }

    fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.stop();
    }
}
