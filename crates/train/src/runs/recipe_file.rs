//! The TOML file of a recipe, and the keys that a command line changes.

use std::path::Path;

use toml::{Table, Value};

use crate::TrainError;

/// Reads a TOML file and changes it by `overrides`, pairs of a dotted key and a value in TOML (or else a text):
/// `("trainer.steps", "500")`.
///
/// # Errors
/// [`TrainError::File`] when the file cannot be read or is no TOML, [`TrainError::NotATable`] when a key leads through a value
/// that is no table.
pub fn read_table(path: &Path, overrides: &[(String, String)]) -> Result<Table, TrainError> {
    let text = std::fs::read_to_string(path).map_err(TrainError::file(path))?;
    let mut table: Table = text.parse().map_err(TrainError::file(path))?;
    for (key, value) in overrides {
        insert(&mut table, key, value)?;
    }
    Ok(table)
}

fn insert(table: &mut Table, key: &str, value: &str) -> Result<(), TrainError> {
    let mut parts = key.split('.');
    let last = parts.next_back().unwrap_or(key);
    let table = parts.try_fold(table, |table, part| {
        let entry = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
        let not_a_table = || TrainError::NotATable { key: key.to_owned(), part: part.to_owned() };
        entry.as_table_mut().ok_or_else(not_a_table)
    })?;
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    table.insert(last.to_owned(), parsed.unwrap_or_else(|| Value::String(value.to_owned())));
    Ok(())
}
