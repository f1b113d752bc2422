//! Renders text for man(7): paragraphs, examples that keep their lines, and characters escaped for roff.

use clap::Command;

/// The long help of a command, split into the sections of a man page.
#[derive(Default)]
pub(super) struct Help {
    pub(super) description: String,
    pub(super) exit_status: Option<String>,
    pub(super) examples: String,
}

impl Help {
    pub(super) fn of(command: &Command) -> Self {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let long = command.get_long_about().map_or_else(|| about.clone(), ToString::to_string);
        let mut help = Self::default();
        // The first line is in the NAME section; it becomes the description only if there is no other text.
        for paragraph in long.split("\n\n").skip(1) {
            if let Some(examples) = paragraph.strip_prefix("Examples:\n") {
                examples.clone_into(&mut help.examples);
                continue;
            }
            // The exit statuses may be at the end of a paragraph about something else.
            let (description, status) = match paragraph.split_once("Exit status: ") {
                Some((description, status)) => (description.trim_end(), Some(sentence(status))),
                None => (paragraph, None),
            };
            help.exit_status = status.or(help.exit_status);
            if !description.is_empty() {
                help.description += &format!("{description}\n\n");
            }
        }
        if help.description.is_empty() {
            help.description = format!("{about}.");
        }
        help
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(super) fn section(title: &str, body: &str) -> String {
    let heading = if title.contains(' ') { format!("\"{title}\"") } else { title.to_owned() };
    if body.is_empty() { String::new() } else { format!(".SH {heading}\n{}\n", body.trim_end()) }
}

/// Renders paragraphs; indented lines keep their line breaks.
pub(super) fn prose(text: &str) -> String {
    let mut page = String::new();
    for (at, paragraph) in text.trim_end().split("\n\n").enumerate() {
        let (example, plain): (Vec<_>, Vec<_>) = paragraph.lines().partition(|line| line.starts_with("  "));
        if at > 0 && !plain.is_empty() {
            page += ".PP\n";
        }
        page.extend(plain.iter().map(|line| format!("{}\n", marked(line))));
        if !example.is_empty() {
            page += ".PP\n.RS 4\n.nf\n";
            page.extend(example.iter().map(|line| format!("{}\n", escaped(line.trim_start()))));
            page += ".fi\n.RE\n";
        }
    }
    page
}

/// Renders a list of terms and their meanings.
pub(super) fn entries(list: &[(&str, &str)]) -> String {
    let mut page = String::new();
    for (word, meaning) in list {
        page += &format!(".TP\n\\fB{}\\fR\n{}\n", escaped(word), marked(meaning));
    }
    page
}

/// Renders a line of prose, with literals in backticks in bold.
pub(super) fn marked(line: &str) -> String {
    let parts: Vec<_> = line.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return escaped(line);
    }
    let part = |(at, part): (usize, &&str)| {
        if at % 2 == 0 { escaped(part) } else { format!("\\fB{}\\fR", escaped(part)) }
    };
    parts.iter().enumerate().map(part).collect()
}

/// Escapes characters so that they can be copied from the page unchanged.
fn escaped(text: &str) -> String {
    let mut page = String::new();
    for letter in text.chars() {
        match letter {
            '\\' => page += "\\e",
            '-' => page += "\\-",
            '\'' => page += "\\(aq",
            _ => page += plain(letter).unwrap_or(letter.encode_utf8(&mut [0; 4])),
        }
    }
    if page.starts_with('.') { format!("\\&{page}") } else { page }
}

/// The escape of an ASCII character that roff would replace with another character.
fn plain(letter: char) -> Option<&'static str> {
    match letter {
        '`' => Some("\\(ga"),
        '~' => Some("\\(ti"),
        '^' => Some("\\(ha"),
        _ => None,
    }
}

/// Removes the preamble of `clap_mangen`, which defines an apostrophe for formatters other than groff, and
/// sets literals in backticks in bold.
pub(super) fn tidied(rendered: String) -> String {
    let lines = rendered.lines().filter(|line| !line.starts_with(".ie ") && !line.starts_with(".el "));
    let tidied = lines.map(|line| {
        if line.starts_with('.') {
            return format!("{line}\n");
        }
        let mut bold = false;
        let odd = line.matches('`').count() % 2 == 1;
        let mut tidied = String::new();
        for letter in line.replace("\\*(Aq", "\\(aq").chars() {
            match letter {
                '`' if !odd => {
                    bold = !bold;
                    tidied += if bold { "\\fB" } else { "\\fR" };
                }
                _ => tidied += plain(letter).unwrap_or(letter.encode_utf8(&mut [0; 4])),
            }
        }
        tidied + "\n"
    });
    tidied.collect()
}
