//! What kage tells of the agents that run now: `kage ps`, and what such an agent shows in its status line.

mod support;

#[path = "running/ps.rs"]
mod ps;

use std::process::{Child, Stdio};

use support::{Call, Sandbox, wait_until};

/// An agent that runs: a script below `kage exec`, which it tells of by a file `started`.
struct Running {
    child: Child,
    sandbox: Sandbox,
}

impl Running {
    /// Ends when there is a file `end`.
    fn start(script: &str) -> Self {
        let sandbox = Sandbox::new();
        sandbox.add("work", &[]);
        let script = format!("{script}\n: >started; while [ ! -e end ]; do sleep 0.02; done");
        let mut call = sandbox.kage(["exec", "-n", "backend", "--", "sh", "-c", &script]);
        call = call.env("TMUX_PANE", "%7");
        let child = call.command.stdin(Stdio::null()).spawn().unwrap();
        wait_until("the agent runs", || sandbox.path("work/started").exists());
        Self { child, sandbox }
    }

    fn kage(&self, line: &[&str]) -> Call {
        self.sandbox.kage(line)
    }

    fn end(mut self) -> Sandbox {
        self.sandbox.write("work/end", "");
        assert!(self.child.wait().unwrap().success());
        self.sandbox
    }
}
