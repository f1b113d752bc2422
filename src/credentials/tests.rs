use std::path::PathBuf;

use super::*;

fn paths() -> (tempfile::TempDir, Paths) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let paths = Paths {
        home: at(""),
        config: at("config.toml"),
        state: at("state"),
        credentials: at("credentials"),
        identity: at("identity"),
        shims: at("shims"),
    };
    (dir, paths)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::parse(text.as_bytes().to_vec()).map_err(str::to_owned).unwrap_or_else(|why| panic!("{why}"))
}

/// The exposed secret. `Secret` has no `Debug`, so `unwrap` is not possible.
fn exposed(got: Result<Secret>) -> String {
    match got {
        Ok(secret) => secret.expose().to_owned(),
        Err(why) => panic!("{why:#}"),
    }
}

fn refused(got: Result<Secret>) -> String {
    got.err().map_or_else(|| panic!("a secret was returned"), |why| format!("{why:#}"))
}

#[test]
fn the_encrypted_file_supports_all_five_operations() {
    let (_dir, paths) = paths();
    let file = backend(&Source::File, &paths);
    assert!(!file.has(&name("a")).unwrap());
    assert!(refused(file.get(&name("a"))).contains("no secret for `a`"));
    file.set(&name("a"), &secret("one")).unwrap();
    file.set(&name("b"), &secret("two")).unwrap();
    file.set(&name("a"), &secret("three")).unwrap();
    assert_eq!(exposed(file.get(&name("a"))), "three");
    assert_eq!(file.list().unwrap(), [name("a"), name("b")]);
    file.remove(&name("a")).unwrap();
    file.remove(&name("a")).unwrap();
    assert_eq!(file.list().unwrap(), [name("b")]);
}

#[test]
fn the_encrypted_file_holds_no_plain_secret_and_only_the_user_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, paths) = paths();
    backend(&Source::File, &paths).set(&name("a"), &secret("sk-ant-oat01-PLAIN")).unwrap();
    for path in [&paths.credentials, &paths.identity] {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(!text.contains("PLAIN") && !text.contains("sk-ant"), "{text}");
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_changed_file_and_a_file_with_another_identity_are_not_opened() {
    let (_dir, paths) = paths();
    let file = backend(&Source::File, &paths);
    file.set(&name("a"), &secret("one")).unwrap();
    let sealed = std::fs::read_to_string(&paths.credentials).unwrap();

    let identity = std::fs::read(&paths.identity).unwrap();
    std::fs::remove_file(&paths.identity).unwrap();
    assert!(refused(file.get(&name("a"))).contains("which does not exist"));

    let other = Paths { credentials: PathBuf::from("/nonexistent"), ..paths.clone() };
    let elsewhere = Paths { credentials: paths.home.join("other"), ..other };
    backend(&Source::File, &elsewhere).set(&name("x"), &secret("new identity")).unwrap();
    assert!(refused(file.get(&name("a"))).contains("does not decrypt"));

    std::fs::write(&paths.identity, identity).unwrap();
    assert_eq!(exposed(file.get(&name("a"))), "one");
    // Replace one character of the sealed text with another one of the same alphabet.
    let at = sealed.rfind("==").map_or(sealed.len() - 10, |end| end - 8);
    let letter = if &sealed[at..=at] == "A" { "B" } else { "A" };
    let changed = format!("{}{letter}{}", &sealed[..at], &sealed[at + 1..]);
    std::fs::write(&paths.credentials, changed).unwrap();
    assert!(refused(file.get(&name("a"))).contains("does not decrypt"));
    std::fs::write(&paths.credentials, &sealed[..sealed.len() / 2]).unwrap();
    assert!(refused(file.get(&name("a"))).contains("is damaged"));
}

#[test]
fn a_command_prints_the_secret_or_the_error_says_why_not() {
    let (_dir, paths) = paths();
    let run = |line: &str| backend(&Source::Command(line.into()), &paths).get(&name("a"));
    assert_eq!(exposed(run("printf 'sk-1\\n'")), "sk-1");
    assert_eq!(exposed(run("cat; echo sk-2")), "sk-2"); // its standard input is empty
    assert!(refused(run("exit 3")).contains("failed (exit status: 3)"));
    assert!(refused(run("true")).contains("printed an unusable secret: it is empty"));
    assert!(refused(run("echo a; echo b")).contains("more than one line"));
}

#[test]
fn a_command_that_hangs_is_terminated() {
    let begun = std::time::Instant::now();
    let patience = std::time::Duration::from_millis(500);
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    for rest in ["exec sleep 600", "echo sk-1; exec >&-; exec sleep 600"] {
        let line = format!("echo $$ >{}; {rest}", pid.display());
        let printed = command::output_of(&line, patience).unwrap();
        assert_eq!(printed, command::Output::Failed("took longer than 0 s".to_owned()), "{line}");
        let child = std::fs::read_to_string(&pid).unwrap().trim().parse().ok();
        let child = child.and_then(rustix::process::Pid::from_raw).unwrap();
        // The command is a child of this process and not reaped yet, so its exit status is available.
        let status = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty()).unwrap();
        let signal = status.and_then(|(_, status)| status.terminating_signal());
        assert_eq!(signal, Some(rustix::process::Signal::TERM.as_raw()), "{line}");
    }
    assert!(begun.elapsed().as_secs() < 60);
}

#[test]
fn a_command_that_hangs_is_terminated_with_its_children() {
    if !cfg!(target_os = "linux") {
        return; // other systems do not list the descendants of a process
    }
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let line = format!("sh -c 'echo $$ >{}; exec sleep 600'; true", pid.display());
    let patience = std::time::Duration::from_millis(500);
    assert!(matches!(command::output_of(&line, patience).unwrap(), command::Output::Failed(_)));
    let inner: u32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    // The parent of this process is gone. Another process reaps it, which may take some time.
    while crate::process::Stat::of(inner).is_some_and(|stat| stat.state != 'Z') {
        assert!(std::time::Instant::now() < until, "the child of the command is still running");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_login_directory_stores_nothing() {
    let (dir, paths) = paths();
    let home = backend(&Source::Home(dir.path().to_owned()), &paths);
    assert!(home.has(&name("a")).unwrap());
    assert!(refused(home.get(&name("a"))).contains("kage stores no secret"));
    assert!(home.set(&name("a"), &secret("x")).is_err());
    assert_eq!(home.list().unwrap(), []);
}
