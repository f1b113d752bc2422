//! Checks each location of secrets by writing, reading and removing a test secret. Then checks the secret of
//! each subscription.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Error;
use rustix::fs::Access;

use super::fix::{ask_passphrase, inaccessible_part, regain_access};
use super::state::{locked, not_writable};
use super::{Finding, Scene, secret, word};
use crate::credentials::{backend, manual_keychain_removal, round_trip};
use crate::error::Failure;
use crate::files;
use crate::paths::config_is_named;
use crate::pool::{Name, Source, Subscription};
use crate::report::counted;

pub(super) fn examine(scene: &Scene) -> Vec<Finding> {
    let subscriptions = scene.subscriptions();
    let of = |wanted: fn(&Source) -> bool| -> Vec<&Subscription> {
        subscriptions.iter().copied().filter(|known| wanted(&known.credential.source)).collect()
    };
    let in_file = of(|source| *source == Source::File);
    let in_keychain = of(|source| *source == Source::Keychain);
    let elsewhere = of(|source| matches!(source, Source::Command(_) | Source::Home(_)));
    let mut found = Vec::new();
    if scene.config.is_some() && (!in_file.is_empty() || scene.paths.credentials.exists()) {
        found.extend(file(&in_file, scene));
    }
    if !in_keychain.is_empty() {
        found.extend(keychain(&in_keychain, scene));
    }
    if !elsewhere.is_empty() {
        let problems = secret::examine(&elsewhere, scene);
        let credentials = counted(elsewhere.len() as u64, "credential");
        let message = format!("{credentials} from commands or login directories");
        found.extend(or_ok(problems, "credentials", message));
    }
    found
}

/// The findings or, if there are none, an ok finding.
fn or_ok(found: Vec<Finding>, code: &'static str, message: String) -> Vec<Finding> {
    if found.is_empty() { vec![Finding::ok(code, message)] } else { found }
}

fn file(subscriptions: &[&Subscription], scene: &Scene) -> Vec<Finding> {
    let paths = &scene.paths;
    let store = &paths.credentials;
    let private = [("credentials-readable", store), ("identity-readable", &paths.identity)]
        .into_iter()
        .filter_map(|(code, path)| {
            let mode = fs::metadata(path).ok()?.permissions().mode();
            let message = format!("other users can read {}", scene.shown(path));
            (mode & 0o077 != 0).then(|| Finding::warning(code, message, format!("chmod 600 {}", word(path))))
        });
    let mut found: Vec<_> = private.collect();
    let names = match backend(&Source::File, paths).list() {
        Ok(names) => names,
        Err(why) => {
            found.push(not_opened(&why, subscriptions, scene));
            return found;
        }
    };
    let dir = store.parent().unwrap_or(store);
    let unwritable = not_writable("credentials-not-writable", dir, "XDG_DATA_HOME", scene)
        .or_else(|| locked("credentials-locked", &files::sibling(store, ".lock"), scene))
        .or_else(|| {
            let why = store.exists().then(|| round_trip(&Source::File, paths).err()).flatten()?;
            let fix = format!("df {}", word(dir));
            Some(Finding::error("credentials-round-trip", format!("{why:#}"), fix))
        });
    found.extend(unwritable);
    let forget = |name: &Name| format!("kage subscription credential {name} --forget");
    found.extend(orphans(&names, &Source::File, scene, forget));
    found.extend(secret::examine(subscriptions, scene));
    let secrets = counted(subscriptions.len() as u64, "secret");
    or_ok(
        found,
        "credentials-file",
        format!("credentials file {}: {secrets}, readable and writable", scene.shown(store)),
    )
}

/// The finding for a credentials file that cannot be opened. If the key is lost, the secrets are lost, and
/// the fix asks for them again.
fn not_opened(why: &Error, subscriptions: &[&Subscription], scene: &Scene) -> Finding {
    let hint = why.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_deref()).unwrap_or_default();
    let message = format!("{why:#}");
    if hint.contains("KAGE_PASSPHRASE") {
        return Finding::error("credentials-passphrase", message, ask_passphrase(scene));
    }
    let (credentials, identity) = (&scene.paths.credentials, &scene.paths.identity);
    let denied = why.chain().filter_map(|why| why.downcast_ref::<io::Error>());
    if denied.into_iter().any(|why| why.kind() == ErrorKind::PermissionDenied) {
        let files = [credentials, identity].into_iter();
        let part = files.into_iter().find_map(|file| inaccessible_part(file, Access::READ_OK));
        let fix = regain_access(part.as_ref().unwrap_or(credentials), scene);
        return Finding::error("credentials-unreadable", message, fix);
    }
    let aside = |file: &Path| format!("mv {0} {0}.damaged && ", word(file));
    // An invalid identity cannot be used for a new file either. A valid identity that does not fit this file
    // can.
    let is_of_identity = message.contains(&format!("{} is not", identity.display())) || identity.is_dir();
    let identity = if is_of_identity { aside(identity) } else { String::new() };
    let replace: Vec<_> =
        subscriptions.iter().map(|known| format!("kage subscription credential {}", known.name)).collect();
    let fix = format!("{}{identity}{}", aside(credentials), replace.join(" && "));
    let fix = fix.trim_end_matches(" && ");
    Finding::error("credentials-unopened", message, fix)
}

fn keychain(subscriptions: &[&Subscription], scene: &Scene) -> Vec<Finding> {
    let source = Source::Keychain;
    if let Err(why) = round_trip(&source, &scene.paths) {
        let unreachable = subscriptions.iter().map(|known| {
            let message = format!("the credential of `{}` could not be read: {why:#}", known.name);
            let fix = format!("kage subscription credential {} --credential file", known.name);
            Finding::error("keychain-unreachable", message, fix)
        });
        return unreachable.collect();
    }
    let names = backend(&source, &scene.paths).list().unwrap_or_default();
    let mut found = orphans(&names, &source, scene, manual_keychain_removal);
    found.extend(secret::examine(subscriptions, scene));
    let secrets = counted(subscriptions.len() as u64, "secret");
    or_ok(found, "keychain", format!("keychain: {secrets}, readable and writable"))
}

/// The findings for secrets that no subscription uses. All configs share the locations of secrets: if the
/// config is set by `KAGE_CONFIG` or is empty, another config may use the secrets, and none is reported.
fn orphans(names: &[Name], source: &Source, scene: &Scene, fix: impl Fn(&Name) -> String) -> Vec<Finding> {
    let pool = scene.config.as_ref().map(|config| &config.pool.subscriptions);
    let Some(pool) = pool.filter(|pool| !pool.is_empty() && !config_is_named()) else { return Vec::new() };
    let is_used = |name: &Name| pool.get(name).is_some_and(|known| known.credential.source == *source);
    let location = match source {
        Source::File => format!("the file {}", scene.shown(Path::new(&scene.paths.credentials))),
        _ => "the keychain".to_owned(),
    };
    let orphans = names.iter().filter(|name| !is_used(name));
    orphans
        .map(|name| {
            let message = format!("{location} contains a secret `{name}` that no subscription uses");
            Finding::warning("secret-orphan", message, fix(name))
        })
        .collect()
}
