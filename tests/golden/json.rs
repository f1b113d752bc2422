//! Compact JSON. kage writes each key on its own line, which would make the golden files long. Keys keep
//! their order, and numbers and strings keep their spelling.

/// A line is filled up to this many columns.
const WIDTH: usize = 110;

/// A JSON value with its spelling.
enum Node {
    Leaf(String),
    /// The brackets, and the members with their keys; an element of an array has an empty key.
    Container([char; 2], Vec<(String, Node)>),
}

/// The same JSON in fewer lines. The input must have the layout of all of kage's JSON.
pub(crate) fn compact(answer: &str) -> String {
    let node = parse(answer);
    assert_eq!(format!("{}\n", spread(&node, 0)), answer, "the layout is not the usual one");
    format!("{}\n", fill(&node, 0))
}

/// The value on one line.
fn line(node: &Node) -> String {
    match node {
        Node::Leaf(text) => text.clone(),
        Node::Container([open, close], members) if members.is_empty() => format!("{open}{close}"),
        Node::Container([open, close], members) => {
            let inside: Vec<_> = members.iter().map(|(key, value)| format!("{key}{}", line(value))).collect();
            format!("{open} {} {close}", inside.join(", "))
        }
    }
}

/// Puts as many members on each line as fit, but only one if they are containers in an array.
fn fill(node: &Node, indent: usize) -> String {
    let Node::Container([open, close], members) = node else { return line(node) };
    let margin = " ".repeat(indent + 2);
    let of_containers =
        members.iter().any(|(key, value)| key.is_empty() && matches!(value, Node::Container(..)));
    let mut lines: Vec<String> = Vec::new();
    for (key, value) in members {
        let whole = format!("{key}{}", line(value));
        let room = WIDTH - indent - 2;
        match lines.last_mut() {
            Some(last) if !of_containers && last.chars().count() + whole.chars().count() + 2 <= room => {
                *last += &format!(", {whole}");
            }
            _ if whole.chars().count() <= room => lines.push(whole),
            _ => lines.push(format!("{key}{}", fill(value, indent + 2))),
        }
    }
    format!("{open}\n{margin}{}\n{}{close}", lines.join(&format!(",\n{margin}")), " ".repeat(indent))
}

/// The value as kage lays it out.
fn spread(node: &Node, indent: usize) -> String {
    match node {
        Node::Container([open, close], members) if !members.is_empty() => {
            let margin = " ".repeat(indent + 2);
            let inside =
                members.iter().map(|(key, value)| format!("{margin}{key}{}", spread(value, indent + 2)));
            let inside = inside.collect::<Vec<_>>().join(",\n");
            format!("{open}\n{inside}\n{}{close}", " ".repeat(indent))
        }
        other => line(other),
    }
}

fn parse(text: &str) -> Node {
    let characters: Vec<char> = text.chars().collect();
    let mut at = 0;
    let node = value(&characters, &mut at);
    assert!(
        characters[at..].iter().all(|character| character.is_whitespace()),
        "more than one value: {text}"
    );
    node
}

fn skip_blanks(characters: &[char], at: &mut usize) {
    while characters.get(*at).is_some_and(|character| character.is_whitespace()) {
        *at += 1;
    }
}

fn value(characters: &[char], at: &mut usize) -> Node {
    skip_blanks(characters, at);
    let close = match characters[*at] {
        '{' => '}',
        '[' => ']',
        _ => return Node::Leaf(leaf(characters, at)),
    };
    let brackets = [characters[*at], close];
    *at += 1;
    let mut members = Vec::new();
    loop {
        skip_blanks(characters, at);
        match characters[*at] {
            character if character == close => break *at += 1,
            ',' => *at += 1,
            _ if close == '}' => {
                let key = leaf(characters, at);
                assert_eq!(characters[*at], ':');
                *at += 1;
                members.push((format!("{key}: "), value(characters, at)));
            }
            _ => members.push((String::new(), value(characters, at))),
        }
    }
    Node::Container(brackets, members)
}

/// A string with its quotes, a number, a word, or a placeholder.
fn leaf(characters: &[char], at: &mut usize) -> String {
    let from = *at;
    if matches!(characters[from], '"' | '<') {
        let end = if characters[from] == '"' { '"' } else { '>' };
        *at += 1;
        while characters[*at] != end {
            *at += if characters[*at] == '\\' { 2 } else { 1 };
        }
        *at += 1;
    } else {
        while characters
            .get(*at)
            .is_some_and(|character| !",:]}".contains(*character) && !character.is_whitespace())
        {
            *at += 1;
        }
    }
    assert!(*at > from, "no value: {}", characters[from..].iter().collect::<String>());
    characters[from..*at].iter().collect()
}

#[test]
fn compact_json_has_fewer_lines_and_the_same_content() {
    let wide = "x".repeat(60);
    let value = serde_json::json!({
        "b": [], "a": { "deep": [1, 2.0, null, { "text": "a \"b\" {c} [d], e: f\n" }], "empty": {} },
        "rows": [{ "long": wide, "wide": wide }, { "long": wide, "wide": wide }],
    });
    let text = format!("{value:#}\n");
    let few = compact(&text);
    assert!(few.lines().count() < text.lines().count(), "{few}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&few).unwrap(), value, "{few}");
    assert_eq!(format!("{}\n", spread(&parse(&few), 0)), text);
}
