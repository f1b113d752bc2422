//! Running agents: `kage ps`, what an agent reports through its hooks, and its status line.

// A failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod announced;
mod hook;
mod ps;
mod statusline;

use std::fs;
use std::process::{Child, Stdio};

use crate::support::{Sandbox, kage, wait_until};

/// A running agent: a script below `kage exec` that runs what the test passes to `call`.
struct Running {
    child: Child,
    sandbox: Sandbox,
}

/// Runs each file `call` that appears, until there is a file `end` or the sandbox is gone (after a failed
/// test).
const AGENT: &str = ": >started
while [ -e started ] && [ ! -e end ]; do
    if [ -e call ]; then sh ./call >out 2>err; echo $? >status; rm call; fi
    sleep 0.01
done";

/// The result of a script.
struct Called {
    out: String,
    err: String,
    status: String,
}

impl Running {
    fn start() -> Self {
        let sandbox = Sandbox::new();
        sandbox.add("work", &[]);
        let mut call = sandbox.kage(["exec", "-n", "backend", "--", "sh", "-c", AGENT]);
        call = call.env("TMUX_PANE", "%7").env("KAGE", kage());
        let child = call.command.stdin(Stdio::null()).spawn().expect("kage can be started");
        wait_until("the agent runs", || sandbox.path("work/started").exists());
        Self { child, sandbox }
    }

    /// Runs a script below the agent, where `$KAGE` is kage.
    fn call(&self, script: &str) -> Called {
        let call = self.sandbox.path("work/call");
        let new = self.sandbox.write("work/call.new", script);
        fs::rename(new, &call).expect("both names are in one directory");
        wait_until("the agent has called", || !call.exists());
        let read = |name: &str| self.sandbox.read(&format!("work/{name}"));
        Called { out: read("out"), err: read("err"), status: read("status").trim().to_owned() }
    }

    fn end(mut self) -> Sandbox {
        self.sandbox.write("work/end", "");
        assert!(self.child.wait().expect("it is a child of this process").success());
        self.sandbox
    }
}
