//! Passes the words of the quoting corpus and random words through the real shells and the real tmux. Fails
//! if the grammars of `src/quoting.rs` are wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

const PIECES: [&str; 24] = [
    "'", "\"", "\\", "$x", "$(y)", "`z`", "#", "[", "{a,b}", "~", "!", "*", "?", ";", "&", "|", "<", " ",
    "%1", "=", "é", "仕", "\u{202e}", "k",
];

/// The words of the corpus, and combinations of the pieces above in a fixed pseudo-random order.
fn words() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/quoting");
    let files = fs::read_dir(dir).expect("the corpus exists").flatten();
    let texts = files.filter_map(|file| String::from_utf8(fs::read(file.path()).ok()?).ok());
    let mut words: Vec<String> =
        texts.flat_map(|text| text.split('\0').map(str::to_owned).collect::<Vec<_>>()).collect();
    let mut dice = 1u64;
    words.extend((0..60).map(|_| {
        let letters = (0..1 + dice % 12).map(|_| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            PIECES[usize::try_from(dice >> 33).expect("31 bits fit") % PIECES.len()]
        });
        letters.collect::<String>()
    }));
    words.sort();
    words.dedup();
    words
}

/// The output of a program; `None` if it is not installed, which is an error in CI.
fn run(program: &str, args: &[&str]) -> Option<Output> {
    match Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .output()
    {
        Ok(output) => Some(output),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{program}: {why}");
            None
        }
    }
}

/// Lets a shell print each word of a line, and compares them.
fn check_words(program: &str, flags: &[&str], line: &str, words: &[String]) {
    let script = format!("printf '%s\\0' {line}");
    let Some(output) = run(program, &[flags, &["-c", &script]].concat()) else { return };
    let printed: Vec<_> =
        output.stdout.split_inclusive(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    let expected: Vec<_> = words.iter().map(|word| format!("{word}\0")).collect();
    assert_eq!(printed, expected, "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_shell_reads_a_quoted_word_back_unchanged() {
    let words = words();
    let line =
        |shell: &str| words.iter().map(|word| kage_fuzz::word_for(shell, word)).collect::<Vec<_>>().join(" ");
    check_words("bash", &["--norc"], &line("bash"), &words);
    check_words("sh", &[], &line("bash"), &words);
    check_words("zsh", &["-f"], &line("zsh"), &words);
    check_words("fish", &["--no-config"], &line("fish"), &words);
}

#[test]
fn a_suggested_command_has_its_words_in_bash_and_zsh() {
    let words = words();
    let bytes: Vec<_> = words.iter().map(String::as_bytes).collect();
    let command = kage_fuzz::pasted_command(&bytes);
    let (_, line) = command.split_once(" -- ").expect("the program is after `--`");
    check_words("bash", &["--norc"], line, &words);
    check_words("zsh", &["-f"], line, &words);
}

#[test]
fn tmux_reads_the_path_in_its_line_back_unchanged() {
    let dir = tempfile::tempdir().expect("a directory can be created");
    let fits = |word: &&String| {
        !word.is_empty()
            && word.len() < 100
            && !word.contains(|letter: char| letter.is_control() || letter == '/')
    };
    let words = words();
    let words: Vec<_> = words.iter().filter(fits).collect();
    let mut lines = String::new();
    for (at, word) in words.iter().enumerate() {
        let kage = dir.path().join(format!("_{word}")).join("kage");
        fs::create_dir_all(kage.parent().expect("the path has a parent")).expect("any name is valid");
        let script = format!("#!/bin/sh\necho \"echo $1 $2 >'{}/seen-{at}'\"\n", dir.path().display());
        fs::write(&kage, script).expect("the file can be written");
        fs::set_permissions(&kage, fs::Permissions::from_mode(0o755)).expect("the file belongs to this user");
        lines += &kage_fuzz::line_for_tmux(kage.to_str().expect("the path is UTF-8"));
        lines.push('\n');
    }
    let config = dir.path().join("conf");
    fs::write(&config, lines).expect("the file can be written");
    let (config, socket) = (config.display().to_string(), dir.path().join("s").display().to_string());
    let args = ["-S", &socket, "-f", &config, "new-session", "-d", "cat", ";", "kill-server"];
    if run("tmux", &args).is_none() {
        return;
    }
    let seen = |at: usize| fs::read_to_string(dir.path().join(format!("seen-{at}"))).ok();
    let lost: Vec<_> =
        words.iter().enumerate().filter(|(at, _)| seen(*at).as_deref() != Some("init tmux\n")).collect();
    assert!(lost.is_empty() && !words.is_empty(), "not found: {lost:?}");
}
