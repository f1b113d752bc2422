//! The config: any text loads or is refused with its line, and an edit changes only what it should.

use std::fs;
use std::path::Path;

use toml_edit::Value;

use crate::input::{dir, parts};
use kage::config::Config;
use kage::config::edit::{Draft, edit};
use kage::error::Failure;
use kage::paths::Paths;
use kage::pool::{Name, Pool, Route, Selector};

/// The input: a config, and edits of it, one per line.
pub(crate) fn check(data: &[u8]) {
    let (config, edits) = parts(data);
    let home = dir();
    let paths = Paths {
        config: home.join("config.toml"),
        state: home.join("kage"),
        credentials: home.join("credentials"),
        identity: home.join("identity"),
        shims: home.join("shims"),
        home,
    };
    fs::write(&paths.config, config).expect("the file can be written");
    match Config::load(&paths) {
        Ok(config) => {
            let edits = String::from_utf8_lossy(edits);
            let mut pool = config.pool;
            for line in edits.lines().take(8) {
                pool = edited(&paths, &pool, line);
            }
        }
        Err(refused) => check_refusal(&refused, &paths.config, config),
    }
}

/// A refusal names the file, a line of it, and what to do.
fn check_refusal(refused: &anyhow::Error, file: &Path, config: &[u8]) {
    let failure = refused.downcast_ref::<Failure>().expect("a refusal is a failure");
    let file = file.to_str().expect("the path is UTF-8");
    let rest = failure.message.strip_prefix(file).expect("it names the file");
    let line: usize =
        rest[1..].split(':').next().and_then(|line| line.parse().ok()).expect("it names the line");
    let lines = config.iter().filter(|&&byte| byte == b'\n').count() + 1;
    assert!((1..=lines).contains(&line), "line {line} of {lines}: {refused}");
    assert!(failure.hint.as_ref().is_some_and(|hint| !hint.trim().is_empty()), "{refused}");
}

/// An edit, from one line of the input.
enum Change {
    Add(Name),
    Set(Name, &'static str, Option<Value>),
    Variable(Name, String, String),
    Rename(Name, Name),
    Remove(Name),
    Route(String, Route),
    Unroute(String),
}

impl Change {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let verb = words.next()?;
        let first = words.next()?;
        let name = || first.parse::<Name>().ok();
        let second = words.next();
        Some(match verb {
            "add" => Self::Add(name()?),
            "priority" => {
                Self::Set(name()?, "priority", second.map(|value| i64::from(value.len() as u8).into()))
            }
            "description" => Self::Set(name()?, "description", second.map(Into::into)),
            "enabled" => Self::Set(name()?, "enabled", second.map(|value| (value == "true").into())),
            "env" => Self::Variable(name()?, second?.to_owned(), words.next().unwrap_or_default().to_owned()),
            "rename" => Self::Rename(name()?, second?.parse().ok()?),
            "remove" => Self::Remove(name()?),
            "unroute" => Self::Unroute(name()?.to_string()),
            "route" => {
                let list =
                    |text: &str| text.split(',').map(str::parse).collect::<Result<Vec<Selector>, _>>().ok();
                let fallback = words.next().map_or(Some(Vec::new()), list)?;
                Self::Route(name()?.to_string(), Route { primary: list(second?)?, fallback })
            }
            _ => return None,
        })
    }

    fn make(&self, draft: &mut Draft) -> anyhow::Result<()> {
        match self {
            Self::Add(name) => draft.add(name),
            Self::Set(name, key, value) => draft.set(name, key, value.clone()),
            Self::Variable(name, variable, value) => draft.set_variable(name, variable, value),
            Self::Rename(old, new) => draft.rename(old, new),
            Self::Remove(name) => {
                draft.remove(name);
                draft.remove_from_routes(name);
                Ok(())
            }
            Self::Route(key, route) => draft.set_route(key, route),
            Self::Unroute(key) => {
                draft.remove_route(key);
                Ok(())
            }
        }
    }

    /// The subscription whose fields it may change.
    fn target(&self) -> Option<&Name> {
        match self {
            Self::Add(name) | Self::Set(name, ..) | Self::Variable(name, ..) | Self::Remove(name) => {
                Some(name)
            }
            Self::Rename(..) | Self::Route(..) | Self::Unroute(_) => None,
        }
    }
}

/// The pool after one edit, if it was one.
fn edited(paths: &Paths, pool: &Pool, line: &str) -> Pool {
    let Some(change) = Change::read(line) else { return pool.clone() };
    let before = fs::read_to_string(&paths.config).expect("the config is UTF-8");
    let made = edit(paths, |draft| change.make(draft));
    let after = fs::read_to_string(&paths.config).expect("the config is UTF-8");
    let now = Config::load(paths).expect("an edited config loads").pool;
    if let Err(refused) = made {
        assert_eq!(after, before, "a refused edit changes nothing");
        assert!(refused.downcast_ref::<Failure>().is_some(), "{line}: {refused:#}");
        return now;
    }
    check_effect(&change, pool, &now, line);
    check_lines(&change, &before, &after, line);
    made.map(|()| now).expect("the edit was made")
}

/// The edit has its effect and no other.
fn check_effect(change: &Change, before: &Pool, after: &Pool, line: &str) {
    let shown = |pool: &Pool, name: &Name| pool.subscriptions.get(name).map(|one| format!("{one:?}"));
    match change {
        Change::Add(name) => assert!(after.subscriptions.contains_key(name)),
        Change::Remove(name) => assert!(!after.subscriptions.contains_key(name)),
        Change::Set(name, "description", Some(value)) => {
            assert_eq!(after.subscriptions[name].description.as_deref(), value.as_str());
        }
        Change::Variable(name, variable, value) => {
            let known = after.subscriptions[name].env.get(variable);
            assert_eq!(known, Some(value).filter(|value| !value.is_empty()));
        }
        Change::Rename(old, new) => {
            let renamed = before.subscriptions[old].clone();
            let renamed = kage::pool::Subscription { name: new.clone(), ..renamed };
            assert_eq!(shown(after, new), Some(format!("{renamed:?}")), "{line}");
            assert!(!after.subscriptions.contains_key(old));
        }
        Change::Route(key, route) => assert_eq!(after.routes.get(key.as_str()), Some(route)),
        Change::Unroute(key) => assert!(!after.routes.contains_key(key.as_str())),
        Change::Set(..) => {}
    }
    if !matches!(change, Change::Rename(..)) {
        let others = before.subscriptions.keys().filter(|name| Some(*name) != change.target());
        for other in others {
            assert_eq!(shown(after, other), shown(before, other), "{line}");
        }
    }
    assert_eq!(format!("{:?}", before.namespaces), format!("{:?}", after.namespaces));
    if !matches!(change, Change::Rename(..) | Change::Remove(_) | Change::Route(..) | Change::Unroute(_)) {
        assert_eq!(before.routes, after.routes);
    }
}

/// If the edit removes nothing, all comments are kept in their order.
fn check_lines(change: &Change, before: &str, after: &str, line: &str) {
    let removes = match change {
        Change::Remove(_) | Change::Unroute(_) | Change::Set(_, _, None) | Change::Route(..) => true,
        // The table is removed with its last variable.
        Change::Variable(_, variable, value) => value.is_empty() && before.contains(variable.as_str()),
        Change::Add(_) | Change::Set(..) | Change::Rename(..) => false,
    };
    if removes {
        return;
    }
    let mut left = after.lines();
    for known in before.lines() {
        let comment = known.trim();
        if comment.starts_with('#') {
            assert!(left.any(|line| line.trim() == comment), "{line}: `{comment}` is lost");
        }
    }
}
