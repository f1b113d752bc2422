//! Why `exec` starts nothing: wrong usage, no subscription ready, a credential or a program that cannot be
//! used.

use super::{Row, Table, pool_of_one};
use crate::support::{CONFIG, Sandbox, token};

const STATE: &str = "home/.local/state/kage/state.json";

pub(super) fn rows() -> Vec<Row> {
    [usage, pool, credentials, files, programs].into_iter().flat_map(|part| part()).collect()
}

fn usage() -> Vec<Row> {
    let sandbox = pool_of_one();
    let mut table = Table::of(&sandbox);
    for (situation, line) in [
        ("exec: no command", "exec"),
        ("exec: no `--`", "exec sh -c :"),
        ("exec: unknown flag", "exec --frob -- sh -c :"),
        ("exec: unknown subscription", "exec -s wrok -- sh -c :"),
        ("exec: invalid name", "exec -s 'a b' -- sh -c :"),
        ("exec: unknown agent", "exec --agent clod -- sh -c :"),
        ("exec: unknown level", "exec -p urgent -- sh -c :"),
        ("exec: invalid number of retries", "exec --retries few -- sh -c :"),
        ("exec: --replace with --retries", "exec --replace --retries 1 -- sh -c :"),
        ("exec: --wait=0s", "exec --wait=0s -- sh -c :"),
        ("exec: --wait with an invalid duration", "exec --wait=soon -- sh -c :"),
        ("exec: --wait with a separate word", "exec --wait 0s -- sh -c :"),
        ("exec: --dry-run", "exec --dry-run -- sh -c 'exit 41'"),
        ("exec: unknown namespace", "exec -n nowhere -- sh -c 'exit 41'"),
        ("exec: kage by its name", "exec -- kage exec -- sh -c 'exit 41'"),
    ] {
        table.kage(situation, line);
    }
    let exec = || sandbox.kage(["exec", "--", "sh", "-c", ":"]);
    table.run("exec: unknown level in the environment", exec().env("KAGE_PRIORITY", "urgent"));
    table.run("exec: too many kages inside each other", exec().env("KAGE_DEPTH", "8"));
    table.bash("exec: kage inside kage", "\"$0\" exec -- sh -c \"'$0' exec -- sh -c 'exit 41'\"");
    table.rows
}

/// A state in which a limit and a budget are reached.
fn state() -> String {
    let today = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    let limit = serde_json::json!({
        "scope": "all", "kind": "rate_limited", "window": "five_hour",
        "since": "2001-01-01T00:00:00Z", "until": "2099-01-01T00:00:00Z",
    });
    let used = serde_json::json!({ "date": today, "runs": 1, "tokens": { "input_tokens": 11 } });
    let state = serde_json::json!({
        "subscriptions": { "limited": { "limits": [limit] } }, "namespaces": { "costly": { "today": used } },
    });
    serde_json::json!({ "version": 1, "state": state }).to_string()
}

/// No subscription is ready, or not the wanted one.
fn pool() -> Vec<Row> {
    let sandbox = Sandbox::new();
    let mut table = Table::of(&sandbox);
    table.kage("exec: empty pool", "exec -- sh -c :");
    table.kage("exec: empty pool, --dry-run", "exec --dry-run -- sh -c :");
    sandbox.config(
        "[subscriptions.routing]\nclosed = [\"off\"]\nempty = []\nhigh = [\"work\"]\n[subscriptions.pool]\n\
         limited = { credential = { command = \"echo sk-ant-oat01-invented\" }, tags = [\"limited\"] }\n\
         off = { credential = { command = \"exit 3\" }, enabled = false }\n\
         work = { credential = { command = \"echo sk-ant-oat01-invented\" } }\n\
         [namespaces.costly]\ntokens_per_day = 10\n",
    );
    sandbox.write(STATE, &state());
    for (situation, line) in [
        ("exec: all are limited", "exec -t limited -- sh -c :"),
        ("exec: all are limited, --dry-run", "exec -t limited --dry-run -- sh -c :"),
        ("exec: none has the tag", "exec -t gpu -- sh -c :"),
        ("exec: -s of a limited one", "exec -s limited -- sh -c 'exit 41'"),
        ("exec: -s of a disabled one", "exec -s off -- sh -c :"),
        ("exec: -s of another agent's", "exec -s work --agent codex -- sh -c :"),
        ("exec: the route has only a disabled one", "exec -n closed -- sh -c :"),
        ("exec: the route is empty", "exec -n empty -- sh -c :"),
        ("exec: two routes with none in common", "exec -n closed -p high -- sh -c :"),
        ("exec: -s of one outside the route", "exec -n closed -s work -- sh -c 'exit 41'"),
        ("exec: the budget is used up", "exec -n costly -- sh -c :"),
        ("exec: --over-budget", "exec -n costly --over-budget -- sh -c 'exit 41'"),
        ("exec: --wait runs out", "exec -t limited --wait=1ms -- sh -c :"),
        ("exec: --wait for one subscription runs out", "exec -s limited --wait=1ms -- sh -c :"),
        ("exec: --wait for what never becomes ready", "exec -t gpu --wait -- sh -c :"),
        ("exec: --wait is not needed", "exec --wait=1ms -- sh -c 'exit 41'"),
    ] {
        table.kage(situation, line);
    }
    table.rows
}

fn credentials() -> Vec<Row> {
    let sandbox = Sandbox::new();
    let mut table = Table::of(&sandbox);
    sandbox.config(
        "[subscriptions.pool]\n\
         command = { credential = { command = \"exit 3\" } }\n\
         file = { credential = { from = \"file\" } }\n\
         login = { credential = { home = \"~/.claude-absent\" } }\n\
         silent = { credential = { command = \":\" } }\n",
    );
    for (situation, line) in [
        ("exec: the credential command fails", "exec -s command -- sh -c :"),
        ("exec: the credential command prints nothing", "exec -s silent -- sh -c :"),
        ("exec: the encrypted file has no such secret", "exec -s file -- sh -c :"),
        ("exec: the login directory is missing", "exec -s login -- sh -c :"),
        ("exec: the login directory is missing, --replace", "exec --replace -s login -- sh -c :"),
    ] {
        table.kage(situation, line);
    }
    let sealed = Sandbox::new();
    let add = sealed.kage(["subscription", "add", "work", "--credential", "file"]);
    add.env("KAGE_PASSPHRASE", "right").stdin(&token("work")).run().success();
    let mut with_passphrase = Table::of(&sealed);
    let exec = || sealed.kage(["exec", "--", "sh", "-c", "exit 41"]);
    with_passphrase.run("exec: no passphrase", exec());
    with_passphrase.run("exec: wrong passphrase", exec().env("KAGE_PASSPHRASE", "wrong"));
    with_passphrase.run("exec: right passphrase", exec().env("KAGE_PASSPHRASE", "right"));
    table.rows.extend(with_passphrase.rows);
    table.rows
}

/// Problems with the config, the state and the ledger.
fn files() -> Vec<Row> {
    let sandbox = pool_of_one();
    let mut table = Table::of(&sandbox);
    let config = sandbox.read(CONFIG);
    for (situation, text) in [
        ("exec: the config is not TOML", "[subscriptions\n"),
        ("exec: the config has an invalid value", "[subscriptions]\nstrategy = \"best\"\n"),
        ("exec: the config has an unknown key", "[subscriptions]\nstrategie = \"priority\"\n"),
    ] {
        sandbox.config(text);
        table.kage(situation, "exec -- sh -c :");
    }
    sandbox.config(&config);
    sandbox.write("work/.kage/config.toml", "priority = \"urgent\"\n");
    table.kage("exec: the project's config has an invalid value", "exec -- sh -c :");
    std::fs::remove_dir_all(sandbox.path("work/.kage")).unwrap();
    let exec = || sandbox.kage(["exec", "--", "sh", "-c", "exit 41"]);
    table.run("exec: the config is a directory", exec().env("KAGE_CONFIG", sandbox.path("home")));
    table.run("exec: KAGE_CONFIG names no file", exec().env("KAGE_CONFIG", "/nonexistent/config.toml"));
    table.run("exec: the state cannot be written", exec().env("KAGE_STATE_DIR", "/dev/null/state"));
    sandbox.write("home/.local/state/kage/usage", "a file in the place of a directory");
    table.run("exec: the ledger cannot be written", exec());
    sandbox.write(STATE, "{");
    table.run("exec: the state is damaged", exec());
    sandbox.write(STATE, "{\"version\":99}");
    table.run("exec: the state has a newer version", exec());
    table.rows
}

fn programs() -> Vec<Row> {
    let sandbox = pool_of_one();
    let mut table = Table::of(&sandbox);
    sandbox.write("work/plain", "not a program");
    sandbox.program("broken", "#!/nowhere/at/all\n");
    sandbox.program("text", "exit 7\n");
    std::os::unix::fs::symlink(crate::support::kage(), sandbox.path("bin/codex")).unwrap();
    for (situation, program) in [
        ("the program was not found", "absent"),
        ("the program is mistyped", "cluade -p hi"),
        ("the path does not exist", "./absent"),
        ("the program is not executable", "./plain"),
        ("the program is a directory", "../home"),
        ("the interpreter is missing", "broken"),
        ("the program has no interpreter line", "text"),
        ("the agent on PATH is kage itself", "codex exec hi"),
    ] {
        for (suffix, flag) in [("", ""), (", --replace", " --replace")] {
            let call = sandbox.kage(format!("exec{flag} -- {program}").split(' '));
            // Without the agents of this machine.
            table.run(&format!("exec: {situation}{suffix}"), call.env("PATH", sandbox.path("bin")));
        }
    }
    table.rows
}
