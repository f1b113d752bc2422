//! `[events] command`: what happens to the pool, told to a command of the user's, one JSON line each. It runs
//! on its own: nothing waits for it.

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

/// The number in every line; keys are only ever added under it.
pub(crate) const SCHEMA: u32 = 1;

/// The command, and the ones that were started.
pub(super) struct Events<'a> {
    command: Option<&'a str>,
    agents: &'a Agents,
    started: RefCell<Vec<Child>>,
    /// What the user should know, until it is taken.
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

    /// What happened to the commands since the last call that the user should know.
    pub(super) fn take_notices(&self) -> Vec<Notice> {
        self.notices.take()
    }

    /// A command that has failed by now is worth a notice; one that still runs is left alone.
    pub(super) fn finish(&self) {
        self.started.borrow_mut().retain_mut(|child| self.is_running(child));
    }

    fn notice(&self, message: String) {
        self.notices.borrow_mut().push(Notice::new(message));
    }

    /// Reaps one that has ended, so that none is left in the system's table.
    fn is_running(&self, child: &mut Child) -> bool {
        let Ok(Some(status)) = child.try_wait() else { return true };
        if !status.success() {
            self.notice(format!("the event command failed: {status}"));
        }
        false
    }

    /// A run goes on with another subscription.
    pub(super) fn switched(&self, from: &Name, to: &Name, why: &Outcome) {
        let reason = why.verdict.word();
        self.tell("switched", json!({ "subscription": from, "to": to, "reason": reason }));
    }

    /// The status of a subscription has changed.
    pub(super) fn changed(&self, name: &Name, change: &Change) {
        let Some(event) = event(&change.to) else { return };
        let reason = change.evidence.as_deref().unwrap_or(&change.rule);
        self.tell(event, json!({ "subscription": name, "until": change.until, "reason": reason }));
    }

    /// The last limit of a subscription has passed.
    pub(super) fn recovered(&self, name: &Name) {
        self.tell("recovered", json!({ "subscription": name, "reason": "its limit has passed" }));
    }

    /// Nothing is ready for a run.
    pub(super) fn all_limited(&self, why: &NotReady) {
        self.tell("all_limited", json!({ "until": why.earliest() }));
    }

    /// 80 % of a budget is used up, or all of it. Costs are US dollars, API-equivalent.
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
        let what = json!({
            kind: name, "budget": gauge.budget.key(), "used": amount(gauge.used), "most": amount(gauge.most),
            "until": gauge.until,
        });
        self.tell(event, what);
    }

    fn tell(&self, event: &str, what: Value) {
        let Some(command) = self.command else { return };
        self.finish();
        let mut line = json!({ "schema": SCHEMA, "event": event, "time": Timestamp::now() });
        if let (Value::Object(line), Value::Object(what)) = (&mut line, what) {
            line.extend(what);
        }
        match start(command, &(json(line.to_string()) + "\n"), &withheld(self.agents)) {
            Ok(child) => self.started.borrow_mut().push(child),
            Err(why) => self.notice(format!("the event command could not be started: {why}")),
        }
    }
}

/// In a group of its own, so that a ^C at the terminal is not meant for it. The line fits into the pipe, so
/// that a command which never reads delays nobody.
fn start(command: &str, line: &str, withheld: &[OsString]) -> std::io::Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    for name in withheld {
        shell.env_remove(name);
    }
    let mut child = shell.process_group(0).spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // One that ends without reading is no failure.
        let _ = pipe.write_all(line.as_bytes());
    }
    Ok(child)
}

/// What a new status is called as an event; a limit of one model leaves the status as it is.
fn event(status: &str) -> Option<&'static str> {
    match status {
        "rate_limited" => Some("rate_limited"),
        "exhausted" => Some("exhausted"),
        "unhealthy" => Some("unhealthy"),
        "active" => Some("recovered"),
        _ => None,
    }
}
