//! The configuration that a checkpoint was made with, and that it is resumed with.

use std::collections::BTreeSet;
use std::path::Path;

use pyrograph_checkpoint::Output;
use serde::Serialize;
use serde_json::Value;

use super::RunConfig;
use crate::TrainError;

const FILE: &str = "configuration.json";

/// Keys that change no step: how far, where to, and with how much memory a run goes.
const FREE: [&[&str]; 4] = [&["output"], &["samples"], &["trainer", "steps"], &["trainer", "gradient_checkpointing"]];

impl<C: Serialize> RunConfig<C> {
    /// Compares with the configuration that a checkpoint was made with. `output`, `samples`, `trainer.steps` and
    /// `trainer.gradient_checkpointing` may differ.
    ///
    /// # Errors
    /// [`TrainError::Changed`] with the first key that differs, [`TrainError::Checkpoint`] when the checkpoint cannot be read.
    pub fn check_unchanged(&self, checkpoint: &Path) -> Result<(), TrainError> {
        let path = checkpoint.join(FILE);
        let failed = |problem: String| TrainError::checkpoint(&path, problem);
        let text = std::fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
        let before = fixed_part(&text).map_err(|error| failed(error.to_string()))?;
        let now = fixed_part(&self.to_json()).expect("it was made from a value");
        first_change("", &before, &now).map_or(Ok(()), Err)
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a configuration is JSON")
    }
}

/// Writes a configuration to a checkpoint's folder.
pub(super) fn write(checkpoint: &Path, configuration: &str) -> Result<(), TrainError> {
    Ok(Output::save(checkpoint.join(FILE), configuration)?)
}

/// A configuration without the keys that may change.
fn fixed_part(json: &str) -> serde_json::Result<Value> {
    let mut configuration: Value = serde_json::from_str(json)?;
    for key in FREE {
        let (last, tables) = key.split_last().expect("a key has a name");
        let table = tables.iter().try_fold(&mut configuration, |table, name| table.get_mut(name));
        if let Some(table) = table.and_then(Value::as_object_mut) {
            table.remove(*last);
        }
    }
    Ok(configuration)
}

fn first_change(key: &str, before: &Value, now: &Value) -> Option<TrainError> {
    if let (Value::Object(before), Value::Object(now)) = (before, now) {
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        return names.into_iter().find_map(|name| {
            let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            first_change(&inner, before.get(name).unwrap_or(&Value::Null), now.get(name).unwrap_or(&Value::Null))
        });
    }
    let changed = || TrainError::Changed { key: key.to_owned(), before: shown(before), now: shown(now) };
    (before != now).then(changed)
}

/// A value in one short line.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = if value.is_null() { "not set".to_owned() } else { value.to_string() };
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str =
        r#"{"trainer": {"steps": 5, "seed": 1}, "output": {"folder": "a"}, "model": {"layers": [8, 8]}}"#;

    fn changed(now: &str) -> Option<[String; 3]> {
        match first_change("", &fixed_part(BEFORE).expect("JSON"), &fixed_part(now).expect("JSON"))? {
            TrainError::Changed { key, before, now } => Some([key, before, now]),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_first_change_is_named() {
        let change = |from: &str, to: &str| changed(&BEFORE.replace(from, to));
        assert_eq!(changed(BEFORE), None);
        assert_eq!(change("\"steps\": 5", "\"steps\": 6"), None);
        assert_eq!(change("\"a\"", "\"b\""), None);
        let expected = |parts: [&str; 3]| Some(parts.map(str::to_owned));
        assert_eq!(change("[8, 8]", "[8, 9]"), expected(["model.layers", "[8,8]", "[8,9]"]));
        assert_eq!(change(", \"seed\": 1", ""), expected(["trainer.seed", "1", "not set"]));
        assert_eq!(change("\"layers\"", "\"depth\": 2, \"layers\""), expected(["model.depth", "not set", "2"]));
    }
}
