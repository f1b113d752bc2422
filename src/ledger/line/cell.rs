//! The tokens of one hour, one model and one prompt length, written as an array of numbers.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pool::{PromptLength, Slice, TokenCount};

/// Hours are stored as quarter hours since 1970: a full hour of any time zone begins at a quarter hour of
/// UTC.
const QUARTER: i64 = 15 * 60;

/// The quarter hour, the index of the model, the prompt length, then the counts in the order of
/// `TokenKind::ALL`. The values have no keys, because a day-long session has dozens of cells.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    quarter: i64,
    pub(super) model: usize,
    pub(super) prompt: PromptLength,
    pub(super) count: TokenCount,
}

impl Cell {
    pub(super) fn new(slice: &Slice, model: usize, count: TokenCount) -> Self {
        let quarter = slice.hour.as_second().div_euclid(QUARTER);
        Self { quarter, model, prompt: slice.prompt, count }
    }

    /// Returns the time; `None` if it is out of range.
    pub(super) fn at(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.quarter.checked_mul(QUARTER)?).ok()
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let counts = self.count.counts();
        let mut cell = to.serialize_tuple(3 + counts.len())?;
        cell.serialize_element(&self.quarter)?;
        cell.serialize_element(&self.model)?;
        cell.serialize_element(&self.prompt)?;
        for count in counts {
            cell.serialize_element(&count)?;
        }
        cell.end()
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Numbers)
    }
}

/// Accepts fewer or more counts: another version of kage may write to the same ledger and know fewer or more
/// kinds of tokens.
struct Numbers;

impl<'de> Visitor<'de> for Numbers {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quarter hour, a model, a prompt length and token counts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Cell, A::Error> {
        let short = |length| A::Error::invalid_length(length, &self);
        let quarter = numbers.next_element()?.ok_or_else(|| short(0))?;
        let model = numbers.next_element()?.ok_or_else(|| short(1))?;
        let prompt = numbers.next_element()?.ok_or_else(|| short(2))?;
        let mut counts = TokenCount::default().counts();
        for count in &mut counts {
            *count = numbers.next_element()?.unwrap_or(0);
        }
        while numbers.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell { quarter, model, prompt, count: counts.into() })
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.quarter, self.model, self.count)
    }
}
