//! Applies a line of `state.log` to the state, independently of kage's own code.

use serde_json::{Value, json};

/// Applies the change and removes entries that became empty, as in a complete `state.json`.
pub fn apply(change: &Value, state: &mut Value) {
    for table in ["subscriptions", "namespaces"] {
        for (name, value) in change[table].as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(state[table].as_object_mut().and_then(|known| known.remove(name))),
                value => state[table][name] = value.clone(),
            }
        }
    }
    let credits = change["credits"].as_array().into_iter().flatten();
    for (known, credit) in state["subscriptions"].as_object_mut().into_iter().flatten().zip(credits) {
        match credit {
            credit if *credit == json!(0) => drop(known.1.as_object_mut().unwrap().remove("credit")),
            credit => known.1["credit"] = credit.clone(),
        }
    }
    for list in ["leases", "lost"] {
        let Some(splice) = change[list].as_object() else { continue };
        let at = |key: &str| usize::try_from(splice[key].as_u64().unwrap()).unwrap();
        let mut leases = state[list].as_array().cloned().unwrap_or_default();
        leases.splice(at("at")..at("at") + at("gone"), splice["new"].as_array().unwrap().iter().cloned());
        state[list] = leases.into();
    }
    for table in ["subscriptions", "namespaces", "leases", "lost"] {
        let is_empty = |value: &Value| *value == json!({}) || *value == json!([]);
        if state.get(table).is_some_and(is_empty) {
            state.as_object_mut().unwrap().remove(table);
        }
    }
}
