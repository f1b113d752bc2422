//! What `kage doctor` found: one line each, and below it the command that mends it.

use serde_json::{Value, json};

use super::SCHEMA;
use super::paint::{Colour, painted};
use super::time::counted;
use super::width::wrapped;
use crate::text::one_line;

/// How bad a finding is; the worst one is the exit status of `kage doctor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Ok,
    /// It works, or will until something happens.
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

    fn colour(self) -> Colour {
        match self {
            Self::Ok => Colour::Green,
            Self::Warning => Colour::Yellow,
            Self::Error => Colour::Red,
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// For programs: words with hyphens, which stay the same.
    pub code: &'static str,
    pub severity: Severity,
    pub message: String,
    /// A command that mends it, as it can be typed.
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

/// The columns of a severity.
const INDENT: usize = 9;

/// The findings in their order, and a line that sums them up. `columns` is the width of the terminal, where there is
/// one.
pub fn findings(findings: &[Finding], columns: Option<usize>) -> String {
    let room = columns.map(|columns| columns.saturating_sub(INDENT));
    let mut text: String = findings.iter().map(|finding| lines(finding, room)).collect();
    text.push_str(&summary(findings));
    text
}

/// A mend stays in one line, to be copied.
fn lines(finding: &Finding, room: Option<usize>) -> String {
    let Finding { code, severity, message, fix } = finding;
    let mark = painted(&format!("{:<INDENT$}", severity.word()), severity.colour());
    let code = format!("[{code}]");
    let said = one_line(message);
    let said = if fix.is_some() { format!("{said} {code}") } else { said };
    let mut said = room.map_or_else(|| vec![said.clone()], |room| wrapped(&said, room));
    if let Some(before) = said.last().and_then(|last| last.strip_suffix(&code)).filter(|_| fix.is_some()) {
        let painted = format!("{before}{}", painted(&code, Colour::Dim));
        *said.last_mut().expect("it has just been looked at") = painted;
    }
    said.extend(fix.iter().map(|fix| format!("mend: {}", one_line(fix))));
    format!("{mark}{}\n", said.join(&format!("\n{:INDENT$}", "")))
}

fn summary(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match (errors, warnings) {
        (0, 0) => "\nAll is well.\n".to_owned(),
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
    fn what_is_well_has_a_line_and_the_rest_its_mend_below() {
        let found = [
            Finding::ok("config", "the config is sound"),
            Finding::warning("a-b", "this is\u{1b}[2J old", "kage mend 'it'"),
            Finding::error("c-d", "that is gone", "kage more"),
        ];
        let text = anstream::adapter::strip_str(&findings(&found, None)).to_string();
        assert_eq!(
            text,
            "ok       the config is sound\n\
             warning  this is [2J old [a-b]\n         mend: kage mend 'it'\n\
             error    that is gone [c-d]\n         mend: kage more\n\n1 error, 1 warning.\n"
        );
        assert!(findings(&found[..1], None).ends_with("\nAll is well.\n"));
    }

    #[test]
    fn a_narrow_terminal_breaks_what_is_said_and_no_mend() {
        let found = [Finding::warning("a-b", "~/a/long/path is old", "kage mend ~/a/long/path")];
        let text = |columns| findings(&found, Some(columns));
        let dim = "\u{1b}[2m[a-b]\u{1b}[0m";
        let shown = anstream::adapter::strip_str(&text(21)).to_string();
        assert_eq!(
            shown,
            "warning  ~/a/long/\n         path is old\n         [a-b]\n         mend: kage mend ~/a/long/path\n\n\
             1 warning.\n"
        );
        for columns in 14..60 {
            assert!(text(columns).contains(dim), "{columns}: {:?}", text(columns));
        }
    }
}
