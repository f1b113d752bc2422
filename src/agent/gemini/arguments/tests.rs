use super::*;

const ID: &str = "0a1b2c3d-0000-4000-8000-000000000001";

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(|word| word.replace("ID", ID).into()).collect()
}

fn conversation(line: &str) -> Conversation {
    match read(&words(line)) {
        Invocation::Conversation(conversation) => conversation,
        Invocation::Other => panic!("`{line}` was not read as a conversation"),
    }
}

#[test]
fn subcommands_lists_and_help_are_not_conversations() {
    for line in [
        "mcp list",
        "extensions install x",
        "--model x skills list",
        "--help",
        "-yh",
        "-v",
        "-l",
        "--list-sessions",
        "--delete-session 2",
        "--acp",
        "--listSessions",
    ] {
        assert_eq!(read(&words(line)), Invocation::Other, "{line}");
    }
    for line in ["", "-p mcp", "explain mcp", "-- mcp", "--model mcp hi", "-y true"] {
        conversation(line);
    }
}

#[test]
fn the_prompt_option_means_print_and_the_output_format_is_read() {
    for line in ["-p hi", "--prompt hi", "--prompt=hi", "-p=hi", "-yp hi"] {
        assert!(conversation(line).prints, "{line}");
    }
    for line in ["", "hi", "-i hi", "-y", "--allowed-tools p hi"] {
        assert!(!conversation(line).prints, "{line}");
    }
    for line in ["-o json", "--output-format json", "--output-format=json", "--outputFormat json", "-yo json"]
    {
        assert_eq!(conversation(line).output, Some("json".into()), "{line}");
    }
    assert_eq!(conversation("-p hi -m flash").model, Some("flash".into()));
    assert!(conversation("-w -p hi").worktree);
}

#[test]
fn the_session_is_new_given_resumed_or_unknown() {
    let table = [
        ("-p hi", Session::Unset),
        ("-p hi --session-id mine", Session::Given("mine".into())),
        ("-p hi -r ID", Session::Resumed(ID.into())),
        ("--resume=ID hi", Session::Resumed(ID.into())),
        ("-r -p hi", Session::Latest),
        ("-r", Session::Latest),
        ("--resume latest -p hi", Session::Latest),
        ("-r 3", Session::Unknown),
        ("--session-file x.json", Session::Unknown),
    ];
    for (line, session) in table {
        assert_eq!(conversation(line).session, session, "{line}");
    }
}

#[test]
fn resuming_keeps_the_options_and_replaces_the_prompt() {
    let table = [
        ("-p hi -o json", "--resume ID --prompt go -o json"),
        ("-yp hi -m=flash", "--resume ID --prompt go -y -m=flash"),
        ("--yolo=true hi there", "--resume ID go --yolo=true"),
        (
            "--session-id mine --prompt=hi --policy a --policy b",
            "--resume ID --prompt go --policy a --policy b",
        ),
        ("-r latest -i hi --skip-trust", "--resume ID go --skip-trust"),
    ];
    for (line, resumed) in table {
        assert_eq!(resume_args(&words(line), ID, "go"), words(resumed), "{line}");
    }
}
