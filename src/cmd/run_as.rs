//! kage under an agent's name, called by the agent's shim or through a link: `exec` for the agent, with no
//! options other than the environment variables.
//!
//! Two kinds of calls go directly to the real agent: those inside a run of kage, which has already chosen a
//! subscription, and the agent's maintenance commands.

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
use super::integration_files::is_executable;
use crate::agent::{Agent, Agents};
use crate::cli::{Cli, Exec, RunAs, Verb};
use crate::config::Config;
use crate::engine::{self, DEPTH, MAX_DEPTH, started_mark, too_deep, wrapper_that_execed_us};
use crate::error::{Failure, Status};
use crate::paths::Paths;
use crate::process::{self, ancestors};
use crate::run::{Program, is_kage, reraise};
use crate::secret::PASSPHRASE;

/// Returns the command if kage was called by an agent's name. With any other name, kage is called as itself.
pub(crate) fn called_as_agent(mut words: impl Iterator<Item = OsString>) -> Option<Cli> {
    let called = PathBuf::from(words.next()?);
    let program = called.file_name().filter(|name| *name != "kage")?;
    // The verb that needs the config reports that it cannot be read.
    find(program).ok().flatten()?;
    let args = RunAs { program: program.to_owned(), args: words.collect() };
    Some(Cli { verb: Verb::RunAs(args) })
}

/// Finds the agent of a program. The built-in agents are found without reading the config.
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
        let message = format!("`{shown}` is not the program of a known agent");
        return Err(Failure::usage(message).hint(format!("kage shim remove {shown}")).into());
    };
    let mut call = Call::read(agent, args);
    let is_inside_run = env::var_os("KAGE_RUN").is_some_and(|run| !run.is_empty());
    let depth = depth(&call.program)?;
    let wrapper = wrapper_that_execed_us();
    let shims = Paths::from_environment()?.shims;
    let program = Program::find_after(&call.program, &shims, wrapper.as_deref())?;
    if !is_inside_run && !call.is_maintenance(agent) {
        // The plain name is used if PATH leads to the same file: kage may print the command for the user.
        let is_plain = Program::find(&call.program, &shims).is_ok_and(|plain| plain.path == program.path);
        call.args.insert(0, if is_plain { call.program } else { program.path.into() });
        return exec::run(Exec { agent: call.agent, command: call.args, ..Exec::default() });
    }
    let environment = |command: &mut Command| {
        // Set even though this is not a run: the program may be a script that calls the shim again, and this
        // loop must end.
        command.env(DEPTH, (depth + 1).to_string()).envs([started_mark(&program.path)]);
        if !is_inside_run {
            command.env_remove(PASSPHRASE);
        }
    };
    if is_exec_loop() {
        let ended = program.wait(&call.args, environment)?;
        return Ok(ended.code().unwrap_or_else(|| reraise(ended.signal().unwrap_or_default())));
    }
    match program.replace(&call.args, environment)? {}
}

/// Whether this process may have been kage before. A script that clears the environment and then replaces
/// itself with the shim would loop forever in one process, and the ancestors of that process do not show it.
/// But such a process has used more CPU time than any start takes. kage then starts the next program as a
/// child, so that the loop shows among the ancestors.
fn is_exec_loop() -> bool {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    env::var_os(DEPTH).is_none() && used.tv_sec >= 1
}

/// How many levels deep kage runs inside kage. If a script in between has cleared the environment, the
/// ancestors that are kage are counted, because an endless loop would create more and more of them.
fn depth(program: &OsStr) -> Result<u32, Failure> {
    if env::var_os(DEPTH).is_some() {
        return engine::depth();
    }
    let is_kage = |pid: &u32| {
        let exe = PathBuf::from(format!("/proc/{pid}/exe"));
        is_kage(&exe) || is_unreadable(&exe) && is_called(*pid, program)
    };
    match ancestors().filter(is_kage).zip(1..=MAX_DEPTH).last() {
        Some((_, depth)) if depth >= MAX_DEPTH => Err(too_deep(depth)),
        _ => Ok(0),
    }
}

/// Whether the system hides the program of a process, as it does for a kage that holds a secret.
fn is_unreadable(exe: &Path) -> bool {
    exe.metadata().is_err_and(|why| why.kind() == ErrorKind::PermissionDenied)
}

/// Whether a process has the name `kage` or the name by which this kage was called.
fn is_called(pid: u32, program: &OsStr) -> bool {
    let program = Path::new(program).file_name().unwrap_or_default();
    process::name_of(pid)
        .is_some_and(|name| name == "kage" || program.as_bytes().starts_with(name.as_bytes()))
}

/// Refuses a copy of kage or a hard link with an agent's name. When kage starts itself by its own path, such
/// a copy would take the internal arguments for those of the agent.
fn refuse_copy(program: &OsStr) -> Result<(), Failure> {
    let exe = env::current_exe().and_then(|exe| exe.canonicalize()).ok();
    match exe.filter(|exe| exe.file_name() == Some(program)) {
        None => Ok(()),
        Some(exe) => {
            let message =
                format!("{} is a copy of kage; only a symbolic link can act as the agent", exe.display());
            let hint = format!("replace it with a shim: kage shim install {}", program.display());
            Err(Failure::new(Status::BeforeStart, message).hint(hint))
        }
    }
}

/// The program to run, with its arguments.
struct Call {
    /// The agent's program, or the runtime that runs it.
    program: OsString,
    args: Vec<OsString>,
    /// The agent, if the program's name does not identify it.
    agent: Option<String>,
    /// The number of leading `args` that are not arguments of the agent.
    before: usize,
}

impl Call {
    /// An editor passes the real agent in the first arguments: its path, or a runtime and a script.
    /// Source: the setting `claudeProcessWrapper` of Claude Code's extension for VS Code.
    fn read(agent: &dyn Agent, RunAs { program, mut args }: RunAs) -> Self {
        let first = args.first().map(Path::new).filter(|path| path.is_absolute() && is_executable(path));
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
