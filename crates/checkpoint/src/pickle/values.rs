//! The values that a pickle builds.

use std::borrow::Cow;

use super::PickleError;
use super::globals::Global;

/// The index of a [`Value`] in its [`Pickle`].
pub(crate) type Id = u32;

/// One Python value. Values without contents exist once, at the indices below.
///
/// Every byte of a pickle can create a value, so values are small: a text, a container or a number takes twelve bytes
/// here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(Int),
    Text(Text),
    Tuple(Items),
    List(Items),
    /// Alternating keys and values.
    Dict(Items),
    /// A dictionary made from this sequence of pairs.
    Pairs(Id),
    Global(Global, Text),
    /// The storage that this tuple describes: `("storage", class, key, device, elements)`.
    Storage(Id),
    /// The tensor that a function of PyTorch makes from these arguments; [`Global::TypedTensor`] if `typed`.
    Tensor {
        arguments: Id,
        typed: bool,
    },
    /// A value that is never needed.
    Opaque,
}

const _: () = assert!(size_of::<Value>() == 12 && size_of::<Link>() == 8, "the bound on memory counts on it");

pub(super) const NONE: Id = 0;
pub(super) const FALSE: Id = 1;
pub(super) const TRUE: Id = 2;
pub(super) const OPAQUE: Id = 3;
pub(super) const EMPTY_TUPLE: Id = 4;

/// An `i64` with an alignment of four bytes.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(4))]
pub(crate) struct Int(i64);

impl Int {
    pub(super) fn new(number: i64) -> Self {
        Self(number)
    }

    pub(crate) fn get(self) -> i64 {
        self.0
    }
}

/// A range of [`Pickle::texts`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    start: u32,
    end: u32,
}

/// The first and last link of a chain of elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items {
    first: u32,
    last: u32,
}

impl Items {
    pub(super) const EMPTY: Self = Self { first: u32::MAX, last: u32::MAX };
}

#[derive(Clone, Copy, Debug)]
struct Link {
    value: Id,
    /// The index of the next link.
    next: u32,
}

/// The values of a pickle in three vectors. Values that Python shares are shared here and never copied. Each byte of a
/// pickle adds at most one value and one link.
#[derive(Debug)]
pub(crate) struct Pickle {
    values: Vec<Value>,
    links: Vec<Link>,
    texts: String,
    pub(crate) root: Id,
    /// Bytes of the pickle.
    pub(crate) length: u64,
}

impl Default for Pickle {
    fn default() -> Self {
        let values =
            vec![Value::None, Value::Bool(false), Value::Bool(true), Value::Opaque, Value::Tuple(Items::EMPTY)];
        Self { values, links: Vec::new(), texts: String::new(), root: NONE, length: 0 }
    }
}

impl Pickle {
    pub(crate) fn value(&self, id: Id) -> Value {
        self.values[id as usize]
    }

    /// The indices of all storages.
    pub(crate) fn storages(&self) -> impl Iterator<Item = Id> {
        self.values.iter().filter_map(|value| if let Value::Storage(tuple) = value { Some(*tuple) } else { None })
    }

    /// Number of values and elements. A value counts again for every container that it is an element of.
    pub(super) fn size(&self) -> usize {
        self.values.len() + self.links.len()
    }

    pub(super) fn add(&mut self, value: Value) -> Id {
        self.values.push(value);
        (self.values.len() - 1) as Id
    }

    pub(super) fn add_text(&mut self, bytes: &[u8]) -> Text {
        let start = self.texts.len() as u32;
        self.texts.push_str(&String::from_utf8_lossy(bytes));
        Text { start, end: self.texts.len() as u32 }
    }

    pub(crate) fn str(&self, text: Text) -> &str {
        &self.texts[text.start as usize..text.end as usize]
    }

    /// The chain with these elements appended.
    pub(super) fn append(&mut self, items: Items, new: impl Iterator<Item = Id>) -> Items {
        let mut chain = items;
        for value in new {
            let place = self.links.len() as u32;
            self.links.push(Link { value, next: u32::MAX });
            match self.links.get_mut(chain.last as usize) {
                Some(last) => last.next = place,
                None => chain.first = place,
            }
            chain.last = place;
        }
        chain
    }

    pub(super) fn replace(&mut self, id: Id, value: Value) {
        self.values[id as usize] = value;
    }

    fn ids(&self, items: Items) -> Ids<'_> {
        Ids { links: &self.links, next: items.first }
    }

    /// The elements of a list or tuple; none for other values.
    pub(crate) fn items(&self, id: Id) -> Result<Ids<'_>, PickleError> {
        match self.value(id) {
            Value::Tuple(items) | Value::List(items) => Ok(self.ids(items)),
            _ => Err(PickleError::Expected("a list")),
        }
    }

    /// The first elements of a list or tuple; `None` if it has fewer.
    pub(crate) fn first<const N: usize>(&self, id: Id) -> Result<Option<[Id; N]>, PickleError> {
        let mut first = [NONE; N];
        let mut items = self.items(id)?;
        for place in &mut first {
            match items.next() {
                Some(id) => *place = id,
                None => return Ok(None),
            }
        }
        Ok(Some(first))
    }

    pub(crate) fn is_container(&self, id: Id) -> bool {
        matches!(self.value(id), Value::Tuple(_) | Value::List(_) | Value::Dict(_) | Value::Pairs(_))
    }

    pub(crate) fn text(&self, id: Id) -> Result<&str, PickleError> {
        match self.value(id) {
            Value::Text(text) => Ok(self.str(text)),
            _ => Err(PickleError::Expected("a text")),
        }
    }

    /// The elements of a container with their keys; in lists the keys are the indices. Other values have no elements.
    pub(crate) fn entries(&self, id: Id) -> Entries<'_> {
        let (form, items) = match self.value(id) {
            Value::Tuple(items) | Value::List(items) => (Form::List, items),
            Value::Dict(items) => (Form::Dict, items),
            Value::Pairs(list) => match self.value(list) {
                Value::Tuple(items) | Value::List(items) => (Form::Pairs, items),
                _ => (Form::Pairs, Items::EMPTY),
            },
            _ => (Form::List, Items::EMPTY),
        };
        Entries { pickle: self, form, ids: self.ids(items), index: 0 }
    }

    fn key(&self, id: Id) -> Option<Cow<'_, str>> {
        match self.value(id) {
            Value::Text(text) => Some(self.str(text).into()),
            Value::Int(number) => Some(number.get().to_string().into()),
            _ => None,
        }
    }
}

/// The elements of a chain.
pub(crate) struct Ids<'a> {
    links: &'a [Link],
    next: u32,
}

impl Iterator for Ids<'_> {
    type Item = Id;

    fn next(&mut self) -> Option<Id> {
        let link = self.links.get(self.next as usize)?;
        self.next = link.next;
        Some(link.value)
    }
}

#[derive(Clone, Copy)]
enum Form {
    List,
    Dict,
    Pairs,
}

/// The elements of a container with their keys. Keys that are neither texts nor numbers are left out.
pub(crate) struct Entries<'a> {
    pickle: &'a Pickle,
    form: Form,
    ids: Ids<'a>,
    index: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Cow<'a, str>, Id);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let id = self.ids.next()?;
            self.index += 1;
            let pair = match self.form {
                Form::List => return Some(((self.index - 1).to_string().into(), id)),
                Form::Dict => Some([id, self.ids.next()?]),
                Form::Pairs => self.pickle.first(id).ok().flatten(),
            };
            if let Some([key, value]) = pair
                && let Some(key) = self.pickle.key(key)
            {
                return Some((key, value));
            }
        }
    }
}
