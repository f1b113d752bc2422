//! An agent defined in the user's config: a program, the variable for its credential, and markers. kage
//! cannot read its records, so its output is the only evidence.

use std::ffi::OsString;
use std::path::Path;

use jiff::Zoned;

use super::{Agent, Captured, Evidence, Form, Intent, Job, LaunchPlan, Marker, SecretKind, Work, said};
use crate::secret::Secret;

/// How many lines at the end of each stream are searched for an error message.
const LAST_LINES: usize = 5;

/// The definition of an agent in the config.
#[derive(Debug, Clone, Default)]
pub struct Definition {
    /// The program's file name, if it is not the agent's name.
    pub program: Option<String>,
    /// The variable that carries the credential.
    pub credential_env: Option<String>,
    /// Variables that would compete with `credential_env`.
    pub remove_env: Vec<String>,
    /// Arguments that make the agent answer once and exit; any one of them is enough.
    pub print_args: Vec<String>,
    pub markers: Vec<Marker>,
}

pub(super) struct Custom {
    name: String,
    program: String,
    remove_env: Vec<String>,
    print_args: Vec<String>,
    kind: &'static SecretKind,
}

impl Custom {
    pub(super) fn new(name: String, definition: Definition) -> (Vec<Marker>, Self) {
        let variable =
            definition.credential_env.unwrap_or_else(|| format!("{}_API_KEY", name.to_uppercase()));
        let kind = SecretKind {
            prefix: "",
            variable: variable.leak(),
            descriptor: None,
            model: None,
            lifetime_days: None,
        };
        let custom = Self {
            program: definition.program.unwrap_or_else(|| name.clone()),
            name,
            remove_env: definition.remove_env,
            print_args: definition.print_args,
            kind: Box::leak(Box::new(kind)),
        };
        (definition.markers, custom)
    }
}

impl Agent for Custom {
    fn name(&self) -> &str {
        &self.name
    }

    fn program(&self) -> &str {
        &self.program
    }

    fn kind_of(&self, secret: &Secret) -> Option<&'static SecretKind> {
        (!secret.expose().is_empty()).then_some(self.kind)
    }

    fn default_kind(&self) -> &'static SecretKind {
        self.kind
    }

    fn secret_formats(&self) -> &'static str {
        "any text"
    }

    fn how_to_get(&self) -> &'static str {
        "see the agent's documentation for how to get a key or token"
    }

    fn has_login_dirs(&self) -> bool {
        false
    }

    fn login_hint(&self, _home: &Path) -> Option<String> {
        None
    }

    fn competes(&self, variable: &str) -> bool {
        variable == self.kind.variable || self.remove_env.iter().any(|known| known == variable)
    }

    fn read(
        &self,
        args: &[OsString],
        _environment: &dyn Fn(&str) -> Option<OsString>,
        to_terminal: bool,
    ) -> Intent {
        let asks_for_print = args.iter().any(|arg| self.print_args.iter().any(|known| arg == known.as_str()));
        let print = asks_for_print || (self.print_args.is_empty() && !to_terminal);
        Intent {
            form: if print { Form::Whole } else { Form::Interactive },
            repeatable: true,
            not_resumable: Some("kage does not know how this agent resumes a conversation"),
            ..Intent::default()
        }
    }

    fn prepare(&self, job: &Job<'_>) -> LaunchPlan {
        let competes = |name: &str| self.remove_env.iter().any(|known| known == name);
        LaunchPlan::new(job.args.to_vec(), job, competes, "")
    }

    fn can_resume(&self, _session: &str, _job: &Job<'_>) -> bool {
        false
    }

    fn errors_on_stderr(&self) -> bool {
        true
    }

    fn collect(&self, _plan: &LaunchPlan, captured: &Captured, _now: &Zoned) -> Evidence {
        let out = captured.whole.as_deref().unwrap_or_default();
        let printed = said::lines(out).len();
        let said =
            [said::last_lines(&captured.stderr, LAST_LINES), said::last_lines(out, LAST_LINES)].concat();
        // A single line on standard output may be just an error; more lines may mean work.
        let work = if captured.whole.is_some() && printed <= 1 { Work::None } else { Work::Unknown };
        Evidence { work, said, ..Evidence::default() }
    }

    fn examine(&self, text: &[u8], _now: &Zoned) -> Evidence {
        Evidence { said: said::last_lines(text, LAST_LINES), ..Evidence::default() }
    }

    fn markers(&self) -> &'static [Marker] {
        &[]
    }
}
