//! The words of the quoting corpus, and random ones, in the real shells and the real tmux: where the grammars of
//! `src/quoting.rs` are wrong, this says so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

const PIECES: [&str; 24] = [
    "'", "\"", "\\", "$x", "$(y)", "`z`", "#", "[", "{a,b}", "~", "!", "*", "?", ";", "&", "|", "<", " ",
    "%1", "=", "é", "仕", "\u{202e}", "k",
];

/// Of the corpus, and of the pieces above in an order that is always the same.
fn words() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/quoting");
    let files = fs::read_dir(dir).expect("it is there").flatten();
    let texts = files.filter_map(|file| String::from_utf8(fs::read(file.path()).ok()?).ok());
    let mut words: Vec<String> =
        texts.flat_map(|text| text.split('\0').map(str::to_owned).collect::<Vec<_>>()).collect();
    let mut dice = 1u64;
    words.extend((0..60).map(|_| {
        let letters = (0..1 + dice % 12).map(|_| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            PIECES[usize::try_from(dice >> 33).expect("it fits") % PIECES.len()]
        });
        letters.collect::<String>()
    }));
    words.sort();
    words.dedup();
    words
}

/// What a program did; `None` where it is not installed, which in CI is an error.
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

/// Lets a shell print each word of a line, and compares.
fn reads_back(program: &str, flags: &[&str], line: &str, words: &[String]) {
    let script = format!("printf '%s\\0' {line}");
    let Some(output) = run(program, &[flags, &["-c", &script]].concat()) else { return };
    let printed: Vec<_> =
        output.stdout.split_inclusive(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    let expected: Vec<_> = words.iter().map(|word| format!("{word}\0")).collect();
    assert_eq!(printed, expected, "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_shell_reads_a_quoted_word_as_itself() {
    let words = words();
    let line =
        |shell: &str| words.iter().map(|word| kage_fuzz::word_for(shell, word)).collect::<Vec<_>>().join(" ");
    reads_back("bash", &["--norc"], &line("bash"), &words);
    reads_back("sh", &[], &line("bash"), &words);
    reads_back("zsh", &["-f"], &line("zsh"), &words);
    reads_back("fish", &["--no-config"], &line("fish"), &words);
}

#[test]
fn bash_and_zsh_read_a_pasted_command_as_it_was() {
    let words = words();
    let bytes: Vec<_> = words.iter().map(String::as_bytes).collect();
    let command = kage_fuzz::pasted_command(&bytes);
    let (_, line) = command.split_once(" -- ").expect("the program stands behind it");
    reads_back("bash", &["--norc"], line, &words);
    reads_back("zsh", &["-f"], line, &words);
}

#[test]
fn tmux_and_its_shell_read_the_path_of_the_line_as_itself() {
    let dir = tempfile::tempdir().expect("a directory");
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
        fs::create_dir_all(kage.parent().expect("it has one")).expect("any name will do");
        let script = format!("#!/bin/sh\necho \"echo $1 $2 >'{}/seen-{at}'\"\n", dir.path().display());
        fs::write(&kage, script).expect("it can be written");
        fs::set_permissions(&kage, fs::Permissions::from_mode(0o755)).expect("it is ours");
        lines += &kage_fuzz::line_for_tmux(kage.to_str().expect("it is text"));
        lines.push('\n');
    }
    let config = dir.path().join("conf");
    fs::write(&config, lines).expect("it can be written");
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
