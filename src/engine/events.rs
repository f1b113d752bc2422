//! `[events] command`: the user's command, started for each event of the pool with one JSON line on its
//! standard input. Nothing waits for it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::withheld::withheld;
use crate::agent::Agents;
use crate::config::Config;
use crate::error::Notice;
use crate::pool::{Budget, Change, Cost, Gauge, Name, NotReady, Outcome, Owner};
use crate::text::json;

/// The `schema` number in every line. Within one number, keys are only added.
pub(crate) const SCHEMA: u32 = 1;

/// The command, and the processes that were started for events.
pub(super) struct Events<'a> {
    command: Option<&'a str>,
    agents: &'a Agents,
    started: RefCell<Vec<Child>>,
    /// Notices for the user that have not been taken yet.
    notices: RefCell<Vec<Notice>>,
}

impl<'a> Events<'a> {
    pub(super) fn new(config: &'a Config) -> Self {
        Self {
            command: config.event_command.as_deref(),
            agents: &config.agents,
            started: RefCell::default(),
            notices: RefCell::default(),
        }
    }

    /// Returns the notices about failed commands since the last call.
    pub(super) fn take_notices(&self) -> Vec<Notice> {
        self.notices.take()
    }

    /// Adds a notice for each command that has failed by now. Commands that still run are left alone.
    pub(super) fn finish(&self) {
        self.started.borrow_mut().retain_mut(|child| self.is_running(child));
    }

    fn notice(&self, message: String) {
        self.notices.borrow_mut().push(Notice::new(message));
    }

    /// Reaps a process that has ended, so that it does not remain as a zombie.
    fn is_running(&self, child: &mut Child) -> bool {
        let Ok(Some(status)) = child.try_wait() else { return true };
        if !status.success() {
            self.notice(format!("the event command failed: {status}"));
        }
        false
    }

    /// A run continues on another subscription.
    pub(super) fn switched(&self, from: &Name, to: &Name, why: &Outcome) {
        let reason = why.verdict.word();
        self.send("switched", json!({ "subscription": from, "to": to, "reason": reason }));
    }

    /// The status of a subscription has changed.
    pub(super) fn changed(&self, name: &Name, change: &Change) {
        let Some(event) = event(&change.to) else { return };
        let reason = change.evidence.as_deref().unwrap_or(&change.rule);
        self.send(event, json!({ "subscription": name, "until": change.until, "reason": reason }));
    }

    /// The last limit of a subscription has passed.
    pub(super) fn recovered(&self, name: &Name) {
        self.send("recovered", json!({ "subscription": name, "reason": "its limit has passed" }));
    }

    /// No subscription is ready for a run.
    pub(super) fn all_limited(&self, why: &NotReady) {
        self.send("all_limited", json!({ "until": why.earliest() }));
    }

    /// 80 % or 100 % of a budget has been used. Costs are in US dollars, at API prices.
    pub(super) fn budget(&self, gauge: &Gauge) {
        let (kind, name) = match &gauge.owner {
            Owner::Subscription(name) => ("subscription", name),
            Owner::Namespace(name) => ("namespace", name),
        };
        let amount = |amount: u128| match gauge.budget {
            Budget::TokensPerDay => json!(u64::try_from(amount).unwrap_or(u64::MAX)),
            Budget::CostPerDay | Budget::CostPerMonth => json!(Cost(amount).dollars()),
        };
        let event = if gauge.is_reached() { "budget_reached" } else { "budget_warning" };
        let fields = json!({
            kind: name, "budget": gauge.budget.key(), "used": amount(gauge.used), "most": amount(gauge.most),
            "until": gauge.until,
        });
        self.send(event, fields);
    }

    fn send(&self, event: &str, fields: Value) {
        let Some(command) = self.command else { return };
        self.finish();
        let mut line = json!({ "schema": SCHEMA, "event": event, "time": Timestamp::now() });
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields);
        }
        match start(command, &(json(line.to_string()) + "\n"), &withheld(self.agents)) {
            Ok(child) => self.started.borrow_mut().push(child),
            Err(why) => self.notice(format!("could not start the event command: {why}")),
        }
    }
}

/// Starts the command in its own process group, so that a ^C at the terminal does not reach it. The line fits
/// into the pipe's buffer, so a command that never reads does not block kage.
fn start(command: &str, line: &str, withheld: &[OsString]) -> std::io::Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    for name in withheld {
        shell.env_remove(name);
    }
    let mut child = shell.process_group(0).spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // A command may end without reading: that is not a failure.
        let _ = pipe.write_all(line.as_bytes());
    }
    Ok(child)
}

/// Returns the event of a new status. A limit of one model does not change the status.
fn event(status: &str) -> Option<&'static str> {
    match status {
        "rate_limited" => Some("rate_limited"),
        "exhausted" => Some("exhausted"),
        "unhealthy" => Some("unhealthy"),
        "active" => Some("recovered"),
        _ => None,
    }
}
