use super::*;

const ID: &str = "01a2066e-4f15-7241-9c39-a8d901376a0c";

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
fn subcommands_help_and_version_are_not_conversations() {
    for line in
        ["login", "mcp list", "--version", "-V", "exec --help", "-m x -h", "exec help", "-c a=b doctor"]
    {
        assert_eq!(read(&words(line)), Invocation::Other, "{line}");
    }
}

#[test]
fn exec_and_review_print_and_everything_else_is_a_terminal_session() {
    for (line, prints, as_lines) in [
        ("", false, false),
        ("hi", false, false),
        ("resume --last", false, false),
        ("exec hi", true, false),
        ("-m exec hi", false, false),
        ("-c model=o3 e --json hi", true, true),
        ("exec hi --json", true, true),
        ("exec -- --json", true, false),
        ("review --base main", true, false),
    ] {
        let conversation = conversation(line);
        assert_eq!((conversation.prints, conversation.as_lines), (prints, as_lines), "{line}");
    }
}

#[test]
fn the_session_depends_on_the_subcommand() {
    for (line, session) in [
        ("exec hi", Session::New),
        ("exec fork ID hi", Session::New),
        ("exec hi resume", Session::New),
        ("exec resume ID hi", Session::Resumed(ID.into())),
        ("resume -m o3 ID", Session::Resumed(ID.into())),
        ("exec -s read-only resume -- ID -x", Session::Resumed(ID.into())),
        ("exec resume --last hi", Session::Latest),
        ("exec resume a-name hi", Session::Unknown),
        ("resume", Session::Unknown),
        ("exec review", Session::Review),
    ] {
        assert_eq!(conversation(line).session, session, "{line}");
    }
}

#[test]
fn the_model_is_read_from_every_option_that_names_it() {
    for line in ["exec -m o3 hi", "-mo3 exec hi", "exec --model=o3", "exec -c model=\"o3\"", "-c=model=o3"] {
        assert_eq!(conversation(line).model, Some("o3".into()), "{line}");
    }
    assert_eq!(conversation("exec -c model_provider=x hi").model, None);
}

#[test]
fn a_resumed_command_keeps_its_options_and_drops_prompt_and_session() {
    for (line, kept) in [
        ("exec hi", "exec"),
        ("exec --json -s read-only hi --color always", "exec --json -s read-only --color always"),
        ("-c a=b e -", "-c a=b e"),
        ("exec -C dir -i a.png b.png --json -- hi there", "exec -C dir --json"),
        ("exec --image=a.png hi", "exec"),
        ("exec -m x resume --last --all hi -o file", "exec -m x -o file"),
        ("exec fork ID hi --json", "exec --json"),
        ("-m x hi", "-m x"),
    ] {
        let expected = words(&format!("{kept} resume ID go-on"));
        assert_eq!(resume_args(&words(line), ID, "go-on"), expected, "{line}");
        assert_eq!(resume_args(&expected, ID, "go-on"), expected, "again: {line}");
    }
}
