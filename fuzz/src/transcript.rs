//! Rows of agents' transcripts and any other saved output: the evidence in them, and its effect on a pool.

use std::fs;
use std::path::PathBuf;

use jiff::{Timestamp, Zoned};

use crate::input::{dir, is_plain, now};
use crate::markers::check_outcome;
use crate::state::check_settle;
use kage::agent::{Agent, Agents, Captured, Case, Evidence, Exit, LaunchPlan, Others, Saved, Watch, Work};
use kage::pool::{Usage, Verdict};
use kage::report::{detected, detected_json};

const SESSION: &str = "0a1b2c3d-0000-4000-8000-000000000001";
const EXITS: [Exit; 4] = [Exit::Code(0), Exit::Code(1), Exit::Code(130), Exit::Signal(15)];
/// The longest stored text of an error, in characters.
const LONGEST_TEXT: usize = 400;

pub(crate) fn check(data: &[u8]) {
    let now = now();
    let agents = Agents::default();
    for agent in agents.all() {
        let evidence = agent.examine(data, &now);
        assert_eq!(agent.examine(data, &now), evidence, "the same bytes give the same evidence");
        check_evidence(agent, &evidence, &now);
    }
    for exit in EXITS {
        let found = agents.detect(None, Saved { text: data, exit, at: &now });
        assert!(is_plain(&detected(&found, &now)));
        assert!(detected_json(&found).is_object());
    }
    in_files(data, &now);
}

/// Checks that hold for any evidence and any verdict on it.
fn check_evidence(agent: &dyn Agent, evidence: &Evidence, now: &Zoned) {
    assert!(evidence.readings.values().all(|reading| reading.value.is_finite()));
    counts(&evidence.usage);
    let texts = evidence.errors.iter().chain(&evidence.if_failed).map(|error| &error.text);
    for text in texts {
        assert!(text.chars().count() <= LONGEST_TEXT, "{text}");
    }
    for exit in EXITS {
        let outcome = agent.judge(&Case { exit, evidence, more: &[], model: None, now });
        check_outcome(&outcome, now);
        assert_eq!(outcome.usage, evidence.usage);
        if exit == Exit::Code(0) && evidence.errors.is_empty() {
            assert_eq!(outcome.verdict, Verdict::Succeeded, "a run that succeeded is not judged by its text");
        }
        check_settle(&outcome, now);
    }
}

fn counts(usage: &Usage) {
    assert!(usage.slices.values().all(|count| !count.is_none()));
    assert_eq!(
        usage.models().len(),
        usage.slices.keys().map(|slice| &slice.model).collect::<std::collections::BTreeSet<_>>().len()
    );
    assert!(usage.slices.keys().all(|slice| !slice.model.is_empty()));
}

/// The same rows, appended to a transcript during an attempt.
fn in_files(data: &[u8], now: &Zoned) {
    let root = dir().join("records");
    let agents = Agents::default();
    let head = format!("{{\"sessionId\":\"{SESSION}\",\"startTime\":\"2026-11-22T10:00:00Z\"}}\n");
    for (agent, file, head) in [
        ("claude", format!("claude/-w/{SESSION}.jsonl"), String::new()),
        ("gemini", format!("gemini/w/chats/session-2026-11-22T10-00-{}.jsonl", &SESSION[..8]), head),
    ] {
        let path = root.join(file);
        fs::create_dir_all(path.parent().expect("it has a parent")).expect("a directory can be created");
        let watch = |length: u64| Watch {
            records: root.join(agent),
            session: Some(SESSION.to_owned()),
            cwd: PathBuf::from("/w"),
            began: Timestamp::MIN,
            ended: None,
            lengths: [(path.clone(), length)].into(),
            visits: Vec::new(),
            others: Others::default(),
        };
        let agent = agents.find(agent).expect("the agent is built in");
        let collect = |rows: &[u8], from: u64| {
            fs::write(&path, [head.as_bytes(), rows].concat()).expect("the file can be written");
            let plan = LaunchPlan { watch: Some(watch(from)), ..LaunchPlan::default() };
            agent.collect(&plan, &Captured::default(), now)
        };
        let evidence = collect(data, head.len() as u64);
        check_evidence(agent, &evidence, now);
        // A row that is still being written is not evidence yet.
        let torn = [data, b"\n{\"type\":\"assistant\",\"timest"].concat();
        assert_eq!(collect(&torn, head.len() as u64), evidence);
        // Rows from before the attempt do not belong to it.
        let length = (head.len() + data.len()) as u64;
        let before = collect(data, length);
        assert_eq!((before.usage, before.errors, before.work), (Usage::default(), Vec::new(), Work::None));
        if agent.name() == "gemini" {
            // Gemini CLI writes a row again with the same id.
            let twice = [data, b"\n", data].concat();
            assert_eq!(collect(&twice, head.len() as u64).usage, evidence.usage);
        }
    }
}
