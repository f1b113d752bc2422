//! Problems with the environment and the project.

use super::fixture::Fixture;

#[test]
fn a_variable_that_competes_is_unset() {
    for name in ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_BASE_URL"] {
        let fixture = Fixture::healthy().with(name, "invented");
        fixture
            .finds("warning", "variable-competes")
            .mentions(name)
            .has_fix(&format!("unset {name}"))
            .apply_fix();
    }
}

#[test]
fn inside_a_run_the_credential_of_the_run_is_not_a_problem() {
    let fixture = Fixture::healthy();
    let nested =
        fixture.sandbox.kage(["exec", "--", "sh", "-c", "kage doctor --json"]).env("SHELL", "/bin/bash");
    let shown = nested.run().success().stdout();
    assert!(!shown.contains("variable-competes") && !shown.contains("run-unknown"), "{shown}");
}

#[test]
fn a_variable_that_makes_providers_refuse_subscriptions_is_unset() {
    Fixture::healthy().with("CLAUDE_CODE_ATTRIBUTION_HEADER", "1").assert_no_problems();
    let fixture = Fixture::healthy().with("CLAUDE_CODE_ATTRIBUTION_HEADER", "0");
    fixture.finds("warning", "variable-harms").has_fix("unset CLAUDE_CODE_ATTRIBUTION_HEADER").apply_fix();
}

#[test]
fn an_invalid_level_or_namespace_is_unset() {
    let fixture = Fixture::healthy().with("KAGE_PRIORITY", "urgent");
    fixture.finds("error", "variable-odd").mentions("`urgent`").has_fix("unset KAGE_PRIORITY").apply_fix();
    let fixture = Fixture::healthy().with("KAGE_NAMESPACE", "high");
    fixture.finds("error", "variable-odd").mentions("is a level").has_fix("unset KAGE_NAMESPACE").apply_fix();
}

#[test]
fn a_mistyped_namespace_is_unset() {
    let fixture = Fixture::healthy().with("KAGE_NAMESPACE", "backedn");
    fixture.config("[subscriptions.routing]\nbackend = [\"work\"]");
    fixture
        .finds("warning", "namespace-unknown")
        .mentions("did you mean `backend`?")
        .has_fix("unset KAGE_NAMESPACE")
        .apply_fix();
}

#[test]
fn the_id_of_a_run_that_has_ended_is_unset() {
    let fixture = Fixture::healthy().with("KAGE_RUN", "0123456789abcdef");
    fixture.finds("warning", "run-unknown").mentions("0123456789abcdef").apply_fix();
}

#[test]
fn a_wrong_line_in_the_projects_config_is_opened() {
    let fixture = Fixture::healthy();
    fixture.sandbox.write("work/.kage/config.toml", "namespace = \"backend\"\nretries = 3\n");
    fixture.finds("error", "project-invalid").mentions("retries").apply_fix_by_editing("d");
    let fixture = fixture.unprivileged();
    fixture.mode("work/.kage/config.toml", 0o000);
    let fix = format!("chmod u+rw {}", fixture.sandbox.path("work/.kage/config.toml").display());
    fixture.finds("error", "project-invalid").has_fix(&fix).apply_fix();
    fixture.config("[subscriptions.routing]\nbackend = [\"work\"]");
    fixture.sandbox.write("work/.kage/config.toml", "# of the team\nnamespace = \"backedn\"\n");
    fixture.finds("warning", "namespace-unknown").apply_fix_by_editing("s/.*/namespace = \"backend\"/");
}
