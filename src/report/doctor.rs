//! The findings of `kage doctor`: one line each, and below it the command that fixes the problem.

use serde_json::{Value, json};

use super::SCHEMA;
use super::paint::{Color, painted};
use super::time::counted;
use super::width::wrapped;
use crate::text::one_line;

/// How bad a finding is. The worst one decides the exit status of `kage doctor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Ok,
    /// Runs work, but something is wrong or will fail later.
    Warning,
    /// Runs fail.
    Error,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    fn color(self) -> Color {
        match self {
            Self::Ok => Color::Green,
            Self::Warning => Color::Yellow,
            Self::Error => Color::Red,
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A stable identifier for programs: lower-case words joined by hyphens.
    pub code: &'static str,
    pub severity: Severity,
    pub message: String,
    /// The command that fixes the problem, ready to be typed.
    pub fix: Option<String>,
}

impl Finding {
    pub fn ok(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Ok, message: message.into(), fix: None }
    }

    pub fn warning(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, severity: Severity::Warning, message: message.into(), fix: Some(fix.into()) }
    }

    pub fn error(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), fix: Some(fix.into()) }
    }
}

/// The width of the severity column.
const INDENT: usize = 9;

/// The findings in the given order, then a summary. `columns` is the width of the terminal; `None` if there
/// is none.
pub fn findings(findings: &[Finding], columns: Option<usize>) -> String {
    let room = columns.map(|columns| columns.saturating_sub(INDENT));
    let mut text: String = findings.iter().map(|finding| lines(finding, room)).collect();
    text.push_str(&summary(findings));
    text
}

/// The lines of one finding. The command of a fix is never wrapped, so that it can be copied.
fn lines(finding: &Finding, room: Option<usize>) -> String {
    let Finding { code, severity, message, fix } = finding;
    let label = painted(&format!("{:<INDENT$}", severity.word()), severity.color());
    let code = format!("[{code}]");
    let text = one_line(message);
    let text = if fix.is_some() { format!("{text} {code}") } else { text };
    let mut lines = room.map_or_else(|| vec![text.clone()], |room| wrapped(&text, room));
    if let Some(before) = lines.last().and_then(|last| last.strip_suffix(&code)).filter(|_| fix.is_some()) {
        let painted = format!("{before}{}", painted(&code, Color::Dim));
        *lines.last_mut().expect("the last line was just read") = painted;
    }
    lines.extend(fix.iter().map(|fix| format!("fix: {}", one_line(fix))));
    format!("{label}{}\n", lines.join(&format!("\n{:INDENT$}", "")))
}

fn summary(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match (errors, warnings) {
        (0, 0) => "\nNo problems found.\n".to_owned(),
        (0, _) => format!("\n{}.\n", counted(warnings, "warning")),
        (_, 0) => format!("\n{}.\n", counted(errors, "error")),
        _ => format!("\n{}, {}.\n", counted(errors, "error"), counted(warnings, "warning")),
    }
}

/// `kage doctor --json`.
pub fn findings_json(findings: &[Finding]) -> Value {
    let rows = findings.iter().map(|Finding { code, severity, message, fix }| {
        json!({ "code": code, "severity": severity.word(), "message": one_line(message), "fix": fix })
    });
    json!({ "schema": SCHEMA, "findings": rows.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_has_a_line_and_each_problem_its_fix_below() {
        let found = [
            Finding::ok("config", "the config is sound"),
            Finding::warning("a-b", "this is\u{1b}[2J old", "kage fix 'it'"),
            Finding::error("c-d", "that is gone", "kage more"),
        ];
        let text = anstream::adapter::strip_str(&findings(&found, None)).to_string();
        assert_eq!(
            text,
            "ok       the config is sound\n\
             warning  this is [2J old [a-b]\n         fix: kage fix 'it'\n\
             error    that is gone [c-d]\n         fix: kage more\n\n1 error, 1 warning.\n"
        );
        assert!(findings(&found[..1], None).ends_with("\nNo problems found.\n"));
    }

    #[test]
    fn a_narrow_terminal_wraps_the_message_but_not_the_fix() {
        let found = [Finding::warning("a-b", "~/a/long/path is old", "kage fix ~/a/long/path")];
        let text = |columns| findings(&found, Some(columns));
        let dim = "\u{1b}[2m[a-b]\u{1b}[0m";
        let shown = anstream::adapter::strip_str(&text(21)).to_string();
        assert_eq!(
            shown,
            "warning  ~/a/long/\n         path is old\n         [a-b]\n\
             \x20        fix: kage fix ~/a/long/path\n\n1 warning.\n"
        );
        for columns in 14..60 {
            assert!(text(columns).contains(dim), "{columns}: {:?}", text(columns));
        }
    }
}
