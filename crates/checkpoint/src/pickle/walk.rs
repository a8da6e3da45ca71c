//! Collects the tensors and notes from the values of a pickle.

use std::collections::BTreeMap;

use super::PickleError;
use super::storages::Storages;
use super::tensor::TensorView;
use super::values::{Id, Pickle, Value};

/// Limit of nested dictionaries, more than any checkpoint has.
const DEEPEST: usize = 32;
/// Limit of the length of a tensor's name.
const LONGEST_NAME: usize = 1024;

/// Bytes of memory that a walk may use per byte of the pickle. The entry of a tensor has at least fifty bytes there.
const BUDGET_PER_BYTE: u64 = 16;
/// Bytes that a walk may use in any case.
const SMALLEST_BUDGET: u64 = 64 << 10;
/// Cost of visiting an element, for the time it takes.
const VISIT: u64 = 4;
/// Cost of an entry of the result, without its texts.
const ENTRY: u64 = 400;

/// The contents of a pickle: tensors under the keys that lead to them, and texts and numbers beside them.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) tensors: BTreeMap<String, TensorView>,
    pub(super) notes: BTreeMap<String, String>,
}

impl Contents {
    /// # Errors
    /// Returns an error if tensors do not fit their storages, or there is more than a pickle of that length can have.
    pub(super) fn of(pickle: &Pickle, storages: &Storages) -> Result<Self, PickleError> {
        let budget = pickle.length * BUDGET_PER_BYTE + SMALLEST_BUDGET;
        let contents = Self { tensors: BTreeMap::new(), notes: BTreeMap::new() };
        let mut walk = Walk { pickle, storages, contents, name: String::new(), budget };
        walk.note_root()?;
        walk.visit(state_dict(pickle), 0)?;
        Ok(walk.contents)
    }
}

/// The dictionary with the weights: the one under `state_dict`, else the outermost one.
fn state_dict(pickle: &Pickle) -> Id {
    let entries = pickle.entries(pickle.root);
    let nested = entries.filter(|(key, value)| key == "state_dict" && pickle.entries(*value).next().is_some());
    nested.last().map_or(pickle.root, |(_, value)| value)
}

/// A walk through the values. A shared value is visited every time it is used, up to the budget. Without a budget,
/// lists of two references to the next such list would take for ever.
struct Walk<'a> {
    pickle: &'a Pickle,
    storages: &'a Storages,
    contents: Contents,
    /// The keys on the way, joined by dots.
    name: String,
    budget: u64,
}

impl<'a> Walk<'a> {
    fn note_root(&mut self) -> Result<(), PickleError> {
        for (key, value) in self.pickle.entries(self.pickle.root) {
            let text = match self.pickle.value(value) {
                Value::Int(number) => number.get().to_string(),
                Value::Text(text) => {
                    let text = self.pickle.str(text);
                    self.spend(text.len() as u64)?;
                    text.to_owned()
                }
                _ => continue,
            };
            self.spend(ENTRY + key.len() as u64)?;
            self.contents.notes.insert(key.into_owned(), text);
        }
        Ok(())
    }

    fn visit(&mut self, id: Id, depth: usize) -> Result<(), PickleError> {
        if depth > DEEPEST {
            return Err(PickleError::Nested);
        }
        if let Value::Tensor { arguments, typed } = self.pickle.value(id) {
            return self.collect(arguments, typed);
        }
        for (key, value) in self.pickle.entries(id) {
            self.spend(VISIT)?;
            if matches!(self.pickle.value(value), Value::Tensor { .. }) || self.pickle.is_container(value) {
                let parent = self.enter(&key)?;
                self.visit(value, depth + 1)?;
                self.name.truncate(parent);
            }
        }
        Ok(())
    }

    /// Appends a key to the name, and returns the previous length of the name.
    fn enter(&mut self, key: &str) -> Result<usize, PickleError> {
        let parent = self.name.len();
        let length = parent + 1 + key.len();
        if length > LONGEST_NAME {
            let beginning = self.name.chars().chain(key.chars()).take(40).collect();
            return Err(PickleError::Name { length: length - usize::from(parent == 0), beginning });
        }
        if parent > 0 {
            self.name.push('.');
        }
        self.name.push_str(key);
        Ok(parent)
    }

    fn collect(&mut self, arguments: Id, typed: bool) -> Result<(), PickleError> {
        let (storage, layout) = self.pickle.tensor(arguments, typed)?;
        self.spend(ENTRY + (self.name.len() + storage.key.len()) as u64)?;
        let tensor = TensorView::new(&self.name, storage, layout, self.storages.find(storage.key)?)?;
        match self.contents.tensors.insert(self.name.clone(), tensor) {
            None => Ok(()),
            Some(_) => Err(PickleError::NameTwice { tensor: self.name.clone() }),
        }
    }

    fn spend(&mut self, bytes: u64) -> Result<(), PickleError> {
        self.budget = self.budget.checked_sub(bytes).ok_or(PickleError::TooManyValues)?;
        Ok(())
    }
}
