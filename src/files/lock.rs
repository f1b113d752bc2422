//! Locks between kage processes, on files without content.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{make_private_dir, private};
use crate::error::{Failure, Status};

/// How long to wait for a lock. Its holders keep it for milliseconds; a longer wait means that one of them is
/// stopped.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// An exclusive lock between kage processes, held until dropped or until the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Lock {
    /// Locks `path` for this process. The file is created at first use and never removed: the lock belongs to
    /// the file, not to its path, so replacing the file would allow two holders.
    pub fn acquire(path: &Path, patience: Duration) -> Result<Self> {
        if let Some(parent) = path.parent() {
            make_private_dir(parent)?;
        }
        let file = private().create(true).truncate(false).write(true).open(path);
        let file = file.with_context(|| format!("could not open {}", path.display()))?;
        yield_if_just_released();
        // The trait of fs2 is named in full, because newer versions of std's `File` have methods with the
        // same names.
        if fs2::FileExt::try_lock_exclusive(&file).is_ok() {
            return Ok(Self(file));
        }
        // A blocking wait is fair, and repeated attempts can starve. So a thread blocks, and is abandoned on
        // timeout.
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
                    .hint("`kage doctor` shows which process holds it; resume or end that process")
                    .into())
            }
        }
    }
}

/// When this process last released a lock.
static RELEASED: Mutex<Option<Instant>> = Mutex::new(None);
/// A process that locks again within this time is making one change after another.
const JUST_RELEASED: Duration = Duration::from_micros(100);

impl Drop for Lock {
    fn drop(&mut self) {
        *RELEASED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Lets waiting processes go first if this one just released a lock. A free lock goes to the first process
/// that requests it, and waiting processes must wake up first. Without this, a process that locks repeatedly
/// would keep the lock for its whole time slice.
fn yield_if_just_released() {
    let released = *RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
    if released.is_some_and(|released| released.elapsed() < JUST_RELEASED) {
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_exclusive_and_its_timeout_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::acquire(&path, LOCK_PATIENCE).unwrap();
        let refused = Lock::acquire(&path, Duration::from_millis(50)).unwrap_err();
        assert!(refused.to_string().contains("another kage has held"), "{refused}");
        drop(held);
        Lock::acquire(&path, LOCK_PATIENCE).unwrap();
    }
}
