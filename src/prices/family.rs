//! Finds the known model that is nearest to one without a price: the same family, the nearest version. So a
//! new version of a known family has an estimated price before it has one of its own.

use std::cmp::Reverse;

/// A model id as its family and version: `claude-opus-5-5` is `[claude, opus]` and `[5, 5]`.
struct Id<'a> {
    words: Vec<&'a str>,
    version: Vec<u64>,
}

/// Words that do not name a family.
const RELEASES: [&str; 4] = ["preview", "exp", "experimental", "latest"];

/// Returns the name, out of `known`, whose price estimates that of `model`. A longer name such as
/// `gpt-5.3-codex-spark` may belong to the family of a shorter one such as `gpt-5.3-codex`. The names must share
/// at least two words, unless the wanted one has only one (`gpt-5.7`).
pub(super) fn nearest<'a>(model: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let model = model.to_ascii_lowercase();
    let wanted = Id::of(model.rsplit('/').next().unwrap_or(&model));
    if wanted.words.len() < 2 && wanted.version.is_empty() {
        return None;
    }
    let shortest = wanted.words.len().min(2);
    let mut best: Option<(usize, Nearness, &str)> = None;
    for name in known {
        let id = Id::of(name);
        let common = id.words.len();
        if common < shortest || common == 0 || !wanted.words.starts_with(&id.words) {
            continue;
        }
        let nearness = Nearness::between(&wanted.version, &id.version);
        let is_better = best
            .as_ref()
            .is_none_or(|(words, known, earlier)| (common, &nearness, name) > (*words, known, *earlier));
        if is_better {
            best = Some((common, nearness, name));
        }
    }
    best.map(|(_, _, name)| name)
}

/// How near a version is to the wanted one: a greater value is nearer.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Newer(Reverse<Vec<u64>>),
    /// Preferred to any newer version.
    SameOrOlder(Vec<u64>),
}

impl Nearness {
    fn between(wanted: &[u64], known: &[u64]) -> Self {
        // An id without a version, such as an alias, is the newest of its family.
        if wanted.is_empty() || known <= wanted {
            Self::SameOrOlder(known.to_vec())
        } else {
            Self::Newer(Reverse(known.to_vec()))
        }
    }
}

impl<'a> Id<'a> {
    fn of(name: &'a str) -> Self {
        let (mut words, mut version) = (Vec::new(), Vec::new());
        for part in name.split('-').filter(|part| !part.is_empty() && !RELEASES.contains(part)) {
            let numbers: Result<Vec<u64>, _> = part.split('.').map(str::parse).collect();
            match numbers {
                Ok(numbers) => version.extend(numbers),
                Err(_) => words.push(part),
            }
        }
        Self { words, version }
    }
}
