//! The engine's messages, as values. `report` turns them into sentences.

use std::ffi::OsString;

use jiff::{SignedDuration, Timestamp};

use crate::error::Notice;
use crate::pool::{Change, Exclusion, Name, NotReady, Outcome, Owner, Request};

/// A subscription and the outcome of an attempt on it.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub subscription: Name,
    pub outcome: Outcome,
}

/// A message of the engine.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// A notice from a lower module.
    Notice(Notice),
    /// A namespace or tag that was probably mistyped.
    LikelyTypo(String),
    /// The user insisted, with `flag`, on a subscription that would not have been chosen.
    Overruled {
        subscription: Name,
        exclusion: Exclusion,
        flag: &'static str,
    },
    /// Variables that are not passed to the agent, and keys of its settings that are switched off.
    Removed {
        variables: Vec<String>,
        settings: Vec<String>,
    },
    /// Something that the launch plan could not arrange.
    PlanWarning(String),
    /// Nothing is ready; the run waits.
    Waiting {
        why: NotReady,
        request: Box<Request>,
    },
    /// The run ends, and its last attempt changed the status of the subscription.
    Changed {
        refusal: Refusal,
        change: Change,
    },
    /// Another attempt should follow but cannot.
    NotRetried {
        refusal: Refusal,
        why: &'static str,
    },
    Retrying {
        refusal: Refusal,
        pause: SignedDuration,
    },
    Switched {
        refusal: Refusal,
        to: Name,
    },
    /// The reserved subscription is not the one that was announced.
    SwitchedTo(Name),
    NoSuccessor {
        refusal: Option<Refusal>,
        why: NoSuccessor,
        request: Box<Request>,
        waits: bool,
    },
    /// This subscription is ready but does not have the conversation.
    LacksConversation(Name),
    CredentialFailed {
        subscription: Name,
        why: String,
    },
    /// A session hit a limit. The question whether to continue follows.
    Refused(Refusal),
    /// How the user can continue a session on another subscription.
    Continue {
        refusal: Refusal,
        to: Name,
        request: Box<Request>,
        keep_env: Vec<String>,
        command: Vec<OsString>,
    },
    /// A session continues on another subscription in this many seconds.
    Countdown {
        refusal: Refusal,
        to: Name,
        seconds: u128,
    },
    /// A run has been waiting since `began` for a subscription that will be ready at `until`.
    WaitingSince {
        until: Option<Timestamp>,
        began: Timestamp,
    },
    /// The user has continued the conversation, so the session stays on this subscription.
    Staying(Name),
    /// The agent did not end on SIGTERM.
    DidNotEnd {
        agent: String,
    },
    CouldNotContinue(String),
    /// Like `CouldNotContinue`, on the screen of a session that keeps running.
    NotContinued(String),
    NotInLedger(String),
    NotInState(String),
    NotCounted(String),
    OutputLost(String),
    /// The last attempts on this subscription, and on no other, ended with an error that nothing recognizes.
    RefusedRepeatedly {
        subscription: Name,
        times: u32,
        evidence: String,
    },
    /// A budget of costs does not count these models, whose price is unknown.
    Unpriced {
        owner: Owner,
        models: Vec<String>,
    },
}

impl Said {
    /// Whether it is also printed with `--quiet`.
    pub(super) fn is_warning(&self) -> bool {
        match self {
            Self::Notice(notice) => notice.is_warning,
            Self::CredentialFailed { .. }
            | Self::CouldNotContinue(_)
            | Self::NotInLedger(_)
            | Self::NotInState(_)
            | Self::NotCounted(_)
            | Self::OutputLost(_)
            | Self::RefusedRepeatedly { .. }
            | Self::Unpriced { .. } => true,
            _ => false,
        }
    }
}

impl From<Notice> for Said {
    fn from(notice: Notice) -> Self {
        Self::Notice(notice)
    }
}

impl NoSuccessor {
    /// Returns why nothing is ready; `None` if a subscription is ready but lacks the conversation.
    pub(crate) fn not_ready(&self) -> Option<&NotReady> {
        match self {
            Self::NotReady(why) => Some(why),
            Self::LacksConversation(_) => None,
        }
    }
}

/// Why there is no other subscription to continue on.
#[derive(Debug, Clone)]
pub(crate) enum NoSuccessor {
    NotReady(NotReady),
    /// This subscription is ready, but the conversation is not in its login directory.
    LacksConversation(Name),
}
