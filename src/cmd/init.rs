//! `kage init`: prints or installs the integration with a shell, direnv or tmux.

mod file;
mod line;

use std::env;

use anyhow::Result;

use self::file::OwnFile;
use self::line::StartUpLine;
use super::integration_files::{
    READ_BASHRC, direnv_file, login_file_without_bashrc, start_up_file, tmux_conf,
};
use crate::agent::{Agent, Agents};
use crate::cli::{Init, Target};
use crate::config::Config;
use crate::error::Failure;
use crate::paths::{Paths, program};
use crate::report;
use crate::shell::{self, Function, Shell, can_be_function};
use crate::text::quoted;

pub(super) fn run(args: &Init) -> Result<()> {
    let paths = Paths::from_environment()?;
    match args.target {
        None => shell(users_shell().ok_or_else(unknown_shell)?, args, &paths),
        Some(Target::Bash) => shell(Shell::Bash, args, &paths),
        Some(Target::Zsh) => shell(Shell::Zsh, args, &paths),
        Some(Target::Fish) => shell(Shell::Fish, args, &paths),
        Some(Target::Direnv) => direnv(args, &paths),
        Some(Target::Tmux) => tmux(args, &paths),
    }
}

/// The shell in SHELL, if kage has functions for it.
pub(super) fn users_shell() -> Option<Shell> {
    Shell::of_program(&env::var("SHELL").ok()?)
}

fn unknown_shell() -> Failure {
    Failure::usage("SHELL is not bash, zsh or fish").hint("kage init bash")
}

fn shell(shell: Shell, args: &Init, paths: &Paths) -> Result<()> {
    let kage = program()?;
    if args.install || args.uninstall {
        let start_up = start_up_line(shell, paths);
        if args.uninstall {
            return start_up.remove(args.yes);
        }
        agents(paths, &args.alias)?;
        let added = start_up.add(&shell.line(&kage, &args.alias), args.yes)?;
        if added {
            report::say(format_args!("it takes effect in new shells; in this one, run: exec {shell}"));
            if let Some(file) = login_file_without_bashrc(paths).filter(|_| shell == Shell::Bash) {
                let file = file.display();
                report::say(format_args!(
                    "login shells, such as those of tmux, need this line in {file}: {READ_BASHRC}"
                ));
            }
        }
        return Ok(());
    }
    let agents = agents(paths, &args.alias)?;
    if args.print_rc {
        return report::print(&format!("{}\n", shell.line(&kage, &args.alias)));
    }
    let functions: Vec<_> = agents
        .iter()
        .filter(|agent| can_be_function(agent.program()))
        .map(|agent| Function { program: agent.program(), maintenance: agent.maintenance_commands() })
        .collect();
    report::print(&shell.integration(&kage, &functions))
}

/// direnv reads every file in its lib directory, so no line is added to a file of the user.
fn direnv(args: &Init, paths: &Paths) -> Result<()> {
    no_alias(args)?;
    let file = OwnFile { file: direnv_file(paths), begins: shell::DIRENV_BEGINS };
    if args.uninstall {
        file.remove(args.yes)
    } else if args.install {
        file.put(shell::DIRENV, args.yes)
    } else if args.print_rc {
        let message = "direnv needs no startup line from kage";
        Err(Failure::usage(message).hint("kage init direnv --install").into())
    } else {
        report::print(shell::DIRENV)
    }
}

fn tmux(args: &Init, paths: &Paths) -> Result<()> {
    no_alias(args)?;
    let kage = program()?;
    let start_up = StartUpLine { file: tmux_conf(paths), call: "init tmux".to_owned() };
    if args.uninstall {
        start_up.remove(args.yes)
    } else if args.install {
        if start_up.add(&shell::tmux_line(&kage), args.yes)? {
            let file = quoted(&start_up.file.display().to_string());
            report::say(format_args!(
                "it takes effect in new tmux servers; in this one, run: tmux source-file {file}"
            ));
        }
        Ok(())
    } else if args.print_rc {
        report::print(&format!("{}\n", shell::tmux_line(&kage)))
    } else {
        report::print(&shell::tmux(&kage))
    }
}

fn no_alias(args: &Init) -> Result<(), Failure> {
    if args.alias.is_empty() {
        return Ok(());
    }
    Err(Failure::usage("--alias works only with bash, zsh and fish").hint("remove --alias"))
}

/// The agents that get a shell function: the given ones, otherwise those with a subscription. A config that
/// cannot be read is reported by runs, not at the start of each shell. Until it is fixed, all built-in agents
/// get a function, so that none runs without the pool.
fn agents(paths: &Paths, named: &[String]) -> Result<Vec<&'static dyn Agent>> {
    let config = match Config::load(paths) {
        Ok(config) => config,
        Err(_) if named.is_empty() => return Ok(Agents::default().all().collect()),
        Err(why) => return Err(why),
    };
    if !named.is_empty() {
        return named.iter().map(|name| config.agent(name).map_err(Into::into)).collect();
    }
    let uses = |agent: &&dyn Agent| config.pool.subscriptions.values().any(|one| one.agent == agent.name());
    Ok(config.agents.all().filter(uses).collect())
}

/// Whether the start-up file already loads kage.
pub(super) fn is_set_up(shell: Shell, paths: &Paths) -> bool {
    start_up_line(shell, paths).exists()
}

fn start_up_line(shell: Shell, paths: &Paths) -> StartUpLine {
    StartUpLine { file: start_up_file(shell, paths), call: format!("init {shell}") }
}
