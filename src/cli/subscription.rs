//! The verbs below `kage subscription`.

use clap::{Args, Subcommand};

use super::{Json, Status, Usage};
use crate::pool::{Cost, Level, Name, Selector};

/// Manage the subscriptions of the pool
#[derive(Debug, Subcommand)]
pub(crate) enum Subscription {
    Add(Add),
    List(List),
    /// Show one subscription in full
    Show {
        name: Name,
        #[command(flatten)]
        form: Json,
    },
    Set(Set),
    /// Give a subscription another name, in the routes too
    Rename {
        old: Name,
        new: Name,
    },
    Remove(Remove),
    /// Let runs use a subscription again
    Enable {
        name: Name,
    },
    /// Keep a subscription from all runs
    Disable {
        name: Name,
    },
    /// Forget a subscription's limits and health
    Reset {
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
}

/// List the subscriptions
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this status
    #[arg(long, value_parser = ["active", "rate_limited", "exhausted", "disabled", "unhealthy"])]
    pub status: Option<String>,
    #[command(flatten)]
    pub form: Json,
}

/// Change settings of a subscription
#[derive(Debug, Args)]
pub(crate) struct Set {
    pub name: Name,
    #[command(flatten)]
    pub fields: Fields,
}

/// Remove a subscription and its secret
#[derive(Debug, Args)]
pub(crate) struct Remove {
    pub name: Name,
    /// Do not ask, and take it out of the routes
    #[arg(long)]
    pub force: bool,
}

/// Replace the secret of a subscription, or move it to another place
#[derive(Debug, Args)]
pub(crate) struct Credential {
    #[arg(required_unless_present = "list", conflicts_with = "json")]
    pub(crate) name: Option<Name>,
    #[command(flatten)]
    pub(crate) secret: SecretInput,
    /// List the secrets that are stored, by name and place
    #[arg(short, long, conflicts_with_all = ["name", "credential", "stdin", "force"])]
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
