//! From a refusal of the TOML reader to file, line and key: only ever run when something is wrong.

use std::ops::Range;
use std::path::Path;

use toml_edit::{Document, Item, TableLike};

use super::wording;
use crate::error::Failure;

/// The refusal of a whole text, with file, line and key.
pub(super) fn refusal(file: &Path, text: &str, refused: &toml::de::Error, hint: &str) -> Failure {
    let message = wording::plain(refused.message());
    let meant = wording::meant(refused.message());
    let hint = meant.map_or_else(|| hint.to_owned(), |word| format!("did you mean `{word}`?"));
    let Some(span) = refused.span() else {
        let line = line_of_depth(text);
        return Failure::usage(format!("{}:{line}: {message}", file.display())).hint(hint);
    };
    let line = line_at(text, span.start);
    let key = key_at(text, &span).map(|key| format!("`{key}`: ")).unwrap_or_default();
    // A text with a key twice is no document, so its keys cannot be walked; but the place is the key itself.
    let message = match text.get(span) {
        Some(twice) if message == "duplicate key" => format!("`{}` is there twice", twice.trim()),
        _ => message,
    };
    Failure::usage(format!("{}:{line}: {key}{message}", file.display())).hint(hint)
}

/// The line that is refused without a place, counted from 1: it goes deeper than the reader does, by itself or
/// together with those before it.
fn line_of_depth(text: &str) -> usize {
    let has_place =
        |text: &str| toml::from_str::<toml::Table>(text).err().is_none_or(|refused| refused.span().is_some());
    let ends: Vec<_> = text.match_indices('\n').map(|(at, _)| at).chain([text.len()]).collect();
    let alone = text.lines().position(|line| !has_place(line));
    let before = alone.unwrap_or_else(|| ends.partition_point(|&end| has_place(&text[..end])));
    (before + 1).min(ends.len())
}

/// The line of a key, counted from 1; the line of its nearest known parent where it is not there.
pub(super) fn line_of(text: &str, key: &[String]) -> usize {
    let Some(document) = document(text) else { return 1 };
    let mut table: &dyn TableLike = document.as_table();
    let mut start = 0;
    for part in key {
        let Some((known, item)) = table.get_key_value(part) else { break };
        start = known.span().or_else(|| item.span()).map_or(start, |span| span.start);
        match item.as_table_like() {
            Some(inner) => table = inner,
            None => break,
        }
    }
    line_at(text, start)
}

/// A text whose keys can be walked. The reader that keeps places goes on behind a mistake, and gives up the whole
/// program where it cannot; so another one looks first whether there is any.
fn document(text: &str) -> Option<Document<&str>> {
    text.parse::<toml::Table>().ok()?;
    Document::parse(text).ok()
}

/// The dotted key whose name or value covers a place in the text.
fn key_at(text: &str, place: &Range<usize>) -> Option<String> {
    let document = document(text)?;
    let mut found = Vec::new();
    descend(document.as_table(), place, &mut found);
    (!found.is_empty()).then(|| found.join("."))
}

fn descend(table: &dyn TableLike, place: &Range<usize>, found: &mut Vec<String>) -> bool {
    let covers = |span: Option<Range<usize>>| {
        span.is_some_and(|span| span.start <= place.start && place.end <= span.end)
    };
    for (name, item) in table.iter() {
        let named = table.get_key_value(name).is_some_and(|(key, _)| covers(key.span()));
        found.push(name.to_owned());
        // A table's own span is only its header, so its keys are looked at in any case. What is missing in it
        // is placed at that header.
        let inside = item.as_table_like().is_some_and(|inner| descend(inner, place, found));
        let itself = match item {
            Item::Table(table) => table.span().as_ref() == Some(place),
            _ => covers(item.span()),
        };
        if inside || named || itself {
            return true;
        }
        found.pop();
    }
    false
}

/// The line of a place, counted from 1.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1)
}
