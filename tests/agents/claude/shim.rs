//! The real agent, started through its shim.

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

/// A call of the shim. The real agent comes after it in `PATH`.
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
    scene.assert_only_token(&token("work--ok"));
    assert_eq!(scene.tokens_of("work"), ONE_ANSWER);
    for maintenance in [["--version"].as_slice(), &["mcp", "list"]] {
        let bare = scene.bare(maintenance).run().success();
        shim(&scene, maintenance).run().success().prints(&bare.stdout()).says(&bare.stderr());
    }
}

/// Long enough for a loaded machine. A test that passes does not wait this long.
const PATIENCE: Duration = Duration::from_secs(30);

fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || BufReader::new(stdout).lines().try_for_each(|line| send.send(line.unwrap())));
    lines
}

/// The VS Code extension starts the wrapper with the path of its bundled agent, and exchanges JSON lines with
/// it in both directions.
#[test]
fn an_editor_uses_its_bundled_agent_through_the_shim() {
    let Some(scene) = Scene::of(an_editor_uses_its_bundled_agent_through_the_shim) else { return };
    scene.add("work", "work--ok");
    let own = scene.sandbox.write("extension/resources/native-binary/claude", "");
    std::fs::remove_file(&own).unwrap();
    symlink(bin(&scene).join("claude").canonicalize().unwrap(), &own).unwrap();
    std::fs::remove_file(bin(&scene).join("claude")).unwrap();
    let lines = ["--output-format", "stream-json", "--verbose", "--input-format", "stream-json"];
    let args = [&[own.to_str().unwrap()][..], &lines].concat();
    let mut command = shim(&scene, &args).env("CLAUDE_CODE_ENTRYPOINT", "claude-vscode").command;
    let mut agent = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = agent.stdin.take().unwrap();
    let lines = lines_of(agent.stdout.take().unwrap());
    // The second question is sent after the first answer, so kage must not hold back any output.
    for text in ["hi", "and now?"] {
        let message = json!({ "role": "user", "content": text });
        writeln!(input, "{}", json!({ "type": "user", "message": message })).unwrap();
        let result = loop {
            let line = lines.recv_timeout(PATIENCE).expect("the agent answers");
            let row: Value = serde_json::from_str(&line).unwrap();
            if row["type"] == "result" {
                break row;
            }
        };
        assert_eq!(result["result"], answer("ok").trim_end(), "{result}");
    }
    drop(input);
    assert!(agent.wait().unwrap().success());
    scene.assert_only_token(&token("work--ok"));
    assert_eq!((scene.ran_on(), scene.tokens_of("work")), (vec!["work".into()], json!(2 * ONE_ANSWER)));
    let version = shim(&scene, &[own.to_str().unwrap(), "--version"]).run().success().stdout();
    assert!(version.contains("Claude Code"), "{version}");
}

/// The real agent hides its credential from the programs that its tools start. A `claude` started there uses
/// the agent's own login, which does not exist here. With `kage exec` it gets a credential from the pool.
#[test]
fn an_agent_started_from_the_agents_shell_is_not_wrapped_again() {
    let test = an_agent_started_from_the_agents_shell_is_not_wrapped_again;
    let pooled = format!("{} exec -- claude -p nested >pooled", crate::support::kage().display());
    let command = format!("type -t claude >kind; claude -p nested >nested 2>&1; {pooled}");
    let Some(scene) = Scene::with_tool(&command, test) else { return };
    scene.add("work", "work--tool+ok").add("spare", "spare--ok");
    scene.sandbox.kage(["sub", "set", "work", "--priority", "200"]).run().success();
    // The agent's shell has the functions of the user's shell, because the agent takes a snapshot of them.
    scene.kage(&["init", "bash", "--install", "--yes"]).run().success();
    let line = ". ~/.bashrc; claude -p --dangerously-skip-permissions hi";
    let bash = scene.sandbox.call("bash".as_ref(), ["-c", line]).env("SHELL", "/bin/bash");
    scene.prepared(bash).run().success().prints(&answer("ok"));
    assert_eq!(scene.sandbox.read("work/kind"), "function\n");
    assert_eq!(scene.sandbox.read("work/nested"), "Not logged in · Please run /login\n");
    assert_eq!(scene.sandbox.read("work/pooled"), answer("ok"));
    // The nested run ends first.
    assert_eq!(scene.ran_on(), ["spare", "work"]);
}
