//! Rewords the errors of the TOML parser for users, who know lists and tables but not the types of a program.

/// The parser's name of a kind of value, and the user's. `struct ...` is a table as well.
const KINDS: [(&str, &str); 6] = [
    ("a sequence", "a list"),
    ("a map", "a table"),
    ("i64", "a whole number"),
    ("f64", "a number"),
    ("a boolean", "`true` or `false`"),
    ("wanted string or table", "expected a string"),
];

/// Rewords an error of the parser for users, in one line.
pub(super) fn reworded(error: &str) -> String {
    let line = error.lines().collect::<Vec<_>>().join(" ");
    let line = line.strip_prefix("invalid type: ").and_then(wrong_kind).unwrap_or(line.clone());
    if line == "recursion limit" || line.starts_with("cannot recurse further") {
        return "a key or a list is nested too deeply".to_owned();
    }
    if let Some(key) = line.strip_prefix("missing field ") {
        return format!("the key {key} is missing");
    }
    kind(&line).replace("unknown field", "unknown key").replace("unknown variant", "unknown value")
}

/// Returns the suggestion for an error such as ``unknown field `a`, expected `b` or `c` ``.
pub(super) fn suggestion(error: &str) -> Option<&str> {
    let (unknown, expected) = error.split_once(", expected ")?;
    let unknown = unknown.strip_prefix("unknown field `").or(unknown.strip_prefix("unknown variant `"))?;
    closest(unknown.trim_end_matches('`'), expected.split('`').skip(1).step_by(2))
}

/// Rewords `string "x", expected i64`.
fn wrong_kind(clause: &str) -> Option<String> {
    let (got, expected) = clause.rsplit_once(", expected ")?;
    // If a number is too large for any setting, the parser reports another integer type.
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
    KINDS.iter().find(|(parser, _)| *parser == word).map_or(word, |(_, user)| user)
}

/// Returns the known word that is nearest to a mistyped one, if one is near enough.
pub fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    near.min().filter(|(distance, _)| *distance <= 2.min(word.chars().count() / 2)).map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_lists_tables_and_numbers() {
        for (error, expected) in [
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
            assert_eq!(reworded(error), expected);
        }
    }
}
