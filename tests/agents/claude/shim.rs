//! The real agent behind a shim.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::claude::scene::{ONE_ANSWER, Scene, answer};
use crate::support::{Call, token};

/// The shim, with the real agent behind it on PATH.
fn shim(scene: &Scene, args: &[&str]) -> Call {
    let shim = installed(scene);
    let path = format!("{}:{}:/usr/bin:/bin", shim.parent().unwrap().display(), bin(scene).display());
    scene.prepared(scene.sandbox.call(&shim, args)).env("PATH", path)
}

fn installed(scene: &Scene) -> PathBuf {
    scene.kage(&["shim", "install", "claude"]).run().success();
    scene.sandbox.path("home/.local/share/kage/shims/claude")
}

fn bin(scene: &Scene) -> PathBuf {
    scene.sandbox.path("bin")
}

#[test]
fn the_real_agent_answers_through_its_shim() {
    let Some(scene) = Scene::of(the_real_agent_answers_through_its_shim) else { return };
    scene.add("work", "work--ok");
    shim(&scene, &["-p", "hi"]).run().success().prints(&answer("ok")).says("");
    scene.bears_only(&token("work--ok"));
    assert_eq!(scene.tokens_of("work"), ONE_ANSWER);
    for upkeep in [["--version"].as_slice(), &["mcp", "list"]] {
        let bare = scene.bare(upkeep).run().success();
        shim(&scene, upkeep).run().success().prints(&bare.stdout()).says(&bare.stderr());
    }
}

/// For a loaded machine; nothing waits for it that succeeds.
const PATIENCE: Duration = Duration::from_secs(30);

fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || BufReader::new(stdout).lines().try_for_each(|line| send.send(line.unwrap())));
    lines
}

/// What the extension of VS Code starts: the wrapper, the path of the agent that it brings, and a conversation
/// in JSON lines both ways.
#[test]
fn an_editor_talks_with_its_own_agent_through_the_shim() {
    let Some(scene) = Scene::of(an_editor_talks_with_its_own_agent_through_the_shim) else { return };
    scene.add("work", "work--ok");
    let own = scene.sandbox.write("extension/resources/native-binary/claude", "");
    std::fs::remove_file(&own).unwrap();
    symlink(bin(&scene).join("claude").canonicalize().unwrap(), &own).unwrap();
    std::fs::remove_file(bin(&scene).join("claude")).unwrap();
    let lines = ["--output-format", "stream-json", "--verbose", "--input-format", "stream-json"];
    let args = [&[own.to_str().unwrap()][..], &lines].concat();
    let mut command = shim(&scene, &args).env("CLAUDE_CODE_ENTRYPOINT", "claude-vscode").command;
    let mut agent = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut asks = agent.stdin.take().unwrap();
    let lines = lines_of(agent.stdout.take().unwrap());
    // The second question is asked when the first is answered: nothing is held back on the way.
    for text in ["hi", "and now?"] {
        let message = json!({ "role": "user", "content": text });
        writeln!(asks, "{}", json!({ "type": "user", "message": message })).unwrap();
        let result = loop {
            let line = lines.recv_timeout(PATIENCE).expect("the agent answers");
            let row: Value = serde_json::from_str(&line).unwrap();
            if row["type"] == "result" {
                break row;
            }
        };
        assert_eq!(result["result"], answer("ok").trim_end(), "{result}");
    }
    drop(asks);
    assert!(agent.wait().unwrap().success());
    scene.bears_only(&token("work--ok"));
    assert_eq!((scene.ran_on(), scene.tokens_of("work")), (vec!["work".into()], json!(2 * ONE_ANSWER)));
    let version = shim(&scene, &[own.to_str().unwrap(), "--version"]).run().success().stdout();
    assert!(version.contains("Claude Code"), "{version}");
}

/// The real agent keeps its credential from what its tools start. So what they call as `claude` is on the agent's
/// own login, of which there is none here; `kage exec` is how they get one from the pool.
#[test]
fn what_an_agent_calls_from_its_own_shell_is_not_wrapped_again() {
    let test = what_an_agent_calls_from_its_own_shell_is_not_wrapped_again;
    let pooled = format!("{} exec -- claude -p nested >pooled", crate::support::kage().display());
    let command = format!("type -t claude >kind; claude -p nested >nested 2>&1; {pooled}");
    let Some(scene) = Scene::with_tool(&command, test) else { return };
    scene.add("work", "work--tool+ok").add("spare", "spare--ok");
    scene.sandbox.kage(["sub", "set", "work", "--priority", "200"]).run().success();
    // The agent's shell knows the functions of the user's: it keeps a snapshot of them.
    scene.kage(&["init", "bash", "--install", "--yes"]).run().success();
    let line = ". ~/.bashrc; claude -p --dangerously-skip-permissions hi";
    let bash = scene.sandbox.call("bash".as_ref(), ["-c", line]).env("SHELL", "/bin/bash");
    scene.prepared(bash).run().success().prints(&answer("ok"));
    assert_eq!(scene.sandbox.read("work/kind"), "function\n");
    assert_eq!(scene.sandbox.read("work/nested"), "Not logged in · Please run /login\n");
    assert_eq!(scene.sandbox.read("work/pooled"), answer("ok"));
    // The nested run has ended first.
    assert_eq!(scene.ran_on(), ["spare", "work"]);
}
