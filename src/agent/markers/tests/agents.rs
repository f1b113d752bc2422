//! The built-in markers of each agent, tested separately.

use super::*;

fn kind_of(file: &'static str, line: &str) -> Kind {
    find([line.to_owned()].iter(), &[&built_in(file)], &now()).map_or(Kind::None, |error| error.kind)
}

const CLAUDE: &str = include_str!("../../claude.toml");
const CODEX: &str = include_str!("../../codex.toml");
const GEMINI: &str = include_str!("../../gemini.toml");

#[test]
fn prose_that_begins_like_a_refusal_is_not_one() {
    for (file, lines) in [
        (
            CLAUDE,
            &[
                "Invalid API key tests pass now; 3 others fail.",
                "Invalid API key handling was moved to src/auth.rs",
                "Not logged in users are redirected to /login by the new middleware.",
                "Please run /login again, says the page.",
                "Failed to authenticate to git.example.org",
                "Failed to authenticate against the staging database, so I stopped.",
                "Your organization has disabled force pushes on this branch, so I could not push.",
                "OAuth token expired tokens are refreshed in refresh.ts",
                "OAuth token revoked tokens must be removed from the cache (see #12).",
                "Credit balance too low cases are covered by the new tests.",
                "API Error: 401 is what the staging server returns for /me; see the log.",
                "API Error: 403 Forbidden from the GitHub API: rate limit",
                "API Error: 429 handling: done.",
                "API Error (429 from GitHub): secondary rate limit",
                "API Error: 500 responses are now retried.",
                "API Error: Rate limit reached is the message our gateway prints.",
                "API Error: Overloaded operator<< is missing for Foo",
                "API Error: Could not load AWS credentials in the test container",
                "API Error: Connection refused by the staging DB",
                "Request timed out after 30 s in test_fetch; I raised the limit.",
                "You've hit your Docker Hub rate limit",
                "You've hit your download limit",
                "You've hit your daily push limit",
                "You've hit your org's monthly spend limit of 500 EUR in SAP, so the PO was rejected.",
                "You've hit your session limit · resets 5pm is the marker",
                "You've hit your session limit | that is the string",
                "You've hit your limit - resets whenever you say so",
                "You've hit your limit: resets is the verb to look for",
                "Usage limit reached - limit resets 3pm is what the banner says",
                "Claude usage limit reached. Your limit will reset at 3pm (America/Bogota). <- this is the text",
                "API Error: 429 {\"error\":{\"message\":\"Extra usage is required for long context requests.\"}}",
            ][..],
        ),
        (
            CODEX,
            &[
                "You've hit your usage limit. is what the CLI says",
                "You've hit your usage limit. (quoted)",
                "You've hit your usage limit for X. Switch to another model now is the new wording",
                "You've hit your upload limit",
                "You've hit your API limit for GitHub",
                "Quota exceeded. Check your plan and billing details. That's OpenAI's text.",
                "To use Codex with your ChatGPT plan, upgrade is a message",
                "unexpected status 401 returned from /api/login in test_login",
                "unexpected status 402 tests",
                "unexpected status 500 from the mock",
                "exceeded retry limit, last status: 429 is in the log",
                "rate limit exceeded: npm registry",
                "rate limit exceeded: GitHub says try again in 30s",
                "Your access token could not be refreshed by the test helper.",
                "Your workspace is out of credits. I used the string in a test.",
                "You hit your spend cap set in the AWS console",
                "We're currently experiencing high demand for this item (shop fixture)",
                "refresh_token_reused is an error code",
            ],
        ),
        (
            GEMINI,
            &[
                "The model is overloaded. That is what the banner says.",
                "Please retry in 12s. That's the hint.",
                "Suggested retry after 400s. says the doc",
                "API key not valid. Please pass a valid API key. (maps.googleapis.com test)",
                "Usage limit reached for gemini-2.5-pro. is the UI text",
                "No capacity available for model T in the warehouse fixture",
                "x MODEL_CAPACITY_EXHAUSTED is an enum value",
                "You have exhausted your daily quota on this model. is the text",
                "code: 429 is what the GitHub API gave",
                "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per day' of service 'x'",
                "The pod has limit: 0 and Quota exceeded for metric cpu, limit: 0",
                "invalid_grant is tested in oauth_test.go",
                "Request had invalid authentication credentials is the text",
            ],
        ),
    ] {
        let known: Vec<_> = lines.iter().filter(|line| kind_of(file, line) != Kind::None).collect();
        assert!(known.is_empty(), "{known:#?}");
    }
}

#[test]
fn other_texts_of_refusals_are_recognized() {
    for (file, kind, line) in [
        (CLAUDE, Kind::UsageLimit, "You've hit your limit."),
        (CLAUDE, Kind::UsageLimit, "You've hit your weekly limit."),
        (CODEX, Kind::UsageLimit, "You've hit your usage limit. Try again in 2 days 3 hours."),
        (CODEX, Kind::UsageLimit, "You've hit your usage limit. To get more access now, ask your admin."),
        (CODEX, Kind::Auth, "refresh_token_reused"),
        (
            GEMINI,
            Kind::UsageLimit,
            "Quota exceeded for quota metric 'Gemini 2.5 Pro Requests' and limit 'Gemini 2.5 Pro Requests per \
             day per user per tier' of service 'cloudcode-pa.googleapis.com'",
        ),
        (GEMINI, Kind::UsageLimit, "Usage limit reached for all Pro models."),
        (GEMINI, Kind::UsageLimit, "Usage limit reached for gemini-2.5-pro."),
    ] {
        assert_eq!(kind_of(file, line), kind, "{line}");
    }
    let codex = built_in(CODEX);
    let line = ["You've hit your usage limit. Try again in 2 days 3 hours.".to_owned()];
    let at = find(line.iter(), &[&codex], &now()).unwrap().resets_at.unwrap();
    assert_eq!(at.strftime("%m-%d %H:%M").to_string(), "11-24 13:10");
}
