//! kage's own encrypted file, for machines without a keychain: SSH hosts, WSL, containers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use zeroize::{Zeroize as _, Zeroizing};

use super::Backend;
use super::envelope::{Envelope, KeyForm};
use super::key::{self, Key};
use crate::error::{Failure, Notice, Status};
use crate::files::{self, Durability, LOCK_PATIENCE, Lock};
use crate::paths::Paths;
use crate::pool::Name;
use crate::secret::Secret;

/// The encrypted file and its identity.
pub(super) struct EncryptedFile {
    path: PathBuf,
    identity: PathBuf,
    /// Notices for the user, until the next `take_notices`.
    notices: RefCell<Vec<Notice>>,
}

/// The secrets by name. They are wiped when dropped.
#[derive(Default)]
struct Secrets(BTreeMap<Name, String>);

impl Drop for Secrets {
    fn drop(&mut self) {
        for secret in self.0.values_mut() {
            secret.zeroize();
        }
    }
}

impl EncryptedFile {
    pub(super) fn new(paths: &Paths) -> Self {
        Self::at(paths.credentials.clone(), paths)
    }

    fn at(path: PathBuf, paths: &Paths) -> Self {
        Self { path, identity: paths.identity.clone(), notices: RefCell::default() }
    }

    /// Writes and reads a trial file next to the user's, with the same key.
    pub(super) fn round_trip(paths: &Paths) -> Result<()> {
        let path = files::sibling(&paths.credentials, ".trial");
        let trial = Self::at(path, paths);
        let name: Name = "trial".parse().map_err(|why: String| anyhow::anyhow!(why))?;
        let secret = Secret::parse(b"trial".to_vec()).map_err(|why| anyhow::anyhow!(why))?;
        // A trial file from an earlier check may have another key. Its error would seem to be about the
        // user's file.
        let _ = fs::remove_file(&trial.path);
        let tried = trial.set(&name, &secret).and_then(|()| trial.get(&name));
        let removed = fs::remove_file(&trial.path);
        let _ = fs::remove_file(files::sibling(&trial.path, ".lock"));
        if tried? != secret {
            anyhow::bail!("{} returned a different secret than the one stored", trial.path.display());
        }
        removed.with_context(|| format!("could not remove {}", trial.path.display()))
    }

    /// Returns the secrets and the key that seals them; `None` if there is no file yet.
    fn open(&self) -> Result<Option<(Secrets, KeyForm, Key)>> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(None),
            Err(other) => {
                return Err(other).with_context(|| format!("could not read {}", self.path.display()));
            }
        };
        let damaged = || format!("{} is damaged", self.path.display());
        let envelope = Envelope::parse(&bytes).with_context(damaged)?;
        let key = key::for_existing_file(&envelope.key, &self.identity, &self.path)?;
        if envelope.key == KeyForm::Identity {
            self.notices.borrow_mut().extend(key::readable_by_others(&self.identity));
        }
        let plain =
            envelope.open(&key).with_context(damaged)?.ok_or_else(|| self.wrong_key(&envelope.key))?;
        let secrets = Secrets(serde_json::from_slice(&plain).with_context(damaged)?);
        Ok(Some((secrets, envelope.key, key)))
    }

    fn wrong_key(&self, form: &KeyForm) -> Failure {
        let (what, hint) = match form {
            KeyForm::Identity => (
                format!("the identity file {}", self.identity.display()),
                "set KAGE_IDENTITY to the identity file of these credentials",
            ),
            KeyForm::Argon2id { .. } => ("the passphrase".to_owned(), "check KAGE_PASSPHRASE"),
        };
        let message = format!("{what} does not decrypt {}, or the file was changed", self.path.display());
        Failure::new(Status::Failed, message).hint(hint)
    }

    fn update<T>(&self, edit: impl FnOnce(&mut Secrets) -> T) -> Result<T> {
        let _lock = Lock::acquire(&files::sibling(&self.path, ".lock"), LOCK_PATIENCE)?;
        let (mut secrets, form, key) = match self.open()? {
            Some(opened) => {
                if opened.1 == KeyForm::Identity && key::has_passphrase() {
                    let (file, key) = (self.path.display(), self.identity.display());
                    let message = format!("{file} is encrypted with {key}; the passphrase is not used");
                    self.notices.borrow_mut().push(Notice::new(message));
                }
                opened
            }
            None => {
                let (form, key, notice) = key::for_new_file(&self.identity)?;
                self.notices.borrow_mut().extend(notice);
                (Secrets::default(), form, key)
            }
        };
        let answer = edit(&mut secrets);
        // Large enough even if every character is escaped: a vector that grows leaves unwiped copies.
        let room: usize =
            secrets.0.iter().map(|(name, secret)| 2 * (name.as_str().len() + secret.len()) + 8).sum();
        let mut plain = Zeroizing::new(Vec::with_capacity(room + 2));
        serde_json::to_writer(&mut *plain, &secrets.0)?;
        let sealed = serde_json::to_vec_pretty(&Envelope::seal(&plain, form, &key)?)?;
        files::replace(&self.path, &sealed, Durability::Machine)
            .with_context(|| format!("could not write {}", self.path.display()))?;
        Ok(answer)
    }
}

impl Backend for EncryptedFile {
    fn get(&self, name: &Name) -> Result<Secret> {
        let opened = self.open()?;
        let secret = opened.as_ref().and_then(|(secrets, ..)| secrets.0.get(name));
        let secret = secret.ok_or_else(|| {
            Failure::new(Status::Failed, format!("the encrypted file has no secret for `{name}`"))
                .hint(format!("kage subscription credential {name}"))
        })?;
        Secret::parse(secret.clone().into_bytes()).map_err(|why| {
            let message = format!("the secret of `{name}` is unusable: {why}");
            let hint = format!("kage subscription credential {name}");
            Failure::new(Status::Failed, message).hint(hint).into()
        })
    }

    fn set(&self, name: &Name, secret: &Secret) -> Result<()> {
        self.update(|secrets| secrets.0.insert(name.clone(), secret.expose().to_owned()).zeroize())
    }

    fn remove(&self, name: &Name) -> Result<bool> {
        if !self.has(name)? {
            return Ok(false);
        }
        self.update(|secrets| secrets.0.remove(name).zeroize()).map(|()| true)
    }

    fn has(&self, name: &Name) -> Result<bool> {
        Ok(self.open()?.is_some_and(|(secrets, ..)| secrets.0.contains_key(name)))
    }

    fn list(&self) -> Result<Vec<Name>> {
        Ok(self.open()?.map(|(secrets, ..)| secrets.0.keys().cloned().collect()).unwrap_or_default())
    }

    fn take_notices(&self) -> Vec<Notice> {
        let mut notices = self.notices.take();
        notices.dedup();
        notices
    }
}
