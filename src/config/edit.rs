//! Edits the config without losing its comments and layout. The result is checked as a whole before it is
//! written.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::{Config, read};
use crate::error::Failure;
use crate::files::{self, Durability, LOCK_PATIENCE, Lock};
use crate::paths::Paths;
use crate::pool::{Credential, Delivery, Name, Route, Selector, Source};

/// An edit in progress. The config is locked until the edit is written or dropped.
pub struct Edit<'a> {
    pub draft: Draft,
    paths: &'a Paths,
    text: String,
    _lock: Lock,
}

/// The text of the config during an edit.
pub struct Draft(DocumentMut);

impl<'a> Edit<'a> {
    pub fn begin(paths: &'a Paths) -> Result<Self> {
        let lock = Lock::acquire(&paths.state.join("config.lock"), LOCK_PATIENCE)?;
        let text = read(&paths.config)?;
        Config::parse(&text, &paths.config, &paths.home)?;
        let draft = text.parse().with_context(|| format!("could not parse {}", paths.config.display()))?;
        Ok(Self { draft: Draft(draft), paths, text, _lock: lock })
    }

    /// Fails if the result is not a valid config. The caller makes other changes that belong to the edit
    /// between this call and `write`.
    pub fn check(&self) -> Result<()> {
        Config::parse(&self.draft.0.to_string(), &self.paths.config, &self.paths.home).map(|_| ())
    }

    /// Replaces the config if the edit changed it.
    pub fn write(self) -> Result<()> {
        self.check()?;
        let edited = self.draft.0.to_string();
        if edited == self.text {
            return Ok(());
        }
        // The config may be a link into a dotfiles repository, and must remain a link.
        let file = link_target(&self.paths.config);
        if let Some(parent) = file.parent() {
            files::make_private_dir(parent)?;
        }
        files::replace(&file, edited.as_bytes(), Durability::Machine)
            .with_context(|| format!("could not write {}", file.display()))
    }
}

/// Returns the target of a link, even if the target does not exist yet.
fn link_target(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| match (fs::read_link(path), path.parent()) {
        (Ok(link), Some(parent)) => parent.join(link),
        _ => path.to_owned(),
    })
}

/// Applies one change to the config. Writes nothing if `change` fails or if the result is not a valid config.
pub fn edit<T>(paths: &Paths, change: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
    let mut edit = Edit::begin(paths)?;
    let answer = change(&mut edit.draft)?;
    edit.write()?;
    Ok(answer)
}

impl Draft {
    /// Adds an empty subscription; the caller sets its fields afterwards.
    pub fn add(&mut self, name: &Name) -> Result<()> {
        let pool = self.table(&["subscriptions", "pool"])?;
        if pool.contains_key(name.as_str()) {
            let message = format!("subscription `{name}` already exists");
            return Err(Failure::usage(message)
                .hint(format!("kage subscription set {name}, or kage subscription credential {name}"))
                .into());
        }
        pool.insert(name.as_str(), Item::Table(Table::new()));
        Ok(())
    }

    /// Sets or removes a field of a subscription.
    pub fn set(&mut self, name: &Name, key: &str, value: Option<Value>) -> Result<()> {
        put(self.subscription(name)?, key, value);
        self.keep_if_empty(name);
        Ok(())
    }

    /// Sets a variable of a subscription, or removes it if the value is empty.
    pub fn set_variable(&mut self, name: &Name, variable: &str, value: &str) -> Result<()> {
        let entry = self.subscription(name)?;
        if !value.is_empty() {
            let env = entry.entry("env").or_insert_with(|| Value::InlineTable(InlineTable::new()).into());
            put(env.as_table_like_mut().context("`env` is not a table")?, variable, Some(value.into()));
        } else if let Some(env) = entry.get_mut("env").and_then(Item::as_table_like_mut)
            && env.remove(variable).is_some()
            && env.is_empty()
        {
            entry.remove("env");
        }
        self.keep_if_empty(name);
        Ok(())
    }

    /// Keeps a subscription whose last field was removed. Otherwise, one that was defined only by dotted keys
    /// of its fields would no longer exist.
    fn keep_if_empty(&mut self, name: &Name) {
        let pool = self.existing_table(&["subscriptions", "pool"]);
        match pool.and_then(|pool| pool.get_mut(name.as_str())) {
            Some(Item::Table(table)) if table.is_empty() => {
                table.set_dotted(false);
                table.set_implicit(false);
            }
            Some(Item::Value(Value::InlineTable(table))) if table.is_empty() => table.set_dotted(false),
            _ => {}
        }
    }

    /// Renames a subscription, with its comments, in the pool and in the routes.
    pub fn rename(&mut self, old: &Name, new: &Name) -> Result<()> {
        let exists = |pool: &mut dyn TableLike| pool.contains_key(old.as_str());
        if !self.existing_table(&["subscriptions", "pool"]).is_some_and(exists) {
            return Err(not_found(old).into());
        }
        self.add(new)?;
        let pool = self.table(&["subscriptions", "pool"])?;
        let entry = pool.remove(old.as_str()).ok_or_else(|| not_found(old))?;
        pool.insert(new.as_str(), entry);
        self.change_selectors(|selector| {
            (selector.as_str() == Some(old.as_str())).then(|| Some(new.as_str().to_owned()))
        });
        Ok(())
    }

    pub fn remove(&mut self, name: &Name) {
        if let Some(pool) = self.existing_table(&["subscriptions", "pool"]) {
            pool.remove(name.as_str());
        }
    }

    /// Removes a subscription from all routes that name it. A route that becomes empty is kept: without it,
    /// the namespace could use the whole pool.
    pub fn remove_from_routes(&mut self, name: &Name) {
        self.change_selectors(|selector| (selector.as_str() == Some(name.as_str())).then_some(None));
    }

    pub fn set_route(&mut self, key: &str, route: &Route) -> Result<()> {
        let list = |selectors: &[Selector]| selectors.iter().map(ToString::to_string).collect::<Array>();
        let value: Value = if route.fallback.is_empty() {
            list(&route.primary).into()
        } else {
            let mut table = InlineTable::new();
            table.insert("use", list(&route.primary).into());
            table.insert("fallback", list(&route.fallback).into());
            table.into()
        };
        put(self.table(&["subscriptions", "routing"])?, key, Some(value));
        Ok(())
    }

    /// Removes a route. Returns whether it existed.
    pub fn remove_route(&mut self, key: &str) -> bool {
        let routing = self.existing_table(&["subscriptions", "routing"]);
        routing.is_some_and(|routing| routing.remove(key).is_some())
    }

    /// Changes the entries of all routes: `Some(Some(text))` replaces an entry, `Some(None)` removes it,
    /// `None` keeps it.
    fn change_selectors(&mut self, change: impl Fn(&Value) -> Option<Option<String>>) {
        let Some(routing) = self.existing_table(&["subscriptions", "routing"]) else { return };
        for (_, route) in routing.iter_mut() {
            if let Some(list) = route.as_array_mut() {
                change_all(list, &change);
            } else if let Some(table) = route.as_table_like_mut() {
                let lists = table.iter_mut().filter_map(|(_, item)| item.as_array_mut());
                lists.for_each(|list| change_all(list, &change));
            }
        }
    }

    /// Returns the table of a subscription, which may have been removed since the config was read.
    fn subscription(&mut self, name: &Name) -> Result<&mut dyn TableLike> {
        let entry = self.existing_table(&["subscriptions", "pool", name.as_str()]);
        entry.ok_or_else(|| not_found(name).into())
    }

    /// Returns the table at a path, if it exists.
    fn existing_table(&mut self, path: &[&str]) -> Option<&mut dyn TableLike> {
        let mut table: &mut dyn TableLike = self.0.as_table_mut();
        for part in path {
            table = table.get_mut(part)?.as_table_like_mut()?;
        }
        Some(table)
    }

    /// Returns the table at a path. Creates missing tables; the outer ones get no header of their own.
    fn table(&mut self, path: &[&str]) -> Result<&mut dyn TableLike> {
        let mut table: &mut dyn TableLike = self.0.as_table_mut();
        // An inline table can contain only inline tables: toml_edit does not write a table with a header
        // there.
        let mut in_braces = false;
        for (depth, &part) in path.iter().enumerate() {
            let missing = || {
                if in_braces {
                    return Value::InlineTable(InlineTable::new()).into();
                }
                let mut created = Table::new();
                created.set_implicit(depth == 0 || part == "pool");
                Item::Table(created)
            };
            let item = table.entry(part).or_insert_with(missing);
            in_braces = item.is_inline_table();
            table = item.as_table_like_mut().with_context(|| format!("`{part}` is not a table"))?;
        }
        Ok(table)
    }
}

/// Returns the error for a subscription that was removed since the config was read.
fn not_found(name: &Name) -> Failure {
    Failure::usage(format!("no subscription named `{name}`")).hint("kage subscription list")
}

/// Sets a key, keeping the comments around the old value, or removes it.
fn put(table: &mut dyn TableLike, key: &str, value: Option<Value>) {
    match (value, table.get_mut(key).and_then(Item::as_value_mut)) {
        (Some(mut value), Some(known)) => {
            *value.decor_mut() = known.decor().clone();
            *known = value;
        }
        (Some(value), None) => drop(table.insert(key, Item::Value(value))),
        (None, _) => drop(table.remove(key)),
    }
}

fn change_all(list: &mut Array, change: impl Fn(&Value) -> Option<Option<String>>) {
    for at in (0..list.len()).rev() {
        match list.get(at).and_then(&change) {
            Some(Some(text)) => drop(list.replace(at, text)),
            Some(None) => drop(list.remove(at)),
            None => {}
        }
    }
}

/// Returns the value of `credential` in the config.
pub fn credential(credential: &Credential) -> Value {
    let mut table = InlineTable::new();
    let (key, value) = match &credential.source {
        Source::Keychain | Source::File => ("from", credential.source.word().to_owned()),
        Source::Command(line) => ("command", line.clone()),
        Source::Home(dir) => ("home", dir.to_string_lossy().into_owned()),
    };
    table.insert(key, value.into());
    if credential.deliver == Delivery::Fd {
        table.insert("deliver", "fd".into());
    }
    table.into()
}

#[cfg(test)]
mod tests;
