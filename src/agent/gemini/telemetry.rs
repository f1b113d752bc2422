//! Counts the requests with which the agent chooses a model. In the text form they are neither printed nor
//! recorded, only in its telemetry, which kage directs to a file of the run. Measured on 0.61.0.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::PathBuf;

use jiff::Zoned;
use serde::Deserialize;

use super::environment;
use crate::agent::{Job, LaunchPlan};
use crate::pool::{TokenCount, Usage};

const OUTFILE: &str = "GEMINI_TELEMETRY_OUTFILE";
/// The beginning of the names of all its variables.
const VARIABLES: &str = "GEMINI_TELEMETRY_";
/// The most that is read, in bytes. A run of hours writes less.
const LONGEST: u64 = 64 << 20;
/// The beginning of the roles of requests that do not belong to the conversation.
const UTILITY: &str = "utility_";

/// Directs the telemetry to a file of the run. Telemetry that the user has set up is left alone.
pub(super) fn plan(job: &Job<'_>, plan: &mut LaunchPlan) {
    let is_own = job.environment.iter().any(|(name, _)| name.to_string_lossy().starts_with(VARIABLES));
    if is_own || job.own_env.keys().any(|name| name.starts_with(VARIABLES)) || environment::has_telemetry(job)
    {
        return;
    }
    let file = job.settings_file.with_extension("telemetry");
    let values: [(&str, OsString); 4] = [
        ("GEMINI_TELEMETRY_ENABLED", "true".into()),
        ("GEMINI_TELEMETRY_TARGET", "local".into()),
        ("GEMINI_TELEMETRY_LOG_PROMPTS", "false".into()),
        (OUTFILE, file.clone().into()),
    ];
    plan.set.extend(values.map(|(name, value)| (name.to_owned(), value)));
    plan.settings = Some((file, String::new()));
}

#[derive(Deserialize)]
struct Entry {
    attributes: Option<Attributes>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attributes {
    #[serde(rename = "event.name")]
    event: String,
    role: String,
    model: String,
    input_token_count: u64,
    output_token_count: u64,
    cached_content_token_count: u64,
    thoughts_token_count: u64,
}

/// Adds what these requests used, according to the file of a plan.
pub(super) fn add_utility_usage(plan: &LaunchPlan, usage: &mut Usage, now: &Zoned) {
    let outfile = plan.set.iter().find(|(name, _)| name == OUTFILE).map(|(_, file)| PathBuf::from(file));
    let Some(file) = outfile.filter(|file| plan.settings.as_ref().is_some_and(|(own, _)| own == file)) else {
        return;
    };
    let Ok(file) = File::open(file) else { return };
    let text = BufReader::new(file.take(LONGEST));
    // The file has one JSON object after another. The last one may be incomplete.
    for entry in serde_json::Deserializer::from_reader(text).into_iter::<Entry>().map_while(Result::ok) {
        let known = entry.attributes.unwrap_or_default();
        if known.event == "gemini_cli.api_response" && known.role.starts_with(UTILITY) {
            usage.requests = usage.requests.saturating_add(1);
            usage.summed(now, &known.model, known.count());
        }
    }
}

impl Attributes {
    /// The input includes the tokens from the cache, the output excludes the thoughts.
    fn count(&self) -> TokenCount {
        TokenCount {
            input_tokens: self.input_token_count.saturating_sub(self.cached_content_token_count),
            output_tokens: self.output_token_count.saturating_add(self.thoughts_token_count),
            cache_read_tokens: self.cached_content_token_count,
            reasoning_tokens: self.thoughts_token_count,
            ..TokenCount::default()
        }
    }
}
