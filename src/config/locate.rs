//! Finds the line and the key of an error of the TOML parser. Called only after an error.

use std::ops::Range;
use std::path::Path;

use toml_edit::{Document, Item, TableLike};

use super::wording;
use crate::error::Failure;

/// Converts an error of the TOML parser to a failure with file, line and key.
pub(super) fn failure(file: &Path, text: &str, why: &toml::de::Error, hint: &str) -> Failure {
    let message = wording::reworded(why.message());
    let suggestion = wording::suggestion(why.message());
    let hint = suggestion.map_or_else(|| hint.to_owned(), |word| format!("did you mean `{word}`?"));
    let Some(span) = why.span() else {
        let line = line_of_deep_nesting(text);
        return Failure::usage(format!("{}:{line}: {message}", file.display())).hint(hint);
    };
    let line = line_at(text, span.start);
    let key = key_at(text, &span).map(|key| format!("`{key}`: ")).unwrap_or_default();
    // A text with a duplicate key cannot be parsed as a document, so `key_at` finds nothing; but the span is
    // the key.
    let message = match text.get(span) {
        Some(duplicate) if message == "duplicate key" => format!("`{}` is defined twice", duplicate.trim()),
        _ => message,
    };
    Failure::usage(format!("{}:{line}: {key}{message}", file.display())).hint(hint)
}

/// Returns the line of an error without a span, counted from 1. Such an error means that this line, alone or
/// together with the lines before it, is nested too deeply.
fn line_of_deep_nesting(text: &str) -> usize {
    let has_span =
        |text: &str| toml::from_str::<toml::Table>(text).err().is_none_or(|why| why.span().is_some());
    let ends: Vec<_> = text.match_indices('\n').map(|(at, _)| at).chain([text.len()]).collect();
    let alone = text.lines().position(|line| !has_span(line));
    let before = alone.unwrap_or_else(|| ends.partition_point(|&end| has_span(&text[..end])));
    (before + 1).min(ends.len())
}

/// Returns the line of a key, counted from 1. If the key is missing, returns the line of its nearest existing
/// parent.
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

/// Parses a text into a document with spans. `toml_edit` tries to continue after a syntax error and panics if
/// it cannot, so `toml` checks first that there is none.
fn document(text: &str) -> Option<Document<&str>> {
    text.parse::<toml::Table>().ok()?;
    Document::parse(text).ok()
}

/// Returns the dotted key whose name or value covers a range of the text.
fn key_at(text: &str, range: &Range<usize>) -> Option<String> {
    let document = document(text)?;
    let mut found = Vec::new();
    descend(document.as_table(), range, &mut found);
    (!found.is_empty()).then(|| found.join("."))
}

fn descend(table: &dyn TableLike, range: &Range<usize>, found: &mut Vec<String>) -> bool {
    let covers = |span: Option<Range<usize>>| {
        span.is_some_and(|span| span.start <= range.start && range.end <= span.end)
    };
    for (name, item) in table.iter() {
        let named = table.get_key_value(name).is_some_and(|(key, _)| covers(key.span()));
        found.push(name.to_owned());
        // The span of a table is only its header, so the keys in it are always checked. An error about a
        // missing key has the span of the header.
        let inside = item.as_table_like().is_some_and(|inner| descend(inner, range, found));
        let itself = match item {
            Item::Table(table) => table.span().as_ref() == Some(range),
            _ => covers(item.span()),
        };
        if inside || named || itself {
            return true;
        }
        found.pop();
    }
    false
}

/// Returns the line of a byte offset, counted from 1.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1)
}
