//! The refusals of the TOML reader in the words of a config's writer, who knows lists and tables, not the
//! types of a program.

/// What the reader calls a kind of value, and what a person does. `struct ...` is a table as well.
const KINDS: [(&str, &str); 6] = [
    ("a sequence", "a list"),
    ("a map", "a table"),
    ("i64", "a whole number"),
    ("f64", "a number"),
    ("a boolean", "`true` or `false`"),
    ("wanted string or table", "expected a string"),
];

/// A refusal as a person would put it, in one line.
pub(super) fn plain(refusal: &str) -> String {
    let line = refusal.lines().collect::<Vec<_>>().join(" ");
    let line = line.strip_prefix("invalid type: ").and_then(wrong_kind).unwrap_or(line.clone());
    if line == "recursion limit" || line.starts_with("cannot recurse further") {
        return "a key or a list lies too deep in others".to_owned();
    }
    if let Some(key) = line.strip_prefix("missing field ") {
        return format!("the key {key} is missing");
    }
    kind(&line).replace("unknown field", "unknown key").replace("unknown variant", "unknown word")
}

/// The known key or word that is nearest to an unknown one: ``unknown field `a`, expected `b` or `c` ``.
pub(super) fn meant(refusal: &str) -> Option<&str> {
    let (unknown, expected) = refusal.split_once(", expected ")?;
    let unknown = unknown.strip_prefix("unknown field `").or(unknown.strip_prefix("unknown variant `"))?;
    closest(unknown.trim_end_matches('`'), expected.split('`').skip(1).step_by(2))
}

/// From `string "x", expected i64`.
fn wrong_kind(clause: &str) -> Option<String> {
    let (got, expected) = clause.rsplit_once(", expected ")?;
    // The reader takes a number that no setting can hold for one of another kind.
    if let Some(number) = got.strip_suffix(" as i128").or_else(|| got.strip_suffix(" as u128")) {
        return Some(format!("the {number} is too large"));
    }
    let got = match got {
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        other => format!("the {}", other.replace("floating point", "number")),
    };
    Some(format!("expected {}, not {got}", kind(expected)))
}

fn kind(word: &str) -> &str {
    if word.starts_with("struct ") {
        return "a table";
    }
    KINDS.iter().find(|(reader, _)| *reader == word).map_or(word, |(_, person)| person)
}

/// The known word that is nearest to a mistyped one, if any is near.
pub fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    near.min().filter(|(distance, _)| *distance <= 2.min(word.chars().count() / 2)).map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_speaks_of_lists_tables_and_numbers() {
        for (refusal, said) in [
            ("invalid type: string \"x\", expected i64", "expected a whole number, not the string \"x\""),
            (
                "invalid type: floating point `1.5`, expected i64",
                "expected a whole number, not the number `1.5`",
            ),
            (
                "invalid type: integer `5`, expected struct RawNamespace",
                "expected a table, not the integer `5`",
            ),
            ("invalid type: map, expected a sequence", "expected a list, not a table"),
            ("wanted string or table", "expected a string"),
            ("invalid type: integer `99` as i128, expected i64", "the integer `99` is too large"),
            ("missing field `use`", "the key `use` is missing"),
            ("unknown field `a`, expected `b` or `c`", "unknown key `a`, expected `b` or `c`"),
            ("unclosed table,\nexpected `]`", "unclosed table, expected `]`"),
        ] {
            assert_eq!(plain(refusal), said);
        }
    }
}
