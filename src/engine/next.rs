//! What follows an attempt: it is final, another one follows, or one should follow and cannot. One pure table for
//! print forms and for sessions at the terminal.

use jiff::SignedDuration;

use crate::agent::Work;
use crate::config::Interactive;
use crate::pool::Verdict;

/// No run waits longer than this where another subscription may be ready.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(2);

/// Everything that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation<'a> {
    pub verdict: &'a Verdict,
    /// Whether an attempt of this run has done anything.
    pub work: Work,
    /// Whether someone ended the agent, or nobody reads its output any more.
    pub interrupted: bool,
    pub form: Form,
}

/// How the agent talks, with what only matters there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// It answers once and ends.
    Print(Print),
    /// A session that runs.
    Running(Session),
    /// A session that has ended.
    Ended(Session, SessionExit),
}

// Each is a fact of its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Print {
    /// How many attempts may still follow; none where the agent talks with someone.
    pub attempts_left: u32,
    /// Whether this subscription has had its pause for being throttled.
    pub paused_here: bool,
    /// Whether this run has had its pause for the provider's sake.
    pub paused: bool,
    /// Whether the command may be run once more as it was typed.
    pub repeatable: bool,
    /// Whether its standard input can be read once more.
    pub replayable: bool,
    /// Whether part of what it printed is out and cannot be taken back.
    pub committed: bool,
    /// Whether the agent kept a record of the conversation.
    pub recorded: bool,
    /// Why no other attempt can resume the conversation.
    pub not_resumable: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    /// How the user wants sessions to continue.
    pub mode: Interactive,
    /// Whether too many attempts in a row have done nothing.
    pub is_fruitless: bool,
    /// Whether the limit ends so soon that the agent waits for it by itself.
    pub resets_soon: bool,
}

// Each is a fact of its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionExit {
    /// Whether the conversation ends with an error.
    pub ends_with_error: bool,
    /// Whether the agent can resume a conversation.
    pub can_resume: bool,
    /// Whether the user was told that kage would continue, or that it cannot.
    pub announced: bool,
    /// Whether kage reserved another subscription and then ended the session.
    pub ended_by_kage: bool,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The attempt is final, with its output and its exit status. A session that runs just continues.
    Final,
    /// Another attempt should follow but cannot; the reason, as text for the user.
    Stuck(&'static str),
    Retry {
        place: Place,
        how: How,
    },
    /// The user is asked whether the session continues on another subscription.
    Ask,
    /// The user is told how to continue on another subscription.
    Suggest,
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
    /// By resuming the conversation.
    Resuming,
}

/// Decides. A run that someone ended is never started again.
pub(super) fn next(situation: &Situation<'_>) -> Next {
    let is_limited = matches!(situation.verdict, Verdict::UsageLimit { .. });
    let elsewhere = Next::Retry { place: Place::Another, how: How::Resuming };
    match situation.form {
        _ if situation.interrupted => Next::Final,
        Form::Print(print) => after_print(situation, &print),
        Form::Running(session) => {
            let stays = session.mode != Interactive::Auto || session.resets_soon || session.is_fruitless;
            if is_limited && !stays { elsewhere } else { Next::Final }
        }
        Form::Ended(_, exit) if exit.ended_by_kage => elsewhere,
        Form::Ended(_, exit) if !is_limited || !exit.ends_with_error || !exit.can_resume => Next::Final,
        Form::Ended(session, exit) => match session.mode {
            // A user who leaves a session that is about to continue elsewhere does not want it to.
            Interactive::Auto if exit.announced => Next::Suggest,
            Interactive::Off => Next::Suggest,
            Interactive::Auto | Interactive::Ask => Next::Ask,
        },
    }
}

fn after_print(situation: &Situation<'_>, print: &Print) -> Next {
    if print.attempts_left == 0 {
        return Next::Final;
    }
    let Some(place) = place(situation.verdict, print) else { return Next::Final };
    match how(situation.work, print) {
        Ok(how) => Next::Retry { place, how },
        Err(why) => Next::Stuck(why),
    }
}

/// Another account helps against what is the account's; against what is the provider's only time does, and
/// to go through the pool then would have every account refused.
fn place(verdict: &Verdict, print: &Print) -> Option<Place> {
    match verdict {
        Verdict::UsageLimit { .. }
        | Verdict::AuthRejected
        | Verdict::OrganisationRefused
        | Verdict::BillingRejected => Some(Place::Another),
        Verdict::Throttled { .. } if print.paused_here => Some(Place::Another),
        Verdict::Throttled { retry_after: Some(pause) } if *pause > LONGEST_PAUSE => Some(Place::Another),
        Verdict::Throttled { .. } => Some(Place::Same),
        Verdict::Overloaded | Verdict::Unreachable | Verdict::TimedOut => {
            (!print.paused).then_some(Place::Same)
        }
        Verdict::Succeeded | Verdict::AgentFailed | Verdict::NotStarted | Verdict::Interrupted => None,
    }
}

/// Nothing that was done is done twice: after work the conversation is resumed, or nothing follows.
fn how(work: Work, print: &Print) -> Result<How, &'static str> {
    if print.committed {
        return Err("a part of its output is out already");
    }
    match work {
        Work::Unknown => Err(print.not_resumable.unwrap_or("it may have done something already")),
        Work::None if print.repeatable => {
            if print.replayable {
                Ok(How::AsTyped)
            } else {
                Err("its standard input cannot be read again")
            }
        }
        Work::None | Work::Done => match print.not_resumable {
            Some(why) => Err(why),
            None if print.recorded => Ok(How::Resuming),
            None => Err("there is no record of the conversation to go on with"),
        },
    }
}

#[cfg(test)]
mod tests;
