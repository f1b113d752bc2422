//! Locks between kage processes, on files that hold nothing else.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{make_private_dir, private};
use crate::error::{Failure, Status};

/// How long a lock is waited for. Its holders keep it for milliseconds; a longer wait means that one of
/// them is stopped.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// An exclusive lock between kage processes, held until dropped or until the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Lock {
    /// Locks `path` for this process alone. The file is made at first use and never removed: the lock is on it, so
    /// replacing it would let two holders in.
    pub fn acquire(path: &Path, patience: Duration) -> Result<Self> {
        if let Some(parent) = path.parent() {
            make_private_dir(parent)?;
        }
        let file = private().create(true).truncate(false).write(true).open(path);
        let file = file.with_context(|| format!("could not open {}", path.display()))?;
        give_way();
        // fs2's, by its full name: std's `File` has methods of the same names that are newer than our Rust.
        if fs2::FileExt::try_lock_exclusive(&file).is_ok() {
            return Ok(Self(file));
        }
        // Blocking is fair, trying again and again starves; so block in a thread, and give up on the thread.
        let (done, wait) = mpsc::channel();
        thread::spawn(move || {
            let locked = fs2::FileExt::lock_exclusive(&file).map(|()| file);
            let _ = done.send(locked);
        });
        match wait.recv_timeout(patience) {
            Ok(locked) => locked.map(Self).with_context(|| format!("could not lock {}", path.display())),
            Err(_) => {
                let seconds = patience.as_secs();
                let message = format!("another kage has held {} for {seconds} s", path.display());
                Err(Failure::new(Status::Failed, message)
                    .hint("kage doctor names it; end it if it is stopped")
                    .into())
            }
        }
    }
}

/// When this process last gave a lock back.
static RELEASED: Mutex<Option<Instant>> = Mutex::new(None);
/// Who comes again sooner than this does one change after the other.
const AT_ONCE: Duration = Duration::from_micros(100);

impl Drop for Lock {
    fn drop(&mut self) {
        *RELEASED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// A lock that is free goes to whoever asks first, and those who wait for it have to wake up: a process that asks
/// again and again would have it for as long as it may run. Whoever has just had it lets the others go first.
fn give_way() {
    let released = *RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
    if released.is_some_and(|released| released.elapsed() < AT_ONCE) {
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_exclusive_and_says_who_to_look_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::acquire(&path, LOCK_PATIENCE).unwrap();
        let refused = Lock::acquire(&path, Duration::from_millis(50)).unwrap_err();
        assert!(refused.to_string().contains("another kage has held"), "{refused}");
        drop(held);
        Lock::acquire(&path, LOCK_PATIENCE).unwrap();
    }
}
