//! The arguments of `kage usage`, which queries the ledger.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::Date;

use crate::pool::Name;

/// Show past runs, the tokens they used and their API-equivalent cost
///
/// Counts all runs that kage started, from the agents' own records. Days are in your time zone; a period ends
/// today. The API-equivalent cost is what the same tokens cost at the providers' public prices. It is not
/// what you paid for a subscription. `~` marks a cost that contains an estimate, such as the price of another
/// version of the same model family. If no model of the family has a price, the cost is `unpriced`;
/// `[prices]` in the config adds prices to the table.
///
/// Examples:
///   kage usage
///   kage usage --period month --by day,subscription
///   kage usage --since 2026-11-01 --namespace backend --by model --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[allow(clippy::struct_excessive_bools)] // switches
pub(crate) struct Usage {
    /// The period [default: month, unless --since or --until is given]
    #[arg(long, value_enum, value_name = "PERIOD", conflicts_with_all = ["since", "until"])]
    pub period: Option<Period>,
    /// The first day, such as 2026-11-01
    #[arg(long, value_name = "DATE")]
    pub since: Option<Date>,
    /// The last day, inclusive
    #[arg(long, value_name = "DATE")]
    pub until: Option<Date>,
    /// Only this subscription
    #[arg(short, long, value_name = "NAME")]
    pub subscription: Option<Name>,
    /// Only this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<Name>,
    /// Only this model, or all models whose id begins with this
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<String>,
    /// The columns to group by
    #[arg(long, value_enum, value_name = "A,B", value_delimiter = ',', default_value = "subscription")]
    pub by: Vec<By>,
    /// Days in UTC instead of your time zone
    #[arg(long)]
    pub utc: bool,
    /// One JSON object instead of a table
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// CSV, for a spreadsheet
    #[arg(long)]
    pub csv: bool,
    /// Write a self-contained HTML page with charts
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "csv"])]
    pub html: Option<PathBuf>,
    /// Recompute all sums from the ledger
    ///
    /// The sums are stored next to the ledger, so that a query need not read all of it. They can be deleted
    /// at any time.
    #[arg(long)]
    pub rebuild: bool,
    /// Permanently delete the records of runs before this day from the ledger
    #[arg(long, value_name = "DATE", exclusive = true)]
    pub prune_before: Option<Date>,
}

/// A period that ends today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Period {
    Today,
    /// Since Monday
    Week,
    /// Since the first of the month
    Month,
    All,
}

/// What rows are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Subscription,
    Model,
    Namespace,
    /// The directory of the run
    Project,
    Day,
    Hour,
}
