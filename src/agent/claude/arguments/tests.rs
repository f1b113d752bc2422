use super::*;

const ID: &str = "0a1b2c3d-0000-4000-8000-000000000001";

fn parse(line: &str) -> Invocation {
    let args: Vec<OsString> = line.split_whitespace().map(|word| word.replace("ID", ID).into()).collect();
    read(&args)
}

fn session(line: &str) -> Session {
    match parse(line) {
        Invocation::Conversation(conversation) => conversation.session,
        Invocation::Other => panic!("`{line}` was not read as a conversation"),
    }
}

#[test]
fn subcommands_help_and_version_are_not_conversations() {
    for line in [
        "mcp list",
        "update",
        "doctor",
        "setup-token",
        "install stable",
        "plugin list",
        "--version",
        "-v",
        "--help",
        "-h",
        "-p --help",
        "--model opus mcp list",
        "--debug-file x mcp",
        "-p mcp",
        "--cloud",
        "-hp",
    ] {
        assert_eq!(parse(line), Invocation::Other, "{line}");
    }
}

#[test]
fn words_that_only_look_like_subcommands_are_prompts_or_values() {
    for line in [
        "",
        "hello mcp",
        "-p hello update",
        "-- mcp",
        "--model mcp",
        "--add-dir a mcp",
        "--resume mcp",
        "-n doctor",
        "--append-system-prompt update",
        "--allowedTools Bash mcp -p x",
        "--output-format=json",
        "-d mcp",
    ] {
        assert!(matches!(parse(line), Invocation::Conversation(_)), "{line}");
    }
}

#[test]
fn the_session_is_read_from_the_command_line() {
    assert_eq!(session("-p hi"), Session::Unset);
    assert_eq!(session("--session-id ID -p hi"), Session::Given(ID.into()));
    assert_eq!(session("--session-id=ID"), Session::Given(ID.into()));
    assert_eq!(session("-p go --resume ID"), Session::Resumed(ID.into()));
    assert_eq!(session("-rID -p go"), Session::Resumed(ID.into()));
    assert_eq!(session("-p go --resume=ID"), Session::Resumed(ID.into()));
    assert_eq!(session("--resume"), Session::Unknown);
    assert_eq!(session("-r my-session"), Session::Unknown);
    assert_eq!(session("-c"), Session::Latest);
    assert_eq!(session("-pc go"), Session::Latest);
    assert_eq!(session("--continue --fork-session"), Session::Unset);
    assert_eq!(session("--resume ID --fork-session -p x"), Session::Unset);
    assert_eq!(session("--resume --fork-session"), Session::Unknown);
    assert_eq!(session("--from-pr 12"), Session::Unknown);
}

#[test]
fn the_last_settings_are_found_with_their_range() {
    let Invocation::Conversation(found) = parse("--settings a.json -p --settings={} --model opus x") else {
        panic!("no conversation");
    };
    assert_eq!(found.settings, Some((3..4, "{}".into())));
    assert_eq!(found.model, Some("opus".into()));
}

#[test]
fn another_attempt_keeps_the_options_and_drops_prompt_and_session() {
    for (line, kept) in [
        ("-p hello world", "-p"),
        ("hello -p --model opus", "-p --model opus"),
        ("--session-id ID -p hello", "-p"),
        ("--resume ID --fork-session -p hello", "-p"),
        ("-pc hello", "-p"),
        ("-c -p hello", "-p"),
        ("-pr ID hello", "-p"),
        ("-prID hello", "-p"),
        ("-r ID", ""),
        ("-pn name hello", "-pn name"),
        ("-n name hello", "-n name"),
        ("-p --allowedTools Bash Edit", "-p --allowedTools Bash Edit"),
        ("--output-format=json -p hello", "--output-format=json -p"),
        ("-p -- hello --model opus", "-p"),
        ("-d api -p hello", "-d api -p"),
        ("--worktree -p hello", "-p"),
        ("-p --worktree=fix --tmux=classic --model opus", "-p --model opus"),
        ("--worktree fix --tmux --verbose", "--verbose"),
        ("-pw fix --verbose", "-p --verbose"),
        ("-wfix hello", ""),
    ] {
        let words = |line: &str| -> Vec<OsString> {
            line.split_whitespace().map(|word| word.replace("ID", ID).into()).collect()
        };
        let resumed = resume_args(&words(line), "S", "go on");
        let expected = [vec!["--resume".into(), "S".into(), "go on".into()], words(kept)].concat();
        assert_eq!(resumed, expected, "{line}");
        let Invocation::Conversation(again) = read(&resumed) else { panic!("{line}") };
        assert_eq!(again.session, Session::Unknown, "S is not an id: {line}");
    }
}
