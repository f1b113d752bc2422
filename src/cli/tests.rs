use clap::{Command, CommandFactory as _, Parser as _};

use super::Cli;

#[test]
fn clap_accepts_the_definitions() {
    Cli::command().debug_assert();
}

/// Every visible command, with its full name.
fn visible() -> Vec<(String, Command)> {
    fn walk(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        found.push((path.to_owned(), command.clone()));
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
        {
            walk(verb, &format!("{path} {}", verb.get_name()), found);
        }
    }
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    walk(&root, "kage", &mut found);
    found
}

fn examples(command: &Command) -> Vec<String> {
    let help = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let section = help.split("Examples:\n").nth(1).unwrap_or_default();
    section.lines().take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect()
}

/// The commands of a shell line, in the forms that examples use: `a | b`, `a; b` and `a && b`.
fn commands(line: &str) -> Vec<Vec<String>> {
    let words = shlex::split(line).unwrap_or_else(|| panic!("not valid shell syntax: {line}"));
    let mut commands = vec![Vec::new()];
    for word in words {
        let ends = ["|", ";", "&&"].contains(&word.as_str());
        let last = word.ends_with(';');
        if !ends && !word.starts_with('>') {
            commands.last_mut().unwrap().push(word.replace("$?", "1"));
        }
        if ends || last {
            commands.push(Vec::new());
        }
    }
    commands
}

#[test]
fn the_help_of_each_verb_has_examples_that_parse() {
    for (path, command) in visible() {
        let examples = examples(&command);
        assert!(!examples.is_empty(), "`{path} --help` has no examples");
        for line in examples {
            let commands = commands(&line);
            let kages: Vec<_> =
                commands.iter().filter(|words| words.first().is_some_and(|w| w == "kage")).collect();
            assert!(!kages.is_empty(), "an example of `{path}` does not call kage: {line}");
            for words in kages {
                let parsed = Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "an example of `{path}` is invalid: {line}\n{}", parsed.unwrap_err());
            }
        }
    }
}

#[test]
fn the_first_line_of_each_help_is_short() {
    for (path, command) in visible() {
        let about = command.get_about().unwrap_or_else(|| panic!("`{path}` has no help")).to_string();
        let is_short = about.chars().count() <= 70 && !about.contains('\n') && !about.ends_with('.');
        assert!(is_short, "`{path}`: {about}");
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.ends_with('.') && !help.contains('\n'), "`{path} {arg}`: {help}");
            assert!(!help.is_empty() || arg.is_positional(), "`{path} {arg}` has no help");
        }
    }
}
