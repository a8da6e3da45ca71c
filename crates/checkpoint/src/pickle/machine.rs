use std::collections::HashMap;
use std::io::{self, BufRead, Read};

use super::globals;
use super::tensor::{Storage, TensorView};

/// Bytes of one text or number; checkpoints have names and configurations, no documents.
const LONGEST_TEXT: u64 = 16 << 20;

/// More values than a checkpoint has, also counting each as often as it is used.
pub(crate) const MOST_VALUES: usize = 8_000_000;

/// The place of a [`Value`] in its [`Pickle`].
pub(crate) type Id = usize;

/// What a pickle describes. Values lie in one row and refer to each other by their places, so that what Python shares is
/// shared here, and no pickle costs more memory than its own length calls for.
#[derive(Debug)]
pub(crate) struct Pickle {
    pub(crate) values: Vec<Value>,
    pub(crate) root: Id,
}

/// One Python value.
#[derive(Debug)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Str(String),
    Bytes,
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, by its name only.
    Global(String),
    Storage(Box<Storage>),
    Tensor(Box<TensorView>),
    /// The result of a call whose value no checkpoint reader needs.
    Opaque,
}

impl Pickle {
    /// Interprets one pickle.
    pub(crate) fn read(reader: &mut impl BufRead) -> Result<Self, String> {
        let mut machine = Machine::default();
        while let Some(operation) = machine.next(reader)? {
            machine.run(operation, reader)?;
            if machine.values.len() + machine.stack.len() > MOST_VALUES {
                return Err(format!("the pickle has more than {MOST_VALUES} values"));
            }
        }
        let root = machine.pop()?;
        Ok(Self { values: machine.values, root })
    }

    /// The elements of a container with their keys as texts; none for anything else.
    pub(crate) fn entries(&self, id: Id) -> Vec<(String, Id)> {
        match &self.values[id] {
            Value::Dict(entries) => entries.iter().filter_map(|&(key, value)| Some((self.key(key)?, value))).collect(),
            Value::Sequence(items) => {
                items.iter().enumerate().map(|(index, &item)| (index.to_string(), item)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn key(&self, id: Id) -> Option<String> {
        match &self.values[id] {
            Value::Str(text) | Value::Global(text) => Some(text.clone()),
            Value::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// The pickle's stack machine. Operations have the names of Python's `pickletools`.
#[derive(Default)]
pub(super) struct Machine {
    pub(super) values: Vec<Value>,
    pub(super) stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl Machine {
    /// The next operation, `None` for STOP.
    fn next(&mut self, reader: &mut impl BufRead) -> Result<Option<u8>, String> {
        let [operation] = read_array(reader)?;
        Ok((operation != b'.').then_some(operation))
    }

    fn run(&mut self, operation: u8, reader: &mut impl BufRead) -> Result<(), String> {
        match operation {
            0x80 => read_array::<1>(reader).map(drop),                // PROTO
            0x95 => read_array::<8>(reader).map(drop),                // FRAME
            b'N' => self.push(Value::None),                           // NONE
            0x88 | 0x89 => self.push(Value::Bool(operation == 0x88)), // NEWTRUE, NEWFALSE
            b'J' => self.push(Value::Int(i32::from_le_bytes(read_array(reader)?).into())), // BININT
            b'K' | b'M' => self.push_small_int(operation, reader),    // BININT1, BININT2
            0x8a | 0x8b => self.push_long(operation, reader),         // LONG1, LONG4
            b'G' => read_array::<8>(reader).and_then(|_| self.push(Value::Float)), // BINFLOAT
            b'X' | 0x8c | 0x8d | b'T' | b'U' => self.push_text(operation, reader), // BINUNICODE, SHORT_, 8; BINSTRING, SHORT_
            b'B' | b'C' | 0x8e | 0x96 => self.push_bytes(operation, reader),       // BINBYTES, SHORT_, 8; BYTEARRAY8
            b')' | b']' | 0x8f => self.push(Value::Sequence(Vec::new())),          // EMPTY_TUPLE, EMPTY_LIST, EMPTY_SET
            b'}' => self.push(Value::Dict(Vec::new())),                            // EMPTY_DICT
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            } // MARK
            b't' | b'l' | 0x91 => self.collect(),                                  // TUPLE, LIST, FROZENSET
            0x85..=0x87 => self.collect_last(usize::from(operation - 0x84)),       // TUPLE1, TUPLE2, TUPLE3
            b'd' => self.collect_dict(),                                           // DICT
            b'a' => self.extend(1),                                                // APPEND
            b'e' | 0x90 => {
                let count = self.since_mark()?;
                self.extend(count)
            } // APPENDS, ADDITEMS
            b's' => self.insert(2),                                                // SETITEM
            b'u' => {
                let count = self.since_mark()?;
                self.insert(count)
            } // SETITEMS
            b'0' => self.pop().map(drop),                                          // POP
            b'1' => {
                let count = self.since_mark()?;
                self.take(count).map(drop)
            } // POP_MARK
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            } // DUP
            b'q' | b'r' | 0x94 => self.memoize(operation, reader),                 // BINPUT, LONG_BINPUT, MEMOIZE
            b'h' | b'j' => self.recall(operation, reader),                         // BINGET, LONG_BINGET
            b'c' | 0x93 => self.push_global(operation, reader),                    // GLOBAL, STACK_GLOBAL
            b'Q' => self.push_storage(),                                           // BINPERSID
            b'R' | 0x81 => self.call(),                                            // REDUCE, NEWOBJ
            0x92 => {
                self.take(3)?;
                self.push(Value::Opaque)
            } // NEWOBJ_EX
            b'b' => self.pop().map(drop),                                          // BUILD: attributes are no weights
            _ => Err(format!("pickle operation {operation:#04x} does not occur in checkpoints")),
        }
    }

    pub(super) fn push(&mut self, value: Value) -> Result<(), String> {
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Result<Id, String> {
        self.take(1).map(|ids| ids[0])
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(|| EMPTY.to_owned())
    }

    /// The last `count` values, which must lie above the last mark.
    pub(super) fn take(&mut self, count: usize) -> Result<Vec<Id>, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(count).filter(|&start| start >= floor).ok_or(EMPTY)?;
        Ok(self.stack.split_off(start))
    }

    /// Removes the last mark and says how many values lie above it.
    fn since_mark(&mut self) -> Result<usize, String> {
        let mark = self.marks.pop().ok_or("broken pickle: no mark on its stack")?;
        self.stack.len().checked_sub(mark).ok_or_else(|| EMPTY.to_owned())
    }

    fn push_small_int(&mut self, operation: u8, reader: &mut impl BufRead) -> Result<(), String> {
        let number = if operation == b'K' {
            read_array::<1>(reader)?[0].into()
        } else {
            u16::from_le_bytes(read_array(reader)?)
        };
        self.push(Value::Int(number.into()))
    }

    /// Integers of more than 64 bits occur as random seeds, which no reader needs.
    fn push_long(&mut self, operation: u8, reader: &mut impl BufRead) -> Result<(), String> {
        let bytes = read_counted(reader, if operation == 0x8a { 1 } else { 4 })?;
        let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut number = [sign; 8];
        match number.get_mut(..bytes.len()) {
            Some(low) => low.copy_from_slice(&bytes),
            None => return self.push(Value::Opaque),
        }
        self.push(Value::Int(i64::from_le_bytes(number)))
    }

    fn push_text(&mut self, operation: u8, reader: &mut impl BufRead) -> Result<(), String> {
        let bytes = read_counted(
            reader,
            match operation {
                0x8c | b'U' => 1,
                0x8d => 8,
                _ => 4,
            },
        )?;
        self.push(Value::Str(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn push_bytes(&mut self, operation: u8, reader: &mut impl BufRead) -> Result<(), String> {
        read_counted(
            reader,
            match operation {
                b'C' => 1,
                b'B' => 4,
                _ => 8,
            },
        )?;
        self.push(Value::Bytes)
    }

    fn collect(&mut self) -> Result<(), String> {
        let count = self.since_mark()?;
        self.collect_last(count)
    }

    fn collect_last(&mut self, count: usize) -> Result<(), String> {
        let items = self.take(count)?;
        self.push(Value::Sequence(items))
    }

    fn collect_dict(&mut self) -> Result<(), String> {
        let count = self.since_mark()?;
        let entries = pairs(&self.take(count)?);
        self.push(Value::Dict(entries))
    }

    fn extend(&mut self, count: usize) -> Result<(), String> {
        let new = self.take(count)?;
        let list = self.top()?;
        match &mut self.values[list] {
            Value::Sequence(items) => items.extend(new),
            Value::Opaque => {}
            _ => return Err("broken pickle: appends to what is no list".to_owned()),
        }
        Ok(())
    }

    fn insert(&mut self, count: usize) -> Result<(), String> {
        let new = pairs(&self.take(count)?);
        let dict = self.top()?;
        match &mut self.values[dict] {
            Value::Dict(entries) => entries.extend(new),
            Value::Opaque => {}
            _ => return Err("broken pickle: sets items of what is no dictionary".to_owned()),
        }
        Ok(())
    }

    fn memoize(&mut self, operation: u8, reader: &mut impl BufRead) -> Result<(), String> {
        let key = if operation == 0x94 { self.memo.len() as u64 } else { read_memo_key(operation == b'q', reader)? };
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, operation: u8, reader: &mut impl BufRead) -> Result<(), String> {
        let key = read_memo_key(operation == b'h', reader)?;
        let value = self.memo.get(&key).ok_or("broken pickle: recalls what it never stored")?;
        self.stack.push(*value);
        Ok(())
    }

    fn push_global(&mut self, operation: u8, reader: &mut impl BufRead) -> Result<(), String> {
        let (module, name) = if operation == b'c' {
            (read_line(reader)?, read_line(reader)?)
        } else {
            let names = self.take(2)?;
            (self.text(names[0])?.to_owned(), self.text(names[1])?.to_owned())
        };
        if !globals::is_known(&module, &name) {
            return Err(format!("the pickle asks for `{module}.{name}`, which no checkpoint needs; nothing was run"));
        }
        self.push(Value::Global(format!("{module}.{name}")))
    }
}

const EMPTY: &str = "broken pickle: its stack is empty";

fn pairs(ids: &[Id]) -> Vec<(Id, Id)> {
    ids.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

fn read_array<const N: usize>(reader: &mut impl Read) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(cut_off)?;
    Ok(bytes)
}

/// Bytes behind their little-endian count. Memory grows with what arrives, not with what the count promises.
fn read_counted(reader: &mut impl BufRead, count_bytes: usize) -> Result<Vec<u8>, String> {
    let mut count = [0; 8];
    reader.read_exact(&mut count[..count_bytes]).map_err(cut_off)?;
    let count = u64::from_le_bytes(count);
    let mut bytes = Vec::new();
    reader.take(count.min(LONGEST_TEXT)).read_to_end(&mut bytes).map_err(cut_off)?;
    if bytes.len() as u64 == count {
        Ok(bytes)
    } else {
        Err(format!("the pickle ends or is too long inside a text of {count} bytes"))
    }
}

fn read_line(reader: &mut impl BufRead) -> Result<String, String> {
    let mut line = Vec::new();
    reader.take(1024).read_until(b'\n', &mut line).map_err(cut_off)?;
    let line = line.strip_suffix(b"\n").ok_or("broken pickle: a name without end")?;
    Ok(String::from_utf8_lossy(line).into_owned())
}

fn read_memo_key(short: bool, reader: &mut impl Read) -> Result<u64, String> {
    Ok(if short { read_array::<1>(reader)?[0].into() } else { u32::from_le_bytes(read_array(reader)?).into() })
}

fn cut_off(error: io::Error) -> String {
    format!("the pickle cannot be read to its end: {error}")
}
