//! `kage shim`: scripts under the agents' names, in a directory of their own.

mod first;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use self::first::{is_first, line_for_start_up_file};
use super::places::can_be_run;
use crate::agent::Agent;
use crate::cli::{Install, ListShims, RemoveShims, Shim};
use crate::config::Config;
use crate::error::{Failure, Status};
use crate::files;
use crate::paths::{Paths, program};
use crate::report::{self, Narrowing, SCHEMA};
use crate::run::{Program, is_kage, is_shim};
use crate::shell::{can_be_function, shim};
use crate::text::quoted;

pub(super) fn run(verb: &Shim) -> Result<()> {
    let paths = Paths::from_environment()?;
    match verb {
        Shim::Install(args) => install(args, &paths),
        Shim::Remove(args) => remove(args, &paths),
        Shim::List(args) => list(args, &paths),
    }
}

fn install(args: &Install, paths: &Paths) -> Result<()> {
    let config = Config::load(paths)?;
    let kage = program()?;
    let agents = wanted(&args.agents, &config)?;
    // All or none: nothing is written where one of them cannot be.
    for agent in &agents {
        refuse_foreign(&paths.shims.join(agent.program()), agent.name(), args.force)?;
    }
    files::make_private_dir(&paths.shims)?;
    for agent in &agents {
        let path = paths.shims.join(agent.program());
        files::replace_program(&path, shim::text(&kage, agent.program()).as_bytes())
            .with_context(|| format!("could not write {}", path.display()))?;
        report::say(format_args!("{} calls {kage}", path.display()));
    }
    if agents.iter().any(|agent| !is_first(agent.program(), &paths.shims)) {
        report::say("it is not first on PATH; this line in your shell's start-up file puts it there:");
        report::print(&format!("{}\n", line_for_start_up_file(paths)))?;
    }
    Ok(())
}

/// Those named, else those with a subscription.
fn wanted(named: &[String], config: &Config) -> Result<Vec<&'static dyn Agent>, Failure> {
    let agents: Vec<_> = if named.is_empty() {
        let uses = |agent: &&dyn Agent| {
            let mut pool = config.pool.subscriptions.values();
            pool.any(|one| one.agent == agent.name()) && can_be_function(agent.program())
        };
        config.agents.all().filter(uses).collect()
    } else {
        named.iter().map(|name| config.agent(name)).collect::<Result<_, _>>()?
    };
    if agents.is_empty() {
        return Err(Failure::usage("no agent has a subscription yet").hint("kage shim install claude"));
    }
    match agents.iter().find(|agent| !can_be_function(agent.program())) {
        None => Ok(agents),
        Some(odd) => {
            let message = format!("`{}` cannot be the name of a shim", odd.program());
            Err(Failure::usage(message)
                .hint(format!("give `{}` a plain name as its `program` in the config", odd.name())))
        }
    }
}

/// An agent may have updated itself into this place, and nothing that the user may miss is overwritten.
fn refuse_foreign(path: &Path, agent: &str, force: bool) -> Result<(), Failure> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Ok(file) if file.is_dir() => Err(Failure::new(Status::Failed, format!("{shown} is a directory"))
            .hint(format!("rmdir {}", quoted(&shown.to_string())))),
        Ok(_) if !force && !is_shim(path) && !is_kage(path) => {
            Err(Failure::new(Status::Failed, format!("{shown} is no shim, and stays as it is"))
                .hint(format!("to replace it: kage shim install --force {agent}")))
        }
        _ => Ok(()),
    }
}

fn remove(args: &RemoveShims, paths: &Paths) -> Result<()> {
    let names = if args.agents.is_empty() { shims(&paths.shims)? } else { programs(&args.agents, paths)? };
    if names.is_empty() {
        report::say(format_args!("there is no shim in {}", paths.shims.display()));
    }
    for name in names {
        let path = paths.shims.join(&name);
        let shown = path.display();
        if fs::symlink_metadata(&path).is_err() {
            report::say(format_args!("there is no {shown}"));
            continue;
        }
        if !is_shim(&path) && !is_kage(&path) {
            let message = format!("{shown} is no shim, and stays as it is");
            let hint = format!("ls -l {}", quoted(&shown.to_string()));
            return Err(Failure::new(Status::Failed, message).hint(hint).into());
        }
        fs::remove_file(&path).with_context(|| format!("could not remove {shown}"))?;
        report::say(format_args!("removed {shown}"));
    }
    // Where something is left in it, it stays.
    let _ = fs::remove_dir(&paths.shims);
    Ok(())
}

/// The programs of agents. One that the config no longer has may have left a shim under its name.
fn programs(named: &[String], paths: &Paths) -> Result<Vec<String>, Failure> {
    let agents = Config::load(paths).map(|config| config.agents).unwrap_or_default();
    let program = |name: &String| {
        let program = agents.find(name).map_or(name.as_str(), |agent| agent.program());
        let unknown = || Failure::usage(format!("`{name}` is not an agent")).hint("kage shim list");
        can_be_function(program).then(|| program.to_owned()).ok_or_else(unknown)
    };
    named.iter().map(program).collect()
}

/// The names of the shims in a directory, in order.
fn shims(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(refused) => return Err(refused).with_context(|| format!("could not read {}", dir.display())),
    };
    let ours = entries.flatten().filter(|entry| is_shim(&entry.path()) || is_kage(&entry.path()));
    let mut names: Vec<_> = ours.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// One shim, as it is listed.
struct Shown {
    agent: String,
    path: PathBuf,
    /// What it calls, and whether that is there.
    kage: Option<(String, bool)>,
    /// The program that would run.
    behind: Option<PathBuf>,
    is_first: bool,
}

impl Shown {
    fn new(program: String, config: &Config, shims: &Path) -> Self {
        let path = shims.join(&program);
        // A link calls kage as a script does.
        let text = fs::read_to_string(&path).ok().filter(|_| is_shim(&path));
        let target = text.and_then(|text| shim::kage_of(&text)).or_else(|| {
            path.canonicalize()
                .ok()
                .filter(|_| is_kage(&path))
                .and_then(|kage| kage.to_str().map(str::to_owned))
        });
        let agent = config.agents.of_program(program.as_ref());
        Self {
            agent: agent.map_or_else(|| program.clone(), |agent| agent.name().to_owned()),
            kage: target.map(|kage| (kage.clone(), can_be_run(kage.as_ref()))),
            behind: Program::find(program.as_ref(), shims).ok().map(|found| found.path),
            is_first: is_first(&program, shims),
            path,
        }
    }

    fn row(&self, home: &Path) -> Vec<String> {
        let shown = |path: &Path| report::below_home(&path.display().to_string(), home);
        let kage = self.kage.as_ref().map_or_else(
            || "unknown".to_owned(),
            |(kage, is_there)| format!("{}{}", shown(kage.as_ref()), if *is_there { "" } else { " (gone)" }),
        );
        let behind = self.behind.as_deref().map_or_else(|| "not found".to_owned(), shown);
        let first = if self.is_first { "yes" } else { "no" };
        [self.agent.clone(), shown(&self.path), kage, behind, first.to_owned()]
            .map(|cell| crate::text::one_line(&cell))
            .to_vec()
    }
}

const HEAD: [&str; 5] = ["Agent", "Shim", "kage", "Program", "First on PATH"];
const NARROWING: Narrowing<'_> =
    Narrowing { cut: &["Shim", "kage", "Program"], dispensable: &["Shim", "Program", "kage"] };

fn list(args: &ListShims, paths: &Paths) -> Result<()> {
    let config = Config::load(paths)?;
    let shims: Vec<_> =
        shims(&paths.shims)?.into_iter().map(|name| Shown::new(name, &config, &paths.shims)).collect();
    if args.form.json {
        let rows = shims.iter().map(|shim| {
            json!({
                "agent": shim.agent,
                "path": shim.path.to_string_lossy(),
                "kage": shim.kage.as_ref().map(|(kage, _)| kage),
                "kage_is_there": shim.kage.as_ref().is_some_and(|(_, is_there)| *is_there),
                "program": shim.behind.as_ref().map(|path| path.to_string_lossy()),
                "is_first": shim.is_first,
            })
        });
        let dir = paths.shims.to_string_lossy();
        return report::print_json(
            &json!({ "schema": SCHEMA, "dir": dir, "shims": rows.collect::<Vec<_>>() }),
        );
    }
    if shims.is_empty() {
        return report::print("There is no shim. Make one: kage shim install claude\n");
    }
    let rows: Vec<_> = shims.iter().map(|shim| shim.row(&paths.home)).collect();
    report::print(&report::fitting_table(&HEAD, &rows, &NARROWING, report::columns()))
}
