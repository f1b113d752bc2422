//! `kage status`: the pool at a glance, once or redrawn every second.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use jiff::Zoned;

use crate::cli::{self, Form};
use crate::config::Config;
use crate::engine::{Context, Voice};
use crate::error::Failure;
use crate::pool::State;
use crate::report::{self, Overview};
use crate::run;
use crate::terminal::Size;

pub(super) fn run(args: &cli::Status) -> Result<i32> {
    if args.watch {
        return watch();
    }
    if args.format == Form::Tmux {
        return segment(args.subscription.as_deref()).map(|()| 0);
    }
    if args.subscription.is_some() {
        let hint = "kage subscription show NAME";
        return Err(Failure::usage("-s works only with --format tmux").hint(hint).into());
    }
    let context = crate::cmd::context::open()?;
    let (state, now) = (context.state()?, context.now());
    if args.form.json || args.format == Form::Json {
        report::print_json(&report::pool_json(&context.config.pool, &state, None, &now))?;
    } else {
        report::print(&overview(&context, &state, &now).text(report::columns()))?;
    }
    Ok(0)
}

/// Prints the segment for tmux. Errors are shown as a mark in it, because tmux does not show standard error.
fn segment(subscription: Option<&str>) -> Result<()> {
    let text = drawn(subscription).unwrap_or_else(|_| report::tmux_error());
    report::print(&text)
}

fn drawn(subscription: Option<&str>) -> Result<String> {
    let context = Context::open(Voice::silent())?;
    let state = context.strict_view()?;
    Ok(report::tmux(&context.config.pool, &state, subscription, &context.now()))
}

fn overview<'a>(context: &'a Context, state: &'a State, now: &'a Zoned) -> Overview<'a> {
    Overview { pool: &context.config.pool, state, home: &context.paths.home, now }
}

fn watch() -> Result<i32> {
    if !run::can_draw() {
        return Err(Failure::usage("--watch needs a terminal").hint("kage status").into());
    }
    let mut watched = Watched::open()?;
    let signal =
        run::draw_each_second(|size| watched.frame(size)).context("could not draw on the terminal")?;
    Ok(signal.map_or(0, run::reraise))
}

/// The config and the state that were last read.
struct Watched {
    context: Context,
    state: State,
    config: Stamp,
}

impl Watched {
    fn open() -> Result<Self> {
        let context = crate::cmd::context::open()?;
        let config = stamp(&context.paths.config);
        Ok(Self { context, state: State::default(), config })
    }

    /// Draws one frame. If something cannot be read now, the frame shows the reason and then what was read
    /// before: the next attempt, a second later, may succeed.
    fn frame(&mut self, size: Size) -> Vec<String> {
        let read = self.read_config().and(self.context.strict_view().map(|state| self.state = state));
        let mut lines: Vec<_> =
            read.err().map(|why| report::error_line(&format!("{why:#}"))).into_iter().collect();
        let height = size.rows.saturating_sub(lines.len());
        let now = self.context.now();
        lines.extend(overview(&self.context, &self.state, &now).frame(size.columns, height));
        report::for_terminal(lines)
    }

    fn read_config(&mut self) -> Result<()> {
        let stamp = stamp(&self.context.paths.config);
        if stamp != self.config {
            self.context.config = Config::load(&self.context.paths)?;
            self.config = stamp;
        }
        Ok(())
    }
}

/// Identifies a version of a file: inode, length, and the seconds and nanoseconds of its modification.
type Stamp = Option<(u64, u64, i64, i64)>;

fn stamp(file: &Path) -> Stamp {
    let known = fs::metadata(file).ok()?;
    Some((known.ino(), known.len(), known.mtime(), known.mtime_nsec()))
}
