//! What follows an attempt: it stands, another one follows, or one should follow and cannot. Pure.

use jiff::SignedDuration;

use crate::agent::Work;
use crate::pool::Verdict;

/// For longer than this no run waits where another subscription may be ready.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(2);

/// All that the decision goes by.
// Each is a fact of its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation<'a> {
    pub verdict: &'a Verdict,
    pub work: Work,
    /// Whether someone ended the agent.
    pub interrupted: bool,
    /// How many attempts may still follow; none after an agent that talks with someone.
    pub attempts_left: u32,
    /// Whether this subscription has had its pause for being throttled.
    pub paused_here: bool,
    /// Whether this run has had its pause for the provider's sake.
    pub paused: bool,
    /// Whether the command may be run once more as it was typed.
    pub repeatable: bool,
    /// Whether its standard input can be had once more.
    pub replayable: bool,
    /// Whether part of what it printed is out and cannot be taken back.
    pub committed: bool,
    /// Whether the agent kept a record of the conversation.
    pub recorded: bool,
    /// Why no other attempt can go on with the conversation.
    pub not_resumable: Option<&'static str>,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The attempt stands, with its output and its exit status.
    Stand,
    /// Another should follow, and cannot: why, for a person.
    Stuck(&'static str),
    Again {
        place: Place,
        how: How,
    },
}

/// Where another attempt runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the same subscription, after a pause.
    Same,
    Another,
}

/// How another attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// With the command as it was typed.
    AsTyped,
    /// By going on with the conversation.
    Resuming,
}

/// Decides. A run that someone ended is never started again.
pub(super) fn step(situation: &Situation<'_>) -> Step {
    if situation.interrupted || situation.attempts_left == 0 {
        return Step::Stand;
    }
    let Some(place) = place(situation) else { return Step::Stand };
    match how(situation) {
        Ok(how) => Step::Again { place, how },
        Err(why) => Step::Stuck(why),
    }
}

/// Another account helps against what is the account's; against what is the provider's only time does, and
/// to go through the pool then would have every account refused.
fn place(situation: &Situation<'_>) -> Option<Place> {
    match situation.verdict {
        Verdict::UsageLimit { .. }
        | Verdict::AuthRejected
        | Verdict::OrganisationRefused
        | Verdict::BillingRejected => Some(Place::Another),
        Verdict::Throttled { .. } if situation.paused_here => Some(Place::Another),
        Verdict::Throttled { retry_after: Some(pause) } if *pause > LONGEST_PAUSE => Some(Place::Another),
        Verdict::Throttled { .. } => Some(Place::Same),
        Verdict::Overloaded | Verdict::Unreachable | Verdict::TimedOut => {
            (!situation.paused).then_some(Place::Same)
        }
        Verdict::Succeeded | Verdict::AgentFailed | Verdict::NotStarted | Verdict::Interrupted => None,
    }
}

/// Nothing that was done is done twice: after work the conversation goes on, or nothing does.
fn how(situation: &Situation<'_>) -> Result<How, &'static str> {
    if situation.committed {
        return Err("a part of its output is out already");
    }
    match situation.work {
        Work::Unknown => Err(situation.not_resumable.unwrap_or("it may have done something already")),
        Work::None if situation.repeatable => {
            if situation.replayable {
                Ok(How::AsTyped)
            } else {
                Err("its standard input cannot be read again")
            }
        }
        Work::None | Work::Done => match situation.not_resumable {
            Some(why) => Err(why),
            None if situation.recorded => Ok(How::Resuming),
            None => Err("there is no record of the conversation to go on with"),
        },
    }
}

#[cfg(test)]
mod tests;
