//! The recipe that a checkpoint was made with, and the one that it is resumed with.

use std::collections::BTreeSet;
use std::path::Path;

use pyrograph_checkpoint::Output;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Recipe;
use crate::{Cause, TrainError};

const FILE: &str = "configuration.json";

/// Keys that change no step: how far, where to, and with how much memory a run goes.
const FREE: [&[&str]; 4] = [&["output"], &["samples"], &["trainer", "steps"], &["trainer", "gradient_checkpointing"]];

impl<C: DeserializeOwned + Serialize> Recipe<C> {
    /// Compares with the recipe that a checkpoint was made with; a key at its default is the same as one that is absent.
    /// `output`, `samples`, `trainer.steps` and `trainer.gradient_checkpointing` may differ.
    ///
    /// # Errors
    /// [`TrainError::Changed`] with the first key that differs, [`TrainError::Checkpoint`] when the checkpoint cannot be read.
    pub fn check_unchanged(&self, checkpoint: &Path) -> Result<(), TrainError> {
        let path = checkpoint.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(TrainError::checkpoint(&path))?;
        let before: Self = from_json(&text).map_err(TrainError::checkpoint(&path))?;
        first_change("", &before.fixed_part(), &self.fixed_part()).map_or(Ok(()), Err)
    }

    /// The keys that decide what a step does.
    fn fixed_part(&self) -> Value {
        without(&FREE, serde_json::from_str(&self.to_json()).expect("it was made from a recipe"))
    }
}

impl<C: Serialize> Recipe<C> {
    /// Writes the recipe to a checkpoint's folder.
    pub(super) fn write(&self, checkpoint: &Path) -> Result<(), TrainError> {
        Ok(Output::save(checkpoint.join(FILE), self.to_json())?)
    }

    fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a recipe is JSON")
    }
}

fn from_json<C: DeserializeOwned>(text: &str) -> Result<Recipe<C>, Cause> {
    let mut tables: Map<String, Value> = serde_json::from_str(text)?;
    tables.retain(|_, table| !table.is_null());
    let mut table = |name| tables.remove(name).unwrap_or_default();
    let (data, output, trainer) = (table("data"), table("output"), table("trainer"));
    Ok(Recipe {
        data: serde_json::from_value(data)?,
        output: serde_json::from_value(output)?,
        trainer: serde_json::from_value(trainer)?,
        task: C::deserialize(Value::Object(tables))?,
    })
}

/// A recipe without some of its keys.
fn without(keys: &[&[&str]], mut recipe: Value) -> Value {
    for key in keys {
        let (last, tables) = key.split_last().expect("a key has a name");
        let table = tables.iter().try_fold(&mut recipe, |table, name| table.get_mut(name));
        if let Some(table) = table.and_then(Value::as_object_mut) {
            table.remove(*last);
        }
    }
    recipe
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
        let fixed = |text| without(&FREE, serde_json::from_str(text).expect("JSON"));
        match first_change("", &fixed(BEFORE), &fixed(now))? {
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
