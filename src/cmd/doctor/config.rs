//! The config: whether it can be read, and whether it refers to things that do not exist.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::fix::{is_own, make_usable};
use super::state::not_writable;
use super::{Finding, Scene, edit, unset, word};
use crate::cmd::probe::{Answer, ask};
use crate::config::{self, Config};
use crate::paths::config_is_named;
use crate::pool::{Pool, Route, Selector};
use crate::report::counted;
use crate::secret;

/// Reads the config into the scene, if possible.
pub(super) fn examine(scene: &mut Scene) -> Vec<Finding> {
    let file = &scene.paths.config;
    if config_is_named() && fs::metadata(file).is_err_and(|why| why.kind() == ErrorKind::NotFound) {
        let message = format!("KAGE_CONFIG names {}, which does not exist", scene.shown(file));
        return vec![Finding::warning("config-missing", message, unset("KAGE_CONFIG", scene))];
    }
    if let Ok(target) = fs::read_link(file)
        && !file.exists()
    {
        let message =
            format!("{} is a link to {}, which does not exist", scene.shown(file), scene.shown(&target));
        return vec![Finding::error("config-dangling", message, format!("mv {0} {0}.old", word(file)))];
    }
    let config = match Config::load(&scene.paths) {
        Ok(config) => config,
        Err(why) => return vec![invalid(file, &format!("{why:#}"), scene)],
    };
    let mut found = permissions(file, &config, scene);
    found.extend(not_changeable(file, scene));
    found.extend(dangling_references(&config, scene));
    let pool = &config.pool;
    if pool.subscriptions.is_empty() {
        found.push(Finding::warning(
            "no-subscriptions",
            "the pool has no subscriptions",
            "kage subscription add work",
        ));
    } else if let Some(first) = pool.subscriptions.keys().next()
        && pool.subscriptions.values().all(|subscription| !subscription.enabled)
    {
        let fix = format!("kage subscription enable {first}");
        found.push(Finding::warning("none-enabled", "all subscriptions are disabled", fix));
    }
    if found.is_empty() {
        let subscriptions = counted(pool.subscriptions.len() as u64, "subscription");
        let routes = counted(pool.routes.len() as u64, "route");
        let message = format!("config {}: {subscriptions}, {routes}", scene.shown(file));
        found.push(Finding::ok("config", message));
    }
    scene.config = Some(config);
    found
}

/// The finding for an invalid config. The error message contains the file and usually a line.
fn invalid(file: &Path, why: &str, scene: &Scene) -> Finding {
    if file.is_dir() {
        let file = word(file);
        let fix =
            if config_is_named() { unset("KAGE_CONFIG", scene) } else { format!("mv {file} {file}.old") };
        return Finding::error("config-is-directory", why, fix);
    }
    let prefix = format!("{}:", file.display());
    let line = why.strip_prefix(&prefix).and_then(|rest| rest.split(':').next()?.parse().ok());
    match line {
        Some(line) if why.contains("unknown key") => {
            Finding::error("config-unknown-key", why, edit(file, line))
        }
        Some(line) => Finding::error("config-invalid", why, edit(file, line)),
        None => Finding::error("config-unreadable", why, make_usable(file, scene)),
    }
}

/// The findings if other users can read or write the config, which contains commands that kage runs.
fn permissions(file: &Path, config: &Config, scene: &Scene) -> Vec<Finding> {
    let mode = fs::metadata(file).map_or(0, |known| known.permissions().mode());
    let shown = scene.shown(file);
    if mode & 0o002 != 0 {
        let message = format!("all users can write to {shown} and so run commands as you");
        return vec![Finding::error("config-writable", message, format!("chmod o-w {}", word(file)))];
    }
    let mut variables = config.pool.subscriptions.values().flat_map(|known| known.env.keys());
    let has_secrets = variables.any(|name| secret::is_secret_name(name));
    if mode & 0o077 != 0 && has_secrets {
        let message = format!("other users can read {shown}, which contains a secret in an `env`");
        return vec![Finding::warning("config-readable", message, format!("chmod 600 {}", word(file)))];
    }
    Vec::new()
}

/// The finding if `kage subscription` cannot change the config. A config in another location may be read-only
/// on purpose.
fn not_changeable(file: &Path, scene: &Scene) -> Option<Finding> {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let dir = real.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = not_writable("config-not-writable", dir, "", scene)?;
    let is_kept_elsewhere = config_is_named() || file.is_symlink();
    if is_kept_elsewhere && !is_own(dir) {
        let message = format!("kage cannot change the config: {}", found.message);
        return Some(Finding::ok("config-read-only", message));
    }
    Some(Finding::warning("config-not-writable", found.message, found.fix.unwrap_or_default()))
}

fn dangling_references(config: &Config, scene: &Scene) -> Vec<Finding> {
    let file = &scene.paths.config;
    let mut found = Vec::new();
    for (key, route) in &config.pool.routes {
        if is_empty(route, &config.pool) {
            let message = format!("the route `{key}` matches no subscription, so its runs find none");
            let fix = format!("kage subscription route --remove {key}");
            found.push(Finding::warning("route-empty", message, fix));
        }
    }
    for (name, repos) in &config.namespaces {
        for repo in repos.iter().filter(|repo| !repo.is_dir()) {
            let message = format!(
                "`repos` of the namespace `{name}` contains {}, which is not a directory",
                scene.shown(repo)
            );
            let line = config::line_of(&scene.paths, &["namespaces", name.as_str(), "repos"]);
            found.push(Finding::warning("repo-missing", message, edit(file, line)));
        }
    }
    found.extend(config.event_command.as_ref().and_then(|command| event_command(command, scene)));
    found
}

fn is_empty(route: &Route, pool: &Pool) -> bool {
    let mut selectors = route.primary.iter().chain(&route.fallback);
    !selectors.any(|selector| match selector {
        Selector::Name(name) => pool.subscriptions.contains_key(name),
        Selector::Tag(tag) => pool.subscriptions.values().any(|known| known.tags.contains(tag)),
    })
}

/// The finding if the program of the event command is missing. A command that begins with shell syntax cannot
/// be checked.
fn event_command(command: &str, scene: &Scene) -> Option<Finding> {
    let program = command.split_whitespace().next()?;
    let odd = |letter: char| !letter.is_ascii_alphanumeric() && !"-_./~+".contains(letter);
    if program.contains(odd) {
        return None;
    }
    let lookup = match program.strip_prefix('~') {
        Some(rest) => format!("command -v ~{rest}"),
        None => format!("command -v {program}"),
    };
    match ask(Path::new("/bin/sh"), &["-c", &lookup], &scene.withheld) {
        Answer::Said(_) | Answer::Silent(_) => None,
        Answer::Failed(_) => {
            let message = format!("`{program}` in `[events] command` was not found");
            let line = config::line_of(&scene.paths, &["events", "command"]);
            Some(Finding::warning("event-command-missing", message, edit(&scene.paths.config, line)))
        }
    }
}
