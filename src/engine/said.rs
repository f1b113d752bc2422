//! What the engine has to say, as values.

use std::ffi::OsString;

use jiff::{SignedDuration, Timestamp};

use crate::error::Notice;
use crate::pool::{Change, Exclusion, Name, NotReady, Outcome, Request};

/// A subscription and what an attempt on it came to.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub subscription: Name,
    pub outcome: Outcome,
}

/// What the engine has to say.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// Something that a lower module reports.
    Notice(Notice),
    /// A namespace or tag that was probably mistyped.
    LikelyTypo(String),
    /// The user insisted on a subscription that would not have been chosen; the flag by which they did.
    Overruled {
        subscription: Name,
        exclusion: Exclusion,
        flag: &'static str,
    },
    /// Variables that the agent does not get, and keys of its settings that are switched off.
    Removed {
        variables: Vec<String>,
        settings: Vec<String>,
    },
    /// What the launch plan could not arrange.
    PlanWarning(String),
    /// Nothing is ready; the run waits.
    Waiting {
        why: NotReady,
        request: Box<Request>,
    },
    /// The run ends with what it changed about the subscription.
    Changed {
        refusal: Refusal,
        change: Change,
    },
    /// Another attempt should follow, and cannot.
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
    /// Another subscription was reserved than the one that was announced.
    SwitchedTo(Name),
    NoSuccessor {
        refusal: Option<Refusal>,
        why: NoSuccessor,
        request: Box<Request>,
        waits: bool,
    },
    /// A ready subscription does not have the conversation.
    LacksConversation(Name),
    CredentialFailed {
        subscription: Name,
        why: String,
    },
    /// A session hit a limit: the question whether to continue follows.
    Refused(Refusal),
    /// How to continue a session by hand.
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
    /// A run waits, since `began`, for a subscription that is ready at `until`.
    WaitingSince {
        until: Option<Timestamp>,
        began: Timestamp,
    },
    /// The user stays with the conversation.
    Staying(Name),
    /// The agent did not end when it was told to.
    LeaveIt {
        agent: String,
    },
    CouldNotContinue(String),
    /// The same, on the screen of a session that goes on.
    NotContinued(String),
    NotInLedger(String),
    NotInState(String),
    NotCounted(String),
    OutputLost(String),
}

impl Said {
    /// Whether it is also said with `--quiet`.
    pub(super) fn is_warning(&self) -> bool {
        match self {
            Self::Notice(notice) => notice.is_warning,
            Self::CredentialFailed { .. }
            | Self::CouldNotContinue(_)
            | Self::NotInLedger(_)
            | Self::NotInState(_)
            | Self::NotCounted(_)
            | Self::OutputLost(_) => true,
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
    /// Why nothing is ready, unless one is that lacks the conversation.
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
    /// This one is ready, and has its records elsewhere.
    LacksConversation(Name),
}
