//! `kage usage`: what can be asked of the ledger.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::Date;

use crate::pool::Name;

/// Show what ran, how many tokens it took, and what they would have cost
///
/// Counts what ran under kage, from the agents' own records. Days are days of your time zone; a period ends
/// today. The cost is API-equivalent: what the same tokens cost at the providers' public prices. It is not what
/// you paid for a subscription. A model that is not in the price table is `unpriced`; `[prices]` in the config
/// adds to the table.
///
/// Examples:
///   kage usage
///   kage usage --period month --by day,subscription
///   kage usage --since 2026-11-01 --namespace backend --by model --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[allow(clippy::struct_excessive_bools)] // switches
pub(crate) struct Usage {
    /// Which days [default: month, unless --since or --until is given]
    #[arg(long, value_enum, value_name = "PERIOD", conflicts_with_all = ["since", "until"])]
    pub period: Option<Period>,
    /// The first day, as in 2026-11-01
    #[arg(long, value_name = "DATE")]
    pub since: Option<Date>,
    /// The last day, which is counted too
    #[arg(long, value_name = "DATE")]
    pub until: Option<Date>,
    /// Only this subscription
    #[arg(short, long, value_name = "NAME")]
    pub subscription: Option<Name>,
    /// Only this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<Name>,
    /// Only this model, or all whose id begins like this
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<String>,
    /// A row for each of these
    #[arg(long, value_enum, value_name = "A,B", value_delimiter = ',', default_value = "subscription")]
    pub by: Vec<By>,
    /// Days of UTC instead of yours
    #[arg(long)]
    pub utc: bool,
    /// One JSON object instead of a table
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Lines for a spreadsheet
    #[arg(long)]
    pub csv: bool,
    /// Write a page with charts, for a browser; it needs nothing from elsewhere
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "csv"])]
    pub html: Option<PathBuf>,
    /// Sum the whole ledger up anew
    ///
    /// The sums lie beside the ledger so that a question need not read all of it. They can be deleted at any
    /// time.
    #[arg(long)]
    pub rebuild: bool,
    /// Delete what ran before this day from the ledger, for good
    #[arg(long, value_name = "DATE", exclusive = true)]
    pub prune_before: Option<Date>,
}

/// A period that ends today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Period {
    Today,
    /// Since Monday
    Week,
    /// Since the first
    Month,
    All,
}

/// What rows are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Subscription,
    Model,
    Namespace,
    /// The directory
    Project,
    Day,
    Hour,
}
