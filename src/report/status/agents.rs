//! The running agents in `kage status`: subscription, namespace, running time and directory.

use std::path::Path;

use jiff::Zoned;

use crate::pool::Lease;
use crate::report::ps::{below_home, oldest_first};
use crate::report::time::age;
use crate::report::width::{aligned, end_of, widest};
use crate::text::one_line;

/// A directory is never cut to fewer columns than this.
const NARROWEST: usize = 12;

/// One line per agent below a heading, the oldest first; no lines if no agent runs.
pub(super) fn lines(leases: &[Lease], home: &Path, columns: Option<usize>, now: &Zoned) -> Vec<String> {
    if leases.is_empty() {
        return Vec::new();
    }
    let columns = columns.unwrap_or(usize::MAX);
    let leases = oldest_first(leases);
    let whole = drawn(&leases, home, usize::MAX, now);
    let excess = widest(whole.iter().map(String::as_str)).saturating_sub(columns);
    if excess == 0 {
        return whole;
    }
    let directories: Vec<_> = leases.iter().map(|lease| directory(lease, home)).collect();
    let longest = widest(directories.iter().map(String::as_str));
    drawn(&leases, home, longest.saturating_sub(excess).max(NARROWEST), now)
}

/// The lines, with each directory cut to `room` columns.
fn drawn(leases: &[&Lease], home: &Path, room: usize, now: &Zoned) -> Vec<String> {
    // Without a heading, an empty column is left out.
    let has_namespace = leases.iter().any(|lease| lease.namespace.is_some());
    let namespace = if has_namespace { "Namespace" } else { "" };
    let head = ["Running", namespace, "Age", "Directory"].map(str::to_owned).to_vec();
    let rows = leases.iter().map(|lease| {
        vec![
            lease.subscription.to_string(),
            lease.namespace.as_ref().map(ToString::to_string).unwrap_or_default(),
            age(lease.since, now),
            end_of(&directory(lease, home), room),
        ]
    });
    aligned(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn directory(lease: &Lease, home: &Path) -> String {
    one_line(&below_home(&lease.cwd, home))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(leases: &[Lease], columns: Option<usize>) -> String {
        let now = "2026-11-22T11:48:00[UTC]".parse().unwrap();
        lines(leases, Path::new("/home/user"), columns, &now).join("\n")
    }

    fn lease(subscription: &str, namespace: Option<&str>, cwd: &str, since: &str) -> Lease {
        let namespace = namespace.map(|name| name.parse().unwrap());
        Lease { namespace, cwd: cwd.into(), since: since.parse().unwrap(), ..Lease::on(subscription) }
    }

    #[test]
    fn the_oldest_agent_comes_first_and_the_namespace_column_is_optional() {
        let young = lease("work-premium", None, "/srv/api", "2026-11-22T11:47:30Z");
        assert_eq!(
            shown(std::slice::from_ref(&young), None),
            "Running       Age  Directory\nwork-premium  30s  /srv/api"
        );
        let old = lease("work", Some("backend"), "/home/user/code", "2026-11-22T10:00:00Z");
        let expected = "\
Running       Namespace  Age     Directory
work          backend    1h 48m  ~/code
work-premium             30s     /srv/api";
        assert_eq!(shown(&[young, old], None), expected);
        assert_eq!(shown(&[], None), "");
    }

    #[test]
    fn a_directory_that_is_too_long_keeps_its_end() {
        let long = lease("work", None, "/srv/projects/backend/api", "2026-11-22T11:00:00Z");
        let narrow = shown(&[long], Some(32));
        assert!(narrow.ends_with("backend/api"), "{narrow}");
        assert!(narrow.lines().all(|line| crate::report::width::width(line) <= 32), "{narrow}");
    }
}
