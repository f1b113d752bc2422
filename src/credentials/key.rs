//! The key of the credentials file: from a passphrase, or from an identity file that is created on first use.

use std::env;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use argon2::{Algorithm, Argon2, Params, Version};
use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

use super::command::{self, Output};
use super::envelope::{KEY, KeyForm, random};
use crate::error::{Failure, Notice, Status};
use crate::files;
use crate::secret::{PASSPHRASE, Secret};

/// The text before the key in an identity file.
const PREFIX: &str = "KAGE-IDENTITY-1 ";
const PASSPHRASE_FILE: &str = "KAGE_PASSPHRASE_FILE";
const PASSPHRASE_COMMAND: &str = "KAGE_PASSPHRASE_COMMAND";
/// OWASP's first choice for Argon2id: 19 MiB, 2 passes, 1 lane; about 40 ms. Source: OWASP Password
/// Storage Cheat Sheet.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// The maximum memory that a file may require, in KiB (1 GiB).
const MOST_MEMORY: u32 = 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) type Key = Zeroizing<[u8; KEY]>;

/// Returns the form and key of a new file, from the passphrase if there is one, otherwise from the identity.
/// The notice reports a new identity, or one that other users can read.
pub(super) fn for_new_file(identity: &Path) -> Result<(KeyForm, Key, Option<Notice>)> {
    if let Some(passphrase) = passphrase()? {
        let salt = Base64::encode_string(&random::<16>()?);
        let form = KeyForm::Argon2id { salt, memory: MEMORY, passes: PASSES };
        let key = derive(&form, &passphrase)?;
        return Ok((form, key, None));
    }
    if let Some(key) = read_identity(identity)? {
        return Ok((KeyForm::Identity, key, readable_by_others(identity)));
    }
    let key = make_identity(identity)?;
    let message = format!(
        "created the identity file {}: it protects copies and backups of the credentials file, \
         but programs that run as you can still read the secrets",
        identity.display()
    );
    Ok((KeyForm::Identity, key, Some(Notice::news(message))))
}

/// Returns the key of an existing file.
pub(super) fn for_existing_file(form: &KeyForm, identity: &Path, file: &Path) -> Result<Key> {
    match form {
        KeyForm::Identity => read_identity(identity)?.ok_or_else(|| {
            let message = format!(
                "{} is encrypted with the identity file {}, which does not exist",
                file.display(),
                identity.display()
            );
            Failure::new(Status::Failed, message)
                .hint("restore that file, or set KAGE_IDENTITY to its path")
                .into()
        }),
        KeyForm::Argon2id { .. } => {
            let passphrase = passphrase()?.ok_or_else(|| {
                let message = format!("{} is encrypted with a passphrase", file.display());
                let hint = format!("set {PASSPHRASE}, {PASSPHRASE_FILE} or {PASSPHRASE_COMMAND}");
                Failure::new(Status::Failed, message).hint(hint)
            })?;
            derive(form, &passphrase)
        }
    }
}

fn derive(form: &KeyForm, passphrase: &Secret) -> Result<Key> {
    let KeyForm::Argon2id { salt, memory, passes } = form else {
        return Err(anyhow!("the key has no passphrase"));
    };
    let salt =
        Base64::decode_vec(salt).map_err(|_| anyhow!("the salt of the credentials file is damaged"))?;
    let fits = *memory <= MOST_MEMORY && *passes <= 64;
    let params = fits.then(|| Params::new(*memory, *passes, 1, Some(KEY)).ok()).flatten();
    let params = params.context("the credentials file has unreasonable key derivation parameters")?;
    let mut key = Zeroizing::new([0; KEY]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.expose().as_bytes(), &salt, &mut *key)
        .map_err(|why| anyhow!("could not derive a key from the passphrase: {why}"))?;
    Ok(key)
}

/// Whether one of the three passphrase variables is set.
pub(super) fn has_passphrase() -> bool {
    let is_set = |variable| env::var_os(variable).is_some_and(|value| !value.is_empty());
    [PASSPHRASE, PASSPHRASE_FILE, PASSPHRASE_COMMAND].into_iter().any(is_set)
}

/// Returns the passphrase from the first of the three variables that is set.
fn passphrase() -> Result<Option<Secret>> {
    let set = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty());
    let (variable, bytes) = if let Some(text) = set(PASSPHRASE) {
        (PASSPHRASE, text.into_encoded_bytes())
    } else if let Some(file) = set(PASSPHRASE_FILE) {
        let file = Path::new(&file);
        (PASSPHRASE_FILE, fs::read(file).with_context(|| format!("could not read {}", file.display()))?)
    } else if let Some(line) = set(PASSPHRASE_COMMAND) {
        let line = line.to_string_lossy();
        match command::output_of(&line, PATIENCE)? {
            Output::Bytes(bytes) => (PASSPHRASE_COMMAND, bytes),
            Output::Failed(why) => {
                let message = format!("{PASSPHRASE_COMMAND} `{line}` {why}");
                return Err(Failure::new(Status::Failed, message).hint(format!("to test it: {line}")).into());
            }
        }
    } else {
        return Ok(None);
    };
    let secret = Secret::parse(bytes).map_err(|why| {
        let message = format!("the passphrase from {variable} is unusable: {why}");
        Failure::new(Status::Failed, message).hint("a passphrase is one line of text")
    })?;
    Ok(Some(secret))
}

fn read_identity(path: &Path) -> Result<Option<Key>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(None),
        Err(other) => return Err(other).with_context(|| format!("could not read {}", path.display())),
    };
    let line = text.lines().find_map(|line| line.strip_prefix(PREFIX));
    let mut key = Zeroizing::new([0; KEY]);
    let decoded = line.and_then(|line| Base64::decode(line.trim(), &mut *key).ok().map(<[u8]>::len));
    if decoded != Some(KEY) {
        let message = format!("{} is not a kage identity", path.display());
        let hint = "restore that file, or set KAGE_IDENTITY to the path of the right identity file";
        return Err(Failure::new(Status::Failed, message).hint(hint).into());
    }
    Ok(Some(key))
}

fn make_identity(path: &Path) -> Result<Key> {
    let key = Zeroizing::new(random::<KEY>()?);
    let encoded = Zeroizing::new(Base64::encode_string(&*key));
    let text = Zeroizing::new(format!(
        "# The key of kage's credentials file. Do not lose it, and keep it secret.\n{PREFIX}{}\n",
        *encoded
    ));
    if let Some(parent) = path.parent() {
        files::make_private_dir(parent)?;
    }
    let could_not = || format!("could not write {}", path.display());
    let mut file = files::private().create_new(true).write(true).open(path).with_context(could_not)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // If the disk is full, half a key would remain, and from then on it would be rejected as invalid.
        let _ = fs::remove_file(path);
    }
    written.with_context(could_not)?;
    Ok(key)
}

/// Returns a warning if others can read the identity file.
pub(super) fn readable_by_others(identity: &Path) -> Option<Notice> {
    let is_open = fs::metadata(identity).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    let message = || format!("other users can read {0}; to fix it: chmod 600 {0}", identity.display());
    is_open.then(|| Notice::new(message()))
}
