//! The verbs of `kage subscription`.

use clap::{Args, Subcommand};
use jiff::civil::Date;

use super::{Json, Status, Usage};
use crate::pool::{Cost, Level, Name, Selector};

/// Manage the subscriptions of the pool
///
/// The definitions are in ~/.config/kage/config.toml. Its comments and layout are kept. The secrets are
/// stored elsewhere.
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
    /// Shows its settings, how full the windows of its plan are, what limits it, since when and by which
    /// rule, and where its secret is stored.
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
    /// Rename a subscription, including in the routes
    ///
    /// Its secret, its limits and today's totals move to the new name. In the ledger, past runs keep the old
    /// name.
    ///
    /// Examples:
    ///   kage subscription rename work work-premium
    #[command(verbatim_doc_comment)]
    Rename {
        /// The current name
        old: Name,
        /// The new name
        new: Name,
    },
    Remove(Remove),
    /// Allow runs to use a subscription again
    ///
    /// Examples:
    ///   kage subscription enable personal
    #[command(verbatim_doc_comment)]
    Enable {
        /// The subscription
        name: Name,
    },
    /// Exclude a subscription from all runs
    ///
    /// Agents that are running on it continue.
    ///
    /// Examples:
    ///   kage subscription disable personal
    #[command(verbatim_doc_comment)]
    Disable {
        /// The subscription
        name: Name,
    },
    /// Clear a subscription's limits and health
    ///
    /// The next run may use it immediately. If its provider still refuses it, kage records the limit again.
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
/// kage asks for the secret at the terminal, or reads it from standard input if that is not a terminal.
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
    /// The name, as an option
    #[arg(long = "name", value_name = "NAME", conflicts_with = "name")]
    pub name_option: Option<Name>,
    /// The agent that the subscription is for
    #[arg(long, value_name = "AGENT", default_value = "claude")]
    pub agent: String,
    #[command(flatten)]
    pub fields: Fields,
    #[command(flatten)]
    pub secret: SecretInput,
}

/// The settings of a subscription; `none` removes an optional one
#[derive(Debug, Args)]
pub(crate) struct Fields {
    /// 0-255: its share of the runs or its rank, depending on the strategy [default: 100]
    #[arg(long)]
    pub priority: Option<u8>,
    /// Tags that routes and --tag can select
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub tags: Option<Vec<String>>,
    /// A description in your own words
    #[arg(long)]
    pub description: Option<String>,
    /// Maximum number of agents that run on it at the same time
    #[arg(long, value_name = "N", value_parser = parallel)]
    pub max_parallel: Option<Number>,
    /// Maximum number of requests per `rate_limit_window`
    #[arg(long, value_name = "N")]
    pub requests_per_window: Option<Number>,
    /// Maximum input and output tokens per day
    #[arg(long, value_name = "N")]
    pub tokens_per_day: Option<Number>,
    /// Maximum API-equivalent cost per day
    #[arg(long, value_name = "USD")]
    pub cost_per_day: Option<Dollars>,
    /// Maximum API-equivalent cost per month
    #[arg(long, value_name = "USD")]
    pub cost_per_month: Option<Dollars>,
    /// A variable for its agent; an empty value removes it (repeatable)
    #[arg(long, value_name = "K=V", value_parser = variable)]
    pub env: Vec<(String, String)>,
}

/// A positive whole number in TOML's range, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(pub Option<i64>);

impl std::str::FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "none" => Ok(Self(None)),
            Ok(number) if number > 0 => Ok(Self(Some(number))),
            _ => Err("expected a positive whole number or `none`".into()),
        }
    }
}

/// An amount in US dollars, or `none`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dollars(pub Option<f64>);

impl std::str::FromStr for Dollars {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "none" => Ok(Self(None)),
            Ok(dollars) if Cost::from_dollars(dollars).is_some() => Ok(Self(Some(dollars))),
            _ => Err("expected an amount in US dollars such as `5` or `2.50`, or `none`".into()),
        }
    }
}

fn parallel(text: &str) -> Result<Number, String> {
    match text.parse()? {
        Number(Some(most)) if u32::try_from(most).is_err() => Err(format!("expected at most {}", u32::MAX)),
        number => Ok(number),
    }
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "expected a date such as 2026-11-23".to_owned())
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

/// Where the secret comes from and where it is stored
#[derive(Debug, Args)]
pub(crate) struct SecretInput {
    /// keychain, file, command:CMD or home:DIR [default: where the secret already is, else keychain]
    #[arg(long, value_name = "LOCATION")]
    pub credential: Option<String>,
    /// Read the secret from standard input, even at a terminal
    #[arg(long)]
    pub stdin: bool,
    /// Accept a secret that does not have the agent's format
    #[arg(long)]
    pub force: bool,
    /// The day the token was created, if not today; claude's tokens are valid for a year
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
    /// Only subscriptions with this status
    #[arg(long, value_parser = ["active", "rate_limited", "exhausted", "disabled", "unhealthy"])]
    pub status: Option<String>,
    #[command(flatten)]
    pub form: Json,
}

/// Change settings of a subscription
///
/// Only the given settings change. `none` removes a number; an empty value removes the tags or the
/// description.
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
/// Asks first, and refuses if a route names the subscription. Its past runs stay in the ledger.
///
/// Examples:
///   kage subscription remove old-trial
///   kage subscription remove old-trial --force
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Remove {
    /// The subscription
    pub name: Name,
    /// Do not ask, and remove it from the routes
    #[arg(long)]
    pub force: bool,
}

/// Replace the secret of a subscription, or move it to another location
///
/// kage asks for the secret at the terminal, or reads it from standard input if that is not a terminal. If
/// the old secret was refused, runs can use the subscription again immediately.
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
    /// Delete a stored secret that no subscription uses
    #[arg(long, requires = "name", conflicts_with_all = ["credential", "stdin", "force", "minted"])]
    pub(crate) forget: bool,
    /// List the stored secrets by name and location
    #[arg(short, long, conflicts_with_all = ["name", "credential", "stdin", "force", "minted", "forget"])]
    pub(crate) list: bool,
    #[command(flatten)]
    pub(crate) form: Json,
}

/// Set which subscriptions a namespace or a level may use
///
/// Runs with a route use only the subscriptions of that route. A fallback is used only if none of them is
/// ready.
///
/// Examples:
///   kage subscription route --namespace backend --subscriptions work-a,work-b
///   kage subscription route --namespace frontend --subscriptions tag:ui --fallback private
///   kage subscription route --priority high --subscriptions premium
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[group(id = "action", required = true, multiple = false, args = ["namespace", "priority", "list", "remove"])]
pub(crate) struct Route {
    /// For runs in this namespace
    #[arg(short, long, value_name = "NAMESPACE", requires = "subscriptions")]
    pub namespace: Option<Name>,
    /// For runs at this level
    #[arg(short, long, value_name = "LEVEL", requires = "subscriptions")]
    pub priority: Option<Level>,
    /// Names of subscriptions, or tag:NAME
    #[arg(short, long, value_name = "A,B", value_delimiter = ',', conflicts_with_all = ["list", "remove"])]
    pub subscriptions: Option<Vec<Selector>>,
    /// Used only if none of --subscriptions is ready
    #[arg(long, value_name = "C,D", value_delimiter = ',', requires = "subscriptions")]
    pub fallback: Vec<Selector>,
    /// List the routes
    #[arg(short, long)]
    pub list: bool,
    /// Remove the route of a namespace or a level
    #[arg(long, value_name = "KEY")]
    pub remove: Option<Name>,
    #[command(flatten)]
    pub form: Json,
}
