//! kage under an agent's name, as its shim or a link calls it: `exec` for the agent, with no flags but those
//! of the environment.
//!
//! The real agent runs as it is, with no kage in between, where a run of kage is around it, which has chosen
//! already, and where it only looks after itself.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

use super::exec;
use super::places::can_be_run;
use crate::agent::{Agent, Agents};
use crate::cli::{Cli, Exec, RunAs, Verb};
use crate::config::Config;
use crate::engine::{self, DEEPEST, DEPTH, started_mark, too_deep, wrapper_that_execed_us};
use crate::error::{Failure, Status};
use crate::paths::Paths;
use crate::process::{self, ancestors};
use crate::run::{Program, die_of, is_kage};
use crate::secret::PASSPHRASE;

/// What kage is to do where it was called by an agent's name. Any other name is kage's own.
pub(crate) fn called_as_agent(mut words: impl Iterator<Item = OsString>) -> Option<Cli> {
    let called = PathBuf::from(words.next()?);
    let program = called.file_name().filter(|name| *name != "kage")?;
    // A config that cannot be read is told by the verb that needs it.
    find(program).ok().flatten()?;
    let args = RunAs { program: program.to_owned(), args: words.collect() };
    Some(Cli { verb: Verb::RunAs(args) })
}

/// kage's own agents need no config to be known.
fn find(program: &OsStr) -> Result<Option<&'static dyn Agent>> {
    if let Some(agent) = Agents::default().of_program(program) {
        return Ok(Some(agent));
    }
    Ok(Config::load(&Paths::from_environment()?)?.agents.of_program(program))
}

pub(super) fn run(args: RunAs) -> Result<i32> {
    refuse_copy(&args.program)?;
    let Some(agent) = find(&args.program)? else {
        let shown = args.program.display();
        let message = format!("no agent has a program `{shown}`");
        return Err(Failure::usage(message).hint(format!("kage shim remove {shown}")).into());
    };
    let mut call = Call::read(agent, args);
    let around = env::var_os("KAGE_RUN").is_some_and(|run| !run.is_empty());
    let depth = depth(&call.program)?;
    let wrapper = wrapper_that_execed_us();
    let shims = Paths::from_environment()?.shims;
    let program = Program::find_behind(&call.program, &shims, wrapper.as_deref())?;
    if !around && !call.is_maintenance(agent) {
        // By its name where that leads there too: kage may tell the user the command that goes on.
        let is_plain = Program::find(&call.program, &shims).is_ok_and(|plain| plain.path == program.path);
        call.args.insert(0, if is_plain { call.program } else { program.path.into() });
        return exec::run(Exec { agent: call.agent, command: call.args, ..Exec::default() });
    }
    let environment = |command: &mut Command| {
        // Also without a run of its own: a script that calls the shim in its turn must come to an end.
        command.env(DEPTH, (depth + 1).to_string()).envs([started_mark(&program.path)]);
        if !around {
            command.env_remove(PASSPHRASE);
        }
    };
    if is_exec_loop() {
        let ended = program.wait(&call.args, environment)?;
        return Ok(ended.code().unwrap_or_else(|| die_of(ended.signal().unwrap_or_default())));
    }
    match program.replace(&call.args, environment)? {}
}

/// Whether this process may have been kage before. A script that clears the environment, calls the shim and
/// becomes it would go round for ever in one process, whose ancestors tell nothing; but such a process has used
/// more time than any beginning takes. Its next program is started beside it, so that there are ancestors.
fn is_exec_loop() -> bool {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    env::var_os(DEPTH).is_none() && used.tv_sec >= 1
}

/// How deep kage runs inside kage. Where a script between them has cleared the environment, the processes
/// above still tell: without end there would be more and more of them.
fn depth(program: &OsStr) -> Result<u32, Failure> {
    if env::var_os(DEPTH).is_some() {
        return engine::depth();
    }
    let is_kage = |pid: &u32| {
        let exe = PathBuf::from(format!("/proc/{pid}/exe"));
        is_kage(&exe) || is_closed(&exe) && is_called(*pid, program)
    };
    match ancestors().filter(is_kage).zip(1..=DEEPEST).last() {
        Some((_, depth)) if depth >= DEEPEST => Err(too_deep(depth)),
        _ => Ok(0),
    }
}

/// Whether the system does not tell which program a process runs, as of a kage that has a secret.
fn is_closed(exe: &Path) -> bool {
    exe.metadata().is_err_and(|why| why.kind() == ErrorKind::PermissionDenied)
}

/// Whether a process goes by kage's own name or by the one that this kage was called by.
fn is_called(pid: u32, program: &OsStr) -> bool {
    let program = Path::new(program).file_name().unwrap_or_default();
    process::name_of(pid)
        .is_some_and(|name| name == "kage" || program.as_bytes().starts_with(name.as_bytes()))
}

/// A copy of kage, or a hard link, would take for an agent's arguments what kage tells itself through its own
/// path.
fn refuse_copy(program: &OsStr) -> Result<(), Failure> {
    let exe = env::current_exe().and_then(|exe| exe.canonicalize()).ok();
    match exe.filter(|exe| exe.file_name() == Some(program)) {
        None => Ok(()),
        Some(exe) => {
            let message = format!("{} is a copy of kage; only a link to it acts as the agent", exe.display());
            let hint = format!("replace it by a shim: kage shim install {}", program.display());
            Err(Failure::new(Status::BeforeStart, message).hint(hint))
        }
    }
}

/// What is to run.
struct Call {
    /// The agent's program, or whatever runs it.
    program: OsString,
    args: Vec<OsString>,
    /// The agent, where the program's name does not tell it.
    agent: Option<String>,
    /// Those that `args` begins with before the agent's own.
    before: usize,
}

impl Call {
    /// An editor names the real agent as the first argument: its path, or a runtime and a script.
    /// Source: the setting `claudeProcessWrapper` of Claude Code's extension for VS Code.
    fn read(agent: &dyn Agent, RunAs { program, mut args }: RunAs) -> Self {
        let first = args.first().map(Path::new).filter(|path| path.is_absolute() && can_be_run(path));
        let is_named = |path: &Path, name: &str| path.file_name().is_some_and(|known| known == name);
        let is_script = |word: &OsString| {
            let path = Path::new(word);
            path.is_absolute() && is_named(path, "cli.js") && path.is_file()
        };
        match first {
            Some(path) if is_named(path, agent.program()) => {
                let program = args.remove(0);
                Self { program, args, agent: None, before: 0 }
            }
            Some(_) if args.get(1).is_some_and(is_script) => {
                let program = args.remove(0);
                Self { program, args, agent: Some(agent.name().to_owned()), before: 1 }
            }
            _ => Self { program, args, agent: None, before: 0 },
        }
    }

    fn is_maintenance(&self, agent: &dyn Agent) -> bool {
        let first = self.args.get(self.before).and_then(|word| word.to_str());
        first.is_some_and(|first| agent.maintenance_commands().contains(&first))
    }
}
