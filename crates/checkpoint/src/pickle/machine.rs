//! The stack machine of pickles. Operations have the names of Python's `pickletools`.

use std::collections::HashMap;
use std::io::BufRead;

use super::PickleError;
use super::globals::Global;
use super::input::Input;
use super::values::{EMPTY_TUPLE, FALSE, Id, Int, Items, NONE, OPAQUE, Pickle, TRUE, Text, Value};

/// Limit of values and elements, more than any checkpoint has.
const MOST_VALUES: usize = 8_000_000;

impl Pickle {
    /// Interprets one pickle.
    pub(crate) fn read(reader: &mut impl BufRead) -> Result<Self, PickleError> {
        let mut machine = Machine::default();
        let mut input = Input::new(reader);
        loop {
            let [operation] = input.array()?;
            if operation == b'.' {
                break; // STOP
            }
            machine.run(operation, &mut input)?;
            if machine.pickle.size() + machine.stack.len() > MOST_VALUES {
                return Err(PickleError::TooManyValues);
            }
        }
        let [root] = machine.take()?;
        let mut pickle = machine.pickle;
        (pickle.root, pickle.length) = (root, input.length);
        Ok(pickle)
    }
}

#[derive(Default)]
pub(super) struct Machine {
    pub(super) pickle: Pickle,
    stack: Vec<Id>,
    marks: Vec<u32>,
    memo: HashMap<u32, Id>,
}

impl Machine {
    fn run(&mut self, operation: u8, input: &mut Input<'_, impl BufRead>) -> Result<(), PickleError> {
        match operation {
            b')' => self.push(EMPTY_TUPLE),                                            // EMPTY_TUPLE
            b']' | 0x8f => self.push_new(Value::List(Items::EMPTY)),                   // EMPTY_LIST, EMPTY_SET
            b'}' => self.push_new(Value::Dict(Items::EMPTY)),                          // EMPTY_DICT
            b'(' => self.marks.push(self.stack.len() as u32),                          // MARK
            b't' => self.collect_marked(Value::Tuple)?,                                // TUPLE
            b'l' | 0x91 => self.collect_marked(Value::List)?,                          // LIST, FROZENSET
            b'd' => self.collect_marked(Value::Dict)?,                                 // DICT
            0x85..=0x87 => self.collect(usize::from(operation - 0x84), Value::Tuple)?, // TUPLE1, TUPLE2, TUPLE3
            b'a' => self.extend(1)?,                                                   // APPEND
            b'e' | 0x90 => self.since_mark().and_then(|count| self.extend(count))?,    // APPENDS, ADDITEMS
            b's' => self.insert(2)?,                                                   // SETITEM
            b'u' => self.since_mark().and_then(|count| self.insert(count))?,           // SETITEMS
            b'0' | b'b' => drop(self.take::<1>()?), // POP, BUILD: attributes are no weights
            b'1' => self.since_mark().and_then(|count| self.floor(count)).map(|start| self.stack.truncate(start))?, // POP_MARK
            b'2' => self.top().map(|top| self.push(top))?,         // DUP
            b'q' | b'r' | 0x94 => self.memoize(operation, input)?, // BINPUT, LONG_BINPUT, MEMOIZE
            b'h' | b'j' => self.recall(operation, input)?,         // BINGET, LONG_BINGET
            b'c' | 0x93 => self.push_global(operation, input)?,    // GLOBAL, STACK_GLOBAL
            b'Q' => self.push_storage()?,                          // BINPERSID
            b'R' | 0x81 => self.call()?,                           // REDUCE, NEWOBJ
            0x92 => self.take::<3>().map(|_| self.push(OPAQUE))?,  // NEWOBJ_EX
            _ => self.push_scalar(operation, input)?,
        }
        Ok(())
    }

    fn push_scalar(&mut self, operation: u8, input: &mut Input<'_, impl BufRead>) -> Result<(), PickleError> {
        match operation {
            0x80 => drop(input.array::<1>()?),                                 // PROTO
            0x95 => drop(input.array::<8>()?),                                 // FRAME
            b'N' => self.push(NONE),                                           // NONE
            0x88 => self.push(TRUE),                                           // NEWTRUE
            0x89 => self.push(FALSE),                                          // NEWFALSE
            b'K' => self.push_int(input.array::<1>()?[0].into()),              // BININT1
            b'M' => self.push_int(u16::from_le_bytes(input.array()?).into()),  // BININT2
            b'J' => self.push_int(i32::from_le_bytes(input.array()?).into()),  // BININT
            0x8a => self.push_long(input.counted(1)?),                         // LONG1
            0x8b => self.push_long(input.counted(4)?),                         // LONG4
            b'G' => input.array::<8>().map(|_| self.push(OPAQUE))?,            // BINFLOAT
            b'U' | 0x8c => self.push_text(input.counted(1)?),                  // SHORT_BINSTRING, SHORT_BINUNICODE
            b'T' | b'X' => self.push_text(input.counted(4)?),                  // BINSTRING, BINUNICODE
            0x8d => self.push_text(input.counted(8)?),                         // BINUNICODE8
            b'C' => input.skip_counted(1).map(|()| self.push(OPAQUE))?,        // SHORT_BINBYTES
            b'B' => input.skip_counted(4).map(|()| self.push(OPAQUE))?,        // BINBYTES
            0x8e | 0x96 => input.skip_counted(8).map(|()| self.push(OPAQUE))?, // BINBYTES8, BYTEARRAY8
            _ => return Err(PickleError::Operation(operation)),
        }
        Ok(())
    }

    pub(super) fn push(&mut self, id: Id) {
        self.stack.push(id);
    }

    pub(super) fn push_new(&mut self, value: Value) {
        let id = self.pickle.add(value);
        self.push(id);
    }

    fn push_int(&mut self, number: i64) {
        self.push_new(Value::Int(Int::new(number)));
    }

    /// Integers of more than 64 bits occur as random seeds, which are never needed.
    fn push_long(&mut self, bytes: &[u8]) {
        let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut number = [sign; 8];
        match number.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                self.push_int(i64::from_le_bytes(number));
            }
            None => self.push(OPAQUE),
        }
    }

    fn push_text(&mut self, bytes: &[u8]) {
        let text = self.pickle.add_text(bytes);
        self.push_new(Value::Text(text));
    }

    fn push_global(&mut self, operation: u8, input: &mut Input<'_, impl BufRead>) -> Result<(), PickleError> {
        let [module, name] = if operation == b'c' {
            let module = self.pickle.add_text(input.line()?);
            [module, self.pickle.add_text(input.line()?)]
        } else {
            let [module, name] = self.take()?.map(|id| self.pickle.value(id));
            let (Value::Text(module), Value::Text(name)) = (module, name) else {
                return Err(PickleError::Expected("a text"));
            };
            [module, name]
        };
        match Global::find(self.pickle.str(module), self.pickle.str(name)) {
            Some(global) => self.push_new(Value::Global(global, name)),
            None => return Err(PickleError::Forbidden { module: self.short(module), name: self.short(name) }),
        }
        Ok(())
    }

    /// A text of any length, shortened for an error message.
    fn short(&self, text: Text) -> String {
        self.pickle.str(text).chars().take(80).collect()
    }

    fn top(&self) -> Result<Id, PickleError> {
        self.stack.last().copied().ok_or(PickleError::EmptyStack)
    }

    /// The start of the last `count` values, which must be above the last mark.
    fn floor(&self, count: usize) -> Result<usize, PickleError> {
        let mark = self.marks.last().map_or(0, |&mark| mark as usize);
        self.stack.len().checked_sub(count).filter(|&start| start >= mark).ok_or(PickleError::EmptyStack)
    }

    /// Removes the last values.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[Id; N], PickleError> {
        let start = self.floor(N)?;
        let mut taken = [NONE; N];
        taken.copy_from_slice(&self.stack[start..]);
        self.stack.truncate(start);
        Ok(taken)
    }

    /// Removes the last mark and returns the number of values above it.
    fn since_mark(&mut self) -> Result<usize, PickleError> {
        let mark = self.marks.pop().ok_or(PickleError::Expected("a mark on its stack"))?;
        self.stack.len().checked_sub(mark as usize).ok_or(PickleError::EmptyStack)
    }

    fn collect_marked(&mut self, container: fn(Items) -> Value) -> Result<(), PickleError> {
        let count = self.since_mark()?;
        self.collect(count, container)
    }

    fn collect(&mut self, count: usize, container: fn(Items) -> Value) -> Result<(), PickleError> {
        let start = self.floor(count)?;
        let items = self.pickle.append(Items::EMPTY, self.stack.drain(start..));
        self.push_new(container(items));
        Ok(())
    }

    /// Moves the last `count` values into the list below them.
    fn extend(&mut self, count: usize) -> Result<(), PickleError> {
        let start = self.floor(count)?;
        let list = self.below(start)?;
        match self.pickle.value(list) {
            Value::List(items) => {
                let items = self.pickle.append(items, self.stack.drain(start..));
                self.pickle.replace(list, Value::List(items));
            }
            Value::Opaque => self.stack.truncate(start),
            _ => return Err(PickleError::Expected("a list to append to")),
        }
        Ok(())
    }

    /// Moves the last `count` values into the dictionary below them, as keys and values.
    fn insert(&mut self, count: usize) -> Result<(), PickleError> {
        let start = self.floor(count)?;
        let dict = self.below(start)?;
        match self.pickle.value(dict) {
            Value::Dict(_) if !count.is_multiple_of(2) => return Err(PickleError::Expected("a value for each key")),
            Value::Dict(items) => {
                let items = self.pickle.append(items, self.stack.drain(start..));
                self.pickle.replace(dict, Value::Dict(items));
            }
            Value::Opaque => self.stack.truncate(start),
            _ => return Err(PickleError::Expected("a dictionary to set items of")),
        }
        Ok(())
    }

    fn below(&self, start: usize) -> Result<Id, PickleError> {
        start.checked_sub(1).map(|place| self.stack[place]).ok_or(PickleError::EmptyStack)
    }

    fn memoize(&mut self, operation: u8, input: &mut Input<'_, impl BufRead>) -> Result<(), PickleError> {
        let key = if operation == 0x94 { self.memo.len() as u32 } else { memo_key(operation == b'q', input)? };
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, operation: u8, input: &mut Input<'_, impl BufRead>) -> Result<(), PickleError> {
        let key = memo_key(operation == b'h', input)?;
        let id = self.memo.get(&key).copied().ok_or(PickleError::Memo(key))?;
        self.push(id);
        Ok(())
    }
}

fn memo_key(short: bool, input: &mut Input<'_, impl BufRead>) -> Result<u32, PickleError> {
    Ok(if short { input.array::<1>()?[0].into() } else { u32::from_le_bytes(input.array()?) })
}
