//! `kage ps`: the running agents as a table and as JSON.

use std::path::Path;

use jiff::Zoned;
use serde_json::{Value, json};

use super::SCHEMA;
use super::table::{Narrowing, fitting_table};
use super::time::age;
use crate::pool::Lease;
use crate::text::one_line;

const HEAD: [&str; 7] = ["PID", "Subscription", "Namespace", "Agent", "Pane", "Age", "Directory"];
const NARROWING: Narrowing<'_> =
    Narrowing { cut: &["Directory"], optional: &["Agent", "Namespace", "Age", "Pane"] };

/// The answer of `kage ps`. `columns` is the width of the terminal; `None` if there is none.
pub fn running(leases: &[Lease], home: &Path, columns: Option<usize>, now: &Zoned) -> String {
    if leases.is_empty() {
        return "No agent is running. Start one: kage exec -- claude\n".into();
    }
    let rows: Vec<_> = oldest_first(leases).into_iter().map(|lease| row(lease, home, now)).collect();
    fitting_table(&HEAD, &rows, &NARROWING, columns)
}

pub(super) fn oldest_first(leases: &[Lease]) -> Vec<&Lease> {
    let mut leases: Vec<_> = leases.iter().collect();
    leases.sort_by_key(|lease| (lease.since, lease.pid));
    leases
}

fn row(lease: &Lease, home: &Path, now: &Zoned) -> Vec<String> {
    let namespace = lease.namespace.as_ref().map(ToString::to_string);
    vec![
        lease.pid.to_string(),
        lease.subscription.to_string(),
        namespace.unwrap_or_default(),
        one_line(&lease.agent),
        one_line(lease.pane.as_deref().unwrap_or_default()),
        age(lease.since, now),
        one_line(&below_home(&lease.cwd, home)),
    ]
}

/// The path with `~` for the user's home directory.
pub fn below_home(cwd: &str, home: &Path) -> String {
    match Path::new(cwd).strip_prefix(home) {
        Ok(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Ok(rest) => format!("~/{}", rest.display()),
        Err(_) => cwd.to_owned(),
    }
}

/// `kage ps --json`.
pub fn running_json(leases: &[Lease]) -> Value {
    let rows = oldest_first(leases).into_iter().map(|lease| {
        json!({
            "id": lease.id,
            "pid": lease.pid,
            "subscription": lease.subscription,
            "agent": lease.agent,
            "namespace": lease.namespace,
            "level": lease.level.as_str(),
            "session": lease.session(),
            "pane": lease.pane,
            "cwd": lease.cwd,
            "since": lease.since,
            "status": lease.refused.as_ref().map(|refused| &refused.verdict),
        })
    });
    json!({ "schema": SCHEMA, "leases": rows.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    fn shown(leases: &[Lease], columns: Option<usize>) -> String {
        let now: Zoned = "2026-11-22T11:48:00[UTC]".parse().unwrap();
        running(leases, Path::new("/home/user"), columns, &now)
    }

    fn lease(pid: u32, cwd: &str, since: &str) -> Lease {
        Lease { pid, cwd: cwd.into(), since: since.parse().unwrap(), ..Lease::on("work") }
    }

    #[test]
    fn the_oldest_agent_comes_first_and_the_home_directory_is_a_tilde() {
        let leases = [
            lease(7, "/srv/api", "2026-11-22T11:47:30Z"),
            lease(9, "/home/user", "2026-11-20T10:48:00Z"),
            lease(8, "/home/user/code", "2026-11-22T10:00:00Z"),
        ];
        let text = shown(&leases, None);
        let cells = |line: &str| {
            let cells = line.split(['│', '|']).map(str::trim).filter(|cell| !cell.is_empty());
            cells.map(str::to_owned).collect::<Vec<_>>()
        };
        let rows: Vec<_> = text.lines().map(cells).collect();
        assert_eq!(rows[3], ["9", "work", "claude", "2d 1h", "~"]);
        assert_eq!(rows[4], ["8", "work", "claude", "1h 48m", "~/code"]);
        assert_eq!(rows[5], ["7", "work", "claude", "30s", "/srv/api"]);
    }

    #[test]
    fn a_table_that_is_too_wide_cuts_the_beginning_of_the_directory() {
        let long = lease(7, "/srv/一二三四五/projects/backend/api", "2026-11-22T11:00:00Z");
        let wide = shown(std::slice::from_ref(&long), None);
        assert!(wide.contains(&long.cwd), "{wide}");
        for columns in 82..90 {
            let narrow = shown(std::slice::from_ref(&long), Some(columns));
            assert!(
                narrow.contains("nd/api ") && narrow.lines().all(|line| line.width() <= columns),
                "{narrow}"
            );
        }
        let least = shown(&[long], Some(10));
        assert!(least.contains("/api "), "{least}");
    }

    #[test]
    fn a_narrow_terminal_drops_some_columns() {
        let long = lease(7, "/srv/projects/backend/api", "2026-11-22T11:00:00Z");
        let head = |columns| {
            let text = shown(std::slice::from_ref(&long), Some(columns));
            assert!(text.lines().all(|line| line.width() <= columns), "{text}");
            text.lines().nth(1).unwrap().replace(['│', '|', ' '], "")
        };
        assert_eq!(head(80), "PIDSubscriptionNamespaceAgentPaneAgeDirectory");
        assert_eq!(head(66), "PIDSubscriptionNamespacePaneAgeDirectory");
        assert_eq!(head(59), "PIDSubscriptionPaneAgeDirectory");
        assert_eq!(head(40), "PIDSubscriptionDirectory");
    }

    #[test]
    fn escapes_do_not_reach_the_terminal() {
        let odd = Lease {
            pane: Some("\u{1b}]0;x\u{7}".into()),
            ..lease(7, "/a\n\u{1b}[31m", "2026-11-22T11:00:00Z")
        };
        assert!(!shown(&[odd], None).contains(['\u{1b}', '\u{7}']));
    }
}
