//! What a stand-in agent writes in an attempt, and how many of the tokens belong to that attempt.

use serde_json::{Value, json};

use crate::counting::counts::{Count, Counts};
use crate::counting::random::Random;

const MODELS: [&str; 2] = ["claude-sonnet-5-5", "claude-haiku-4-5-20251001"];

/// The file of the session.
pub(crate) const MAIN: &str = "@U@.jsonl";

/// Paths of subagents' files.
const SUBAGENTS: [&str; 3] = ["subagents/agent-a", "subagents/agent-b", "subagents/group/one/agent-c"];

/// Which rows a plan may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shapes {
    /// Rows that ccusage reads as kage does.
    Plain,
    /// Also rows that ccusage 20.0.24 reads differently:
    /// - `"requestId": null`, or no number for a kind of tokens: it skips the whole row;
    /// - no message id: it counts every copy of the row, although the request id shows that they are one
    ///   answer;
    /// - blanks after the colons: it searches for `"usage":{` and skips the row;
    /// - two rows of an answer, of which the one with less output has more input: it uses the row with the
    ///   larger sum, although the row with more output is the later one;
    /// - no request id: it counts an answer in every session that has its rows, as after a fork, and once
    ///   more if the main file reports it as progress;
    /// - a subagent's row with the message id of another row but its own request id: it identifies an answer
    ///   by the message id alone.
    All,
}

/// An answer of the provider.
#[derive(Debug, Clone)]
struct Answer {
    message: String,
    request: Option<String>,
    model: &'static str,
    count: Count,
}

impl Answer {
    /// A row of this answer, written when it had this much output.
    fn row(&self, output: u64, is_sidechain: bool) -> Value {
        let [input, _, read, short, long] = self.count;
        let mut row = json!({
            "type": "assistant", "timestamp": "@NOW@", "sessionId": "@U@", "isSidechain": is_sidechain,
            "version": "2.1.332", "uuid": "u",
            "message": { "id": self.message, "model": self.model, "role": "assistant",
                "content": [{ "type": "text", "text": "an answer" }],
                "usage": { "input_tokens": input, "output_tokens": output, "cache_read_input_tokens": read,
                    "cache_creation_input_tokens": short + long,
                    "cache_creation": { "ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long } } },
        });
        if let Some(request) = &self.request {
            row["requestId"] = json!(request);
        }
        if long == 0 && short % 2 == 0 {
            row["message"]["usage"].as_object_mut().unwrap().remove("cache_creation"); // as older versions
        }
        row
    }

    fn whole(&self, is_sidechain: bool) -> Value {
        self.row(self.count[1], is_sidechain)
    }
}

/// A row from before kage was installed.
pub(crate) fn old_row() -> Value {
    let (message, request) = ("msg_of_long_ago".to_owned(), Some("req_of_long_ago".to_owned()));
    let mut row = Answer { message, request, model: MODELS[0], count: [1, 2, 3, 4, 5] }.whole(false);
    row["timestamp"] = json!("2026-01-02T03:04:05.678Z");
    row
}

/// One attempt.
pub(crate) struct Plan<'a> {
    random: &'a mut Random,
    shapes: Shapes,
    /// Unique among the attempts of the tree.
    serial: u64,
    answers: u64,
    file: String,
    pub text: String,
    pub counts: Counts,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(random: &'a mut Random, shapes: Shapes, serial: u64) -> Self {
        let (file, text, counts) = (String::new(), String::new(), Counts::default());
        Self { random, shapes, serial, answers: 0, file, text, counts }
    }

    pub(crate) fn step(&mut self, kind: char, text: &str) {
        self.text += &format!("{kind} {text}\n");
    }

    fn rows(&mut self, file: &str, rows: impl IntoIterator<Item = Value>) {
        if self.file != file {
            file.clone_into(&mut self.file);
            self.step('>', file);
        }
        rows.into_iter().for_each(|row| self.step('=', &row.to_string()));
    }

    /// The prompt of the user or of kage. Every attempt starts with it: if an earlier attempt ended in the
    /// middle of a row, the prompt completes that row, and no answer is lost.
    pub(crate) fn prompt(&mut self) {
        // Text that a careless parser mistakes for an answer.
        let text =
            r#"{"type":"assistant","message":{"id":"m","model":"claude-x","usage":{"input_tokens":99}}}"#;
        let message = json!({ "role": "user", "content": text });
        self.rows(
            MAIN,
            [json!({ "type": "user", "timestamp": "@NOW@", "isSidechain": false, "message": message })],
        );
    }

    fn answer(&mut self) -> Answer {
        self.answers += 1;
        let id = format!("{}_{}", self.serial, self.answers);
        let mut up_to = |bound| self.random.below(bound);
        let count = [up_to(5000), 1 + up_to(3000), up_to(200_000), up_to(30_000), up_to(30_000)];
        let count = if up_to(3) == 0 { [count[0], count[1], count[2], count[3], 0] } else { count };
        let request = (up_to(8) > 0 || self.shapes == Shapes::Plain).then(|| format!("req_{id}"));
        let model = MODELS[usize::from(up_to(4) == 0)];
        let answer = Answer { message: format!("msg_{id}"), request, model, count };
        self.counts.add(model, count);
        answer
    }

    /// An answer of the main conversation: a row for each block, and some rows written while it streamed.
    pub(crate) fn main_answer(&mut self) {
        let answer = self.answer();
        let mut rows = vec![answer.whole(false); 1 + usize::try_from(self.random.below(3)).unwrap()];
        if self.random.one_in(3) {
            rows.insert(0, answer.row(1, false));
        }
        if self.random.one_in(4) {
            rows.push(answer.row(answer.count[1] / 2, false));
        }
        self.rows(MAIN, rows);
    }

    /// Answers of a subagent. Sometimes the main file has one of its rows, or reports it as progress.
    pub(crate) fn subagent_answers(&mut self) {
        let path = SUBAGENTS[usize::try_from(self.random.below(3)).unwrap()];
        for _ in 0..=self.random.below(3) {
            let answer = self.answer();
            let row = answer.whole(true);
            self.rows(&format!("@U@/{path}.jsonl"), [answer.row(1, true), row.clone(), row.clone()]);
            if self.random.one_in(3) {
                self.rows(MAIN, [row.clone()]);
            }
            if self.random.one_in(3) {
                let progress = json!({ "type": "agent_progress", "message": row });
                self.rows(MAIN, [json!({ "type": "progress", "timestamp": "@NOW@", "data": progress })]);
            }
        }
    }

    /// Rows that have no usage.
    pub(crate) fn noise(&mut self) {
        let mut synthetic = self.uncounted_answer();
        synthetic["message"]["model"] = json!("<synthetic>");
        self.rows(
            MAIN,
            [
                synthetic,
                json!({ "type": "attachment", "timestamp": "@NOW@", "usage": { "input_tokens": 9 } }),
            ],
        );
        self.step('=', r#"{"type":"assistant","message":{"usage":{"input_tokens":7,"#);
        self.step('=', "\u{fffd}\u{0} not JSON \"assistant\" \"usage\":{");
        self.step('#', "30000");
    }

    /// Rows that ccusage reads differently.
    pub(crate) fn odd(&mut self) {
        if self.shapes == Shapes::Plain {
            return;
        }
        let mut answer = self.answer();
        answer.request = Some(format!("req_odd_{}", answer.message));
        let whole = answer.whole(false);
        match self.random.below(5) {
            0 => {
                let mut row = whole;
                row["requestId"] = Value::Null;
                self.rows(MAIN, [row.clone(), row]);
            }
            1 => {
                let mut row = whole;
                row["message"].as_object_mut().unwrap().remove("id");
                self.rows(MAIN, [row.clone(), row]);
            }
            2 => {
                let row = whole.to_string().replace("\":", "\" : ");
                self.rows(MAIN, []);
                self.step('=', &row);
            }
            3 => {
                let mut early = answer.row(0, false);
                early["message"]["usage"]["input_tokens"] = json!(1_000_000);
                self.rows(MAIN, [early.clone(), whole, early]);
            }
            _ => {
                let mut copy = answer.whole(true);
                copy["requestId"] = json!(format!("{}_again", answer.message));
                self.counts.add(answer.model, answer.count);
                self.rows(MAIN, [whole]);
                self.rows("@U@/subagents/agent-a.jsonl", [copy]);
            }
        }
    }

    /// An old row, which a resumed session writes again.
    pub(crate) fn history(&mut self) {
        self.rows(MAIN, [old_row()]);
    }

    fn uncounted_answer(&mut self) -> Value {
        let counts = self.counts.clone();
        let row = self.answer().whole(false);
        self.counts = counts;
        row
    }

    /// The provider refuses, and the agent ends.
    pub(crate) fn limited(&mut self) {
        let text = "You've hit your 5-hour limit · resets 1pm (UTC)";
        let none = json!({ "input_tokens": 0, "output_tokens": 0 });
        let soon = "@SOON@";
        let row = json!({
            "type": "assistant", "timestamp": "@NOW@", "isSidechain": false, "isApiErrorMessage": true,
            "error": "rate_limit", "apiErrorStatus": 429, "apiError": "usage_limit_reached",
            "quotaLimits": { "status": "rejected", "resetsAt": soon, "rateLimitType": "five_hour",
                "isUsingOverage": false },
            "message": { "id": "x", "model": "<synthetic>", "usage": none,
                "content": [{ "type": "text", "text": text }] },
        });
        self.rows(MAIN, []);
        self.step('=', &row.to_string().replace("\"@SOON@\"", soon));
        self.step('!', "1");
    }

    /// The agent ends in the middle of a row.
    pub(crate) fn cut(&mut self) {
        let row = self.uncounted_answer().to_string();
        self.rows(MAIN, []);
        self.step('~', &row[..row.len() / 2]);
    }

    /// A turn of a conversation.
    pub(crate) fn turn(&mut self) {
        for _ in 0..=self.random.below(3) {
            self.main_answer();
            match self.random.below(6) {
                0 | 1 => self.subagent_answers(),
                2 => self.noise(),
                3 => self.odd(),
                4 => self.history(),
                _ => {}
            }
        }
        self.odd();
    }
}
