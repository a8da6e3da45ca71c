//! Reading of configurations. No key is ignored silently.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::keys::{Effect, is_scheduler_key, known_keys};
use crate::{CheckpointError, Note};

/// Reads the configuration of a network as its `class` in diffusers or transformers does.
///
/// `T` reads the keys that it has fields for. Other known keys are skipped if their value does not change what the
/// class computes. An unknown key becomes a note. Keys listed in `_use_default_values` count as absent, as in
/// diffusers' `ConfigMixin.extract_init_dict`.
///
/// # Errors
/// Returns an error if a key of `T` has a value of the wrong type, or when another known key has a value that asks for
/// something that is not implemented.
pub fn read_config<T: DeserializeOwned>(
    file: &str,
    class: &str,
    config: &Value,
) -> Result<(T, Vec<Note>), CheckpointError> {
    let config = without_defaults(config);
    let mut unread = Vec::new();
    let mut note_unread = |path: serde_ignored::Path<'_>| unread.push(path.to_string());
    let read = serde_path_to_error::deserialize(serde_ignored::Deserializer::new(&config, &mut note_unread));
    let read = read.map_err(|error| CheckpointError::format(file, error))?;
    let value = |path: &str| path.split('.').fold(&config, |value, key| &value[key]);
    let notes = unread.into_iter().map(|path| judge(file, class, &path, value(&path)));
    let notes: Result<Vec<_>, _> = notes.collect();
    Ok((read, notes?.into_iter().flatten().collect()))
}

/// The keys of a `scheduler_config.json` that `class` knows, with a note for each key that no scheduler knows. Keys of
/// other schedulers are left out: they take effect only when another class is chosen.
///
/// # Errors
/// Returns an error if a key that the class knows has a value that asks for something that is not implemented.
pub fn scheduler_config(file: &str, class: &str, config: &Value) -> Result<(Value, Vec<Note>), CheckpointError> {
    let (mut known, mut notes) = (Map::new(), Vec::new());
    for (key, value) in without_defaults(config).as_object().into_iter().flatten() {
        if key.starts_with('_') || known_keys(class).any(|(known, _)| known == key) {
            judge(file, class, key, value)?;
            known.insert(key.clone(), value.clone());
        } else if !is_scheduler_key(key) {
            notes.extend(judge(file, class, key, value)?);
        }
    }
    Ok((Value::Object(known), notes))
}

fn without_defaults(config: &Value) -> Value {
    let mut config = config.clone();
    let defaults = config["_use_default_values"].as_array().cloned().unwrap_or_default();
    if let Some(keys) = config.as_object_mut() {
        keys.retain(|key, _| !defaults.iter().any(|default| default == key));
    }
    config
}

/// The note for a key, if the user should know about it. Keys of tables in tables have dots.
fn judge(file: &str, class: &str, path: &str, value: &Value) -> Result<Option<Note>, CheckpointError> {
    let key = path.rsplit('.').next().unwrap_or(path);
    if value.is_null() || key.starts_with('_') {
        return Ok(None);
    }
    match known_keys(class).find(|(known, _)| *known == key) {
        None => Ok(Some(Note::ignored_key(file, path, value))),
        Some((_, Effect::NoneIf(neutral))) if !neutral.iter().any(|neutral| is(value, neutral)) => {
            Err(CheckpointError::Setting {
                file: file.to_owned(),
                key: path.to_owned(),
                value: value.to_string(),
                supported: neutral.join(" or "),
            })
        }
        Some(_) => Ok(None),
    }
}

/// Whether a value, or every element of a list, equals the JSON text `json`. `1` and `1.0` are equal.
fn is(value: &Value, json: &str) -> bool {
    match (value, serde_json::from_str(json).unwrap_or_default()) {
        (Value::Array(values), _) => values.iter().all(|value| is(value, json)),
        (Value::Number(number), Value::Number(neutral)) => number.as_f64() == neutral.as_f64(),
        (value, neutral) => *value == neutral,
    }
}
