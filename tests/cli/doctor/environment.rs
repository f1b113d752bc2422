//! Faults of the environment and of the project.

use super::clinic::Clinic;

#[test]
fn a_variable_that_competes_is_unset() {
    for name in ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_BASE_URL"] {
        let clinic = Clinic::healthy().with(name, "invented");
        clinic.finds("warning", "variable-competes").saying(name).fixed_by(&format!("unset {name}")).mended();
    }
}

#[test]
fn inside_a_run_the_credential_of_the_run_is_no_fault() {
    let clinic = Clinic::healthy();
    let nested =
        clinic.sandbox.kage(["exec", "--", "sh", "-c", "kage doctor --json"]).env("SHELL", "/bin/bash");
    let told = nested.run().success().stdout();
    assert!(!told.contains("variable-competes") && !told.contains("run-unknown"), "{told}");
}

#[test]
fn a_variable_with_which_subscriptions_are_refused_is_unset() {
    Clinic::healthy().with("CLAUDE_CODE_ATTRIBUTION_HEADER", "1").is_well();
    let clinic = Clinic::healthy().with("CLAUDE_CODE_ATTRIBUTION_HEADER", "0");
    clinic.finds("warning", "variable-harms").fixed_by("unset CLAUDE_CODE_ATTRIBUTION_HEADER").mended();
}

#[test]
fn a_level_or_a_namespace_that_cannot_be_is_unset() {
    let clinic = Clinic::healthy().with("KAGE_PRIORITY", "urgent");
    clinic.finds("error", "variable-odd").saying("`urgent`").fixed_by("unset KAGE_PRIORITY").mended();
    let clinic = Clinic::healthy().with("KAGE_NAMESPACE", "high");
    clinic.finds("error", "variable-odd").saying("is a level").fixed_by("unset KAGE_NAMESPACE").mended();
}

#[test]
fn a_namespace_that_is_nearly_one_with_a_route_is_unset() {
    let clinic = Clinic::healthy().with("KAGE_NAMESPACE", "backedn");
    clinic.config("[subscriptions.routing]\nbackend = [\"work\"]");
    clinic
        .finds("warning", "namespace-unknown")
        .saying("did you mean `backend`?")
        .fixed_by("unset KAGE_NAMESPACE")
        .mended();
}

#[test]
fn the_mark_of_a_run_that_is_over_is_unset() {
    let clinic = Clinic::healthy().with("KAGE_RUN", "0123456789abcdef");
    clinic.finds("warning", "run-unknown").saying("0123456789abcdef").mended();
}

#[test]
fn a_project_that_says_too_much_is_opened_at_its_line() {
    let clinic = Clinic::healthy();
    clinic.sandbox.write("work/.kage/config.toml", "namespace = \"backend\"\nretries = 3\n");
    clinic.finds("error", "project-invalid").saying("retries").mended_by_editing("d");
    let clinic = clinic.of_somebody();
    clinic.mode("work/.kage/config.toml", 0o000);
    let fix = format!("chmod u+rw {}", clinic.sandbox.path("work/.kage/config.toml").display());
    clinic.finds("error", "project-invalid").fixed_by(&fix).mended();
    clinic.config("[subscriptions.routing]\nbackend = [\"work\"]");
    clinic.sandbox.write("work/.kage/config.toml", "# of the team\nnamespace = \"backedn\"\n");
    clinic.finds("warning", "namespace-unknown").mended_by_editing("s/.*/namespace = \"backend\"/");
}
