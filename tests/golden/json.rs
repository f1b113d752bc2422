//! JSON in few lines. kage writes each key on its own line, which makes long files of small answers. Keys keep their
//! order, numbers and strings their spelling.

/// A line is filled up to this many columns.
const WIDTH: usize = 110;

/// A JSON value as it was spelled.
enum Node {
    Leaf(String),
    /// The brackets, and the members with their keys; an element of an array has an empty key.
    Container([char; 2], Vec<(String, Node)>),
}

/// The same JSON in fewer lines. It must be laid out as kage lays out all its JSON.
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

/// As many members on each line as fit; of an array of containers one.
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
    let letters: Vec<char> = text.chars().collect();
    let mut at = 0;
    let node = value(&letters, &mut at);
    assert!(letters[at..].iter().all(|letter| letter.is_whitespace()), "more than one value: {text}");
    node
}

fn skip_blanks(letters: &[char], at: &mut usize) {
    while letters.get(*at).is_some_and(|letter| letter.is_whitespace()) {
        *at += 1;
    }
}

fn value(letters: &[char], at: &mut usize) -> Node {
    skip_blanks(letters, at);
    let close = match letters[*at] {
        '{' => '}',
        '[' => ']',
        _ => return Node::Leaf(leaf(letters, at)),
    };
    let brackets = [letters[*at], close];
    *at += 1;
    let mut members = Vec::new();
    loop {
        skip_blanks(letters, at);
        match letters[*at] {
            letter if letter == close => break *at += 1,
            ',' => *at += 1,
            _ if close == '}' => {
                let key = leaf(letters, at);
                assert_eq!(letters[*at], ':');
                *at += 1;
                members.push((format!("{key}: "), value(letters, at)));
            }
            _ => members.push((String::new(), value(letters, at))),
        }
    }
    Node::Container(brackets, members)
}

/// A string with its quotes, a number, a word, or a placeholder.
fn leaf(letters: &[char], at: &mut usize) -> String {
    let from = *at;
    if matches!(letters[from], '"' | '<') {
        let end = if letters[from] == '"' { '"' } else { '>' };
        *at += 1;
        while letters[*at] != end {
            *at += if letters[*at] == '\\' { 2 } else { 1 };
        }
        *at += 1;
    } else {
        while letters.get(*at).is_some_and(|letter| !",:]}".contains(*letter) && !letter.is_whitespace()) {
            *at += 1;
        }
    }
    assert!(*at > from, "no value: {}", letters[from..].iter().collect::<String>());
    letters[from..*at].iter().collect()
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
