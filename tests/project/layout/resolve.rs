//! Finds the file that defines a name. A re-export (`pub use`) is followed to its definition, so that a child
//! may use what its parent re-exports from another child.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, Use};

type Module = Vec<String>;

/// All files by their modules.
pub(super) struct Crate(BTreeMap<Module, Source>);

impl Crate {
    pub(super) fn of(sources: Vec<Source>) -> Self {
        let is_library = |source: &Source| source.module != ["main"];
        let files = sources.into_iter().filter(is_library);
        Self(files.map(|source| (source.module.clone(), source)).collect())
    }

    /// Groups of files that import each other, sorted by name.
    pub(super) fn cycles(&self) -> Vec<Vec<String>> {
        let reaches: BTreeMap<_, _> = self.0.keys().map(|module| (module, self.reachable(module))).collect();
        let mut groups = BTreeSet::new();
        for (module, reached) in &reaches {
            let together = |other: &&Module| reached.contains(*other) && reaches[other].contains(*module);
            let group: BTreeSet<_> = self.0.keys().filter(together).map(|module| module.join("/")).collect();
            if group.len() > 1 {
                groups.insert(group.into_iter().collect());
            }
        }
        groups.into_iter().collect()
    }

    fn reachable(&self, from: &Module) -> BTreeSet<Module> {
        let (mut reached, mut waiting) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = waiting.pop() {
            for next in self.imports(&self.0[&module]) {
                if reached.insert(next.clone()) {
                    waiting.push(next);
                }
            }
        }
        reached
    }

    /// The files that define what a file names.
    fn imports(&self, source: &Source) -> BTreeSet<Module> {
        let used = source.uses.iter().filter(|one| !one.is_public).map(|one| one.path.clone());
        let written = source.paths.iter().map(|path| through_uses(source, path));
        let named = used.chain(written).filter_map(|path| self.absolute(&source.module, &path));
        named.filter_map(|path| self.definition(&path)).filter(|module| *module != source.module).collect()
    }

    /// The path from the root of the crate; `None` if it belongs to another crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut from = module.to_vec();
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some(from.into_iter().chain(rest.iter().cloned()).collect()),
            "super" => {
                from.pop();
                match rest.first().map(String::as_str) {
                    Some("super") => self.absolute(&from, rest),
                    _ => Some(from.into_iter().chain(rest.iter().cloned()).collect()),
                }
            }
            child => {
                from.push(child.to_owned());
                self.0.contains_key(&from).then(|| from.into_iter().chain(rest.iter().cloned()).collect())
            }
        }
    }

    /// The file that defines the first item on a path; `None` if the path is only a module.
    fn definition(&self, path: &[String]) -> Option<Module> {
        let at = (0..path.len()).rev().find(|&at| self.0.contains_key(&path[..at]))?;
        let (module, name) = (&path[..at], &path[at]);
        if self.0.contains_key(&path[..=at]) {
            return None;
        }
        let source = &self.0[module];
        if source.items.contains(name) {
            return Some(module.to_vec());
        }
        let reexport = source.uses.iter().find(|one| one.name == *name)?;
        self.definition(&self.absolute(module, &reexport.path)?)
    }
}

/// The path in full, if its first word is imported.
fn through_uses(source: &Source, path: &[String]) -> Vec<String> {
    let is_first = |one: &&Use| one.name == path[0];
    match source.uses.iter().find(is_first) {
        Some(one) => one.path.iter().chain(&path[1..]).cloned().collect(),
        None => path.to_vec(),
    }
}
