//! The verbs below `kage subscription`.

use clap::{Args, Subcommand};
use jiff::civil::Date;

use super::{Json, Status, Usage};
use crate::pool::{Cost, Level, Name, Selector};

/// Manage the subscriptions of the pool
///
/// What is defined is in ~/.config/kage/config.toml, whose comments and layout survive; the secrets are not.
///
/// Examples:
///   kage subscription add work-premium --priority 150 --tags backend
///   kage subscription list
///   kage subscription show work-premium
///   kage subscription route --namespace backend --subscriptions tag:backend
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(crate) enum Subscription {
    Add(Add),
    List(List),
    /// Show one subscription in full
    ///
    /// Its settings, how full the windows of its plan are, what limits it, since when and by which rule, and
    /// where its secret is.
    ///
    /// Examples:
    ///   kage subscription show work-premium
    ///   kage subscription show work-premium --json
    #[command(verbatim_doc_comment)]
    Show {
        /// The subscription
        name: Name,
        #[command(flatten)]
        form: Json,
    },
    Set(Set),
    /// Give a subscription another name, in the routes too
    ///
    /// Its secret, its limits and its totals of today go with it; the ledger keeps the name a run was made under.
    ///
    /// Examples:
    ///   kage subscription rename work work-premium
    #[command(verbatim_doc_comment)]
    Rename {
        /// The name it has
        old: Name,
        /// The name it gets
        new: Name,
    },
    Remove(Remove),
    /// Let runs use a subscription again
    ///
    /// Examples:
    ///   kage subscription enable personal
    #[command(verbatim_doc_comment)]
    Enable {
        /// The subscription
        name: Name,
    },
    /// Keep a subscription from all runs
    ///
    /// Agents that run on it go on.
    ///
    /// Examples:
    ///   kage subscription disable personal
    #[command(verbatim_doc_comment)]
    Disable {
        /// The subscription
        name: Name,
    },
    /// Forget a subscription's limits and health
    ///
    /// The next run may use it at once. If its provider still refuses it, the limit is back then.
    ///
    /// Examples:
    ///   kage subscription reset work-premium
    #[command(verbatim_doc_comment)]
    Reset {
        /// The subscription
        name: Name,
    },
    Credential(Credential),
    Route(Route),
    Status(Status),
    Usage(Usage),
}

/// Add a subscription and store its credential
///
/// The credential is asked for at the terminal, or read from standard input where that is no terminal.
///
/// Examples:
///   kage subscription add work-premium --priority 150 --tags backend,audited
///   pass show claude/client-x | kage subscription add client-x --credential file
///   kage subscription add team --credential 'command:op read op://work/claude/token'
///   kage subscription add private --credential home:~/.claude-private
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Add {
    /// The name: letters, digits, `.`, `_`, `-`
    #[arg(value_name = "NAME", required_unless_present = "name_option")]
    pub name: Option<Name>,
    /// The same as an option
    #[arg(long = "name", value_name = "NAME", conflicts_with = "name")]
    pub name_option: Option<Name>,
    /// The agent it is for
    #[arg(long, value_name = "AGENT", default_value = "claude")]
    pub agent: String,
    #[command(flatten)]
    pub fields: Fields,
    #[command(flatten)]
    pub secret: SecretInput,
}

/// The settings of a subscription; `none` takes an optional one away
#[derive(Debug, Args)]
pub(crate) struct Fields {
    /// 0-255: its share of the work, or its rank [default: 100]
    #[arg(long)]
    pub priority: Option<u8>,
    /// Words that routes and --tag select by
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub tags: Option<Vec<String>>,
    /// For people
    #[arg(long)]
    pub description: Option<String>,
    /// Most agents that may run on it at once
    #[arg(long, value_name = "N", value_parser = parallel)]
    pub max_parallel: Option<Number>,
    /// Requests it may make in `rate_limit_window`
    #[arg(long, value_name = "N")]
    pub requests_per_window: Option<Number>,
    /// Input and output tokens it may use in a day
    #[arg(long, value_name = "N")]
    pub tokens_per_day: Option<Number>,
    /// What its tokens of a day may cost, API-equivalent
    #[arg(long, value_name = "USD")]
    pub cost_per_day: Option<Dollars>,
    /// The same of a month
    #[arg(long, value_name = "USD")]
    pub cost_per_month: Option<Dollars>,
    /// A variable for its agent; an empty value takes it away (repeatable)
    #[arg(long, value_name = "K=V", value_parser = variable)]
    pub env: Vec<(String, String)>,
}

/// A whole number from 1 on, as far as TOML has them, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(pub Option<i64>);

impl std::str::FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "none" => Ok(Self(None)),
            Ok(number) if number > 0 => Ok(Self(Some(number))),
            _ => Err("expected a whole number from 1 on, or `none`".into()),
        }
    }
}

/// An amount of US dollars, or `none`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dollars(pub Option<f64>);

impl std::str::FromStr for Dollars {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "none" => Ok(Self(None)),
            Ok(dollars) if Cost::from_dollars(dollars).is_some() => Ok(Self(Some(dollars))),
            _ => Err("expected an amount of US dollars such as `5` or `2.50`, or `none`".into()),
        }
    }
}

fn parallel(text: &str) -> Result<Number, String> {
    match text.parse()? {
        Number(Some(most)) if u32::try_from(most).is_err() => Err(format!("expected {} at most", u32::MAX)),
        number => Ok(number),
    }
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "expected a day such as 2026-11-23".to_owned())
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

/// Where the secret goes and where it comes from
#[derive(Debug, Args)]
pub(crate) struct SecretInput {
    /// keychain, file, command:CMD or home:DIR [default: keychain]
    #[arg(long, value_name = "WHERE")]
    pub credential: Option<String>,
    /// Read the secret from standard input, also at a terminal
    #[arg(long)]
    pub stdin: bool,
    /// Take a secret that does not look like the agent's
    #[arg(long)]
    pub force: bool,
    /// The day a token was made, where that is not today; claude's last for a year
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub minted: Option<Date>,
}

/// List the subscriptions
///
/// Examples:
///   kage subscription list
///   kage subscription list --status active --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    /// Only those of this status
    #[arg(long, value_parser = ["active", "rate_limited", "exhausted", "disabled", "unhealthy"])]
    pub status: Option<String>,
    #[command(flatten)]
    pub form: Json,
}

/// Change settings of a subscription
///
/// Only what is given is changed. `none` takes a number away, an empty value the tags or the description.
///
/// Examples:
///   kage subscription set work-premium --priority 200 --max-parallel 4
///   kage subscription set personal --tags ui,private --cost-per-month none
///   kage subscription set team --env ANTHROPIC_BASE_URL=https://gateway.example
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Set {
    /// The subscription
    pub name: Name,
    #[command(flatten)]
    pub fields: Fields,
}

/// Remove a subscription and its secret
///
/// Asks first, and refuses while a route names it. What ran on it stays in the ledger.
///
/// Examples:
///   kage subscription remove old-trial
///   kage subscription remove old-trial --force
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Remove {
    /// The subscription
    pub name: Name,
    /// Do not ask, and take it out of the routes
    #[arg(long)]
    pub force: bool,
}

/// Replace the secret of a subscription, or move it to another place
///
/// The secret is asked for at the terminal, or read from standard input where that is no terminal. Runs that the
/// old one was refused for are possible again at once.
///
/// Examples:
///   kage subscription credential work-premium
///   pass show claude/work | kage subscription credential work-premium --credential file
///   kage subscription credential --list
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Credential {
    /// The subscription
    #[arg(required_unless_present = "list", conflicts_with = "json")]
    pub(crate) name: Option<Name>,
    #[command(flatten)]
    pub(crate) secret: SecretInput,
    /// Take away a stored secret that no subscription uses
    #[arg(long, requires = "name", conflicts_with_all = ["credential", "stdin", "force", "minted"])]
    pub(crate) forget: bool,
    /// List the secrets that are stored, by name and place
    #[arg(short, long, conflicts_with_all = ["name", "credential", "stdin", "force", "minted", "forget"])]
    pub(crate) list: bool,
    #[command(flatten)]
    pub(crate) form: Json,
}

/// Say which subscriptions a namespace or a level may use
///
/// A route is a closed set: work never leaves it silently. A fallback is tried only when none of the set
/// is ready.
///
/// Examples:
///   kage subscription route --namespace backend --subscriptions work-a,work-b
///   kage subscription route --namespace frontend --subscriptions tag:ui --fallback private
///   kage subscription route --priority high --subscriptions premium
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[group(id = "action", required = true, multiple = false, args = ["namespace", "priority", "list", "remove"])]
pub(crate) struct Route {
    /// For runs of this namespace
    #[arg(short, long, value_name = "NAMESPACE", requires = "subscriptions")]
    pub namespace: Option<Name>,
    /// For runs of this level
    #[arg(short, long, value_name = "LEVEL", requires = "subscriptions")]
    pub priority: Option<Level>,
    /// Names, or tag:NAME
    #[arg(short, long, value_name = "A,B", value_delimiter = ',', conflicts_with_all = ["list", "remove"])]
    pub subscriptions: Option<Vec<Selector>>,
    /// Tried only when none of the set is ready
    #[arg(long, value_name = "C,D", value_delimiter = ',', requires = "subscriptions")]
    pub fallback: Vec<Selector>,
    /// List the routes
    #[arg(short, long)]
    pub list: bool,
    /// Remove the route of a namespace or level
    #[arg(long, value_name = "KEY")]
    pub remove: Option<Name>,
    #[command(flatten)]
    pub form: Json,
}
