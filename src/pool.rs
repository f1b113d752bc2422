//! The pure core: what a pool of subscriptions is, which one is chosen, and how an outcome changes it.
//!
//! Called by all other layers; knows no files, no clock and no agent. Time is always an argument.

mod budget;
mod conversation;
mod definition;
mod gauges;
mod lease;
#[cfg(test)]
mod machine;
pub mod maps;
mod moment;
mod name;
mod operation;
mod outcome;
mod patch;
mod readings;
mod route;
mod select;
mod settle;
mod state;
mod tokens;
mod totals;
mod usage;
mod window;

pub use budget::{Budget, Budgets, Gauge, Owner};
pub use definition::{Credential, DEFAULT_PRIORITY, Delivery, Pool, Request, Source, Strategy, Subscription};
pub use lease::{Lease, LeaseId, Record, Refused, TEST_AGENT, Visit};
pub use moment::Moment;
pub use name::{Level, Name};
pub use operation::{
    Administer, Holder, Observation, Observe, Release, Reserve, Reserved, SessionEvent, Settle, Settled,
};
pub use outcome::{Outcome, Reading, Scope, Verdict, Window, family_name};
pub use patch::Patch;
pub use route::{Route, Selector};
pub use select::{Candidate, Exclusion, NotReady, Ranking, Rule, Selection, explain, peek, take};
pub use settle::Cooldowns;
pub use state::{Change, Limit, LimitKind, State, Status, SubscriptionState, UNTIL_RESET, Utilization};
pub(crate) use tokens::token_kinds;
pub use tokens::{TokenCount, TokenKind};
#[cfg(test)]
pub use totals::Today;
pub use totals::{Costs, Priced};
pub use usage::{Cost, LONG_PROMPTS, PromptLength, Slice, UNKNOWN_MODEL, Usage};
