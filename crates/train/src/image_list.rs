//! Lists of images with captions.

use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value};
use unicode_normalization::UnicodeNormalization;

use crate::{Cause, ListError, TrainError};

/// Files that list the images of a folder, the first that is there: ours, or those of Hugging Face's `imagefolder`.
const LISTS: [&str; 3] = ["captions.jsonl", "metadata.jsonl", "metadata.csv"];
/// Keys of captions. The first that a line has counts, the others are labels.
const CAPTIONS: [&str; 2] = ["text", "caption"];

/// A list and its lines.
#[derive(Debug)]
pub(crate) struct ImageList {
    pub(crate) path: PathBuf,
    pub(crate) lines: Vec<Line>,
}

/// A line of a list.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) file: PathBuf,
    pub(crate) caption: String,
    /// The other values of the line.
    pub(crate) labels: Map<String, Value>,
}

impl ImageList {
    /// Reads the list of a folder. Whether the files exist is not looked at.
    pub(crate) fn read(folder: &Path) -> Result<Self, TrainError> {
        let path = LISTS.map(|name| folder.join(name)).into_iter().find(|list| list.is_file());
        let path = path.ok_or_else(|| TrainError::file(folder)(Cause::NoList { lists: &LISTS }))?;
        let failed = |(line, cause)| TrainError::List { list: path.clone(), line, cause };
        let bytes = std::fs::read(&path).map_err(TrainError::file(&path))?;
        let text = decode(bytes).map_err(failed)?;
        let rows = if path.extension().is_some_and(|end| end == "csv") { csv_rows(&text) } else { json_rows(&text) };
        let line = |(number, row)| {
            let mut line = Line::new(number, row).map_err(|cause| (number, cause))?;
            line.file = locate(folder, &line.file);
            Ok(line)
        };
        let lines = rows.and_then(|rows| rows.into_iter().map(line).collect::<Result<Vec<_>, _>>()).map_err(failed)?;
        if lines.is_empty() {
            return Err(TrainError::file(&path)(Cause::EmptyList));
        }
        Ok(Self { path, lines })
    }
}

impl Line {
    fn new(number: usize, mut fields: Map<String, Value>) -> Result<Self, ListError> {
        let file = text("file_name", fields.remove("file_name"))?.ok_or(ListError::Missing { key: "file_name" })?;
        let key = CAPTIONS.into_iter().find(|&key| fields.get(key).is_some_and(|value| !value.is_null()));
        let key = key.or_else(|| CAPTIONS.into_iter().find(|&key| fields.contains_key(key)));
        let key = key.ok_or(ListError::Missing { key: CAPTIONS[0] })?;
        let caption = text(key, fields.remove(key))?.unwrap_or_default();
        Ok(Self { number, file: file.into(), caption, labels: fields })
    }
}

/// A value that must be a text if there is one.
fn text(key: &'static str, value: Option<Value>) -> Result<Option<String>, ListError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(value) => Err(ListError::NoText { key, value }),
    }
}

/// A line's number and what stands in it, or what is wrong there.
type Row = (usize, Map<String, Value>);
type Wrong = (usize, ListError);

/// UTF-8 text without the byte order mark that editors on Windows put in front.
fn decode(bytes: Vec<u8>) -> Result<String, Wrong> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        (1 + valid.iter().filter(|&&byte| byte == b'\n').count(), ListError::Encoding)
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// One JSON object a line; lines may be empty.
fn json_rows(text: &str) -> Result<Vec<Row>, Wrong> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let row = |(index, line): (usize, &str)| {
        let row = serde_json::from_str(line).map_err(|error| (index + 1, ListError::Json(error)))?;
        Ok((index + 1, row))
    };
    lines.map(row).collect()
}

/// Columns named in the first line. Numbers are numbers, and empty cells null, except in the columns of file and caption.
fn csv_rows(text: &str) -> Result<Vec<Row>, Wrong> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| (1, ListError::Csv(error)))?.clone();
    if !header.iter().any(|name| name == "file_name") {
        return Err((1, ListError::Missing { key: "file_name" }));
    }
    let value = |key: &str, cell: &str| match cell.parse::<Number>() {
        _ if cell.is_empty() => Value::Null,
        Ok(number) if key != "file_name" && !CAPTIONS.contains(&key) => Value::Number(number),
        _ => Value::from(cell),
    };
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let line = |position: Option<&csv::Position>| position.map_or(1, |position| position.line() as usize);
        let record = record.map_err(|error| (line(error.position()), ListError::Csv(error)))?;
        let cells = header.iter().zip(&record).map(|(key, cell)| (key.to_owned(), value(key, cell)));
        Ok((line(record.position()), cells.collect()))
    };
    reader.records().map(row).collect()
}

/// The file of that name in the folder of the list, or an absolute path. Where it is not spelt as on the disk, the same name
/// with slashes counts, since lists written on Windows have backslashes, and with its letters composed or decomposed (NFC, NFD):
/// macOS and Linux differ in that.
fn locate(folder: &Path, name: &Path) -> PathBuf {
    let given = folder.join(name);
    if given.exists() {
        return given;
    }
    let slashed = name.to_string_lossy().replace('\\', "/");
    let spellings = [slashed.clone(), slashed.nfc().collect(), slashed.nfd().collect()];
    spellings.map(|name| folder.join(name)).into_iter().find(|file| file.exists()).unwrap_or(given)
}
