use std::fs;
use std::io::{self, Read, Seek, SeekFrom};

use pyrograph_checkpoint::{ElementType, SafetensorsFile, Weights, open_weights};

use crate::{folder, message, safetensors, safetensors_of};

#[track_caller]
fn refuses(header: &str, data: &[u8], about: &[&str]) {
    let about = [&["hostile.safetensors"], about].concat();
    message(SafetensorsFile::from_bytes("hostile.safetensors", safetensors(header, data)), &about);
    let folder = folder(&[("hostile.safetensors", &safetensors(header, data))]);
    message(open_weights(&folder.path().join("hostile.safetensors")), &about);
}

#[test]
fn reads_names_types_shapes_notes_and_values() {
    let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2],"data_offsets":[4,8]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#;
    let file = SafetensorsFile::from_bytes("x", safetensors(header, &[0, 0, 0x80, 0x3f, 0, 0x3c, 0, 0xc0])).unwrap();
    assert_eq!(file.names(), ["a", "b"]);
    assert_eq!(file.note("format"), Some("pt"));
    let info = file.info("b").unwrap();
    assert_eq!((info.dtype, info.shape), (ElementType::F16, vec![2]));
    assert_eq!(file.read("a").unwrap().try_into_vec::<f32>().unwrap(), [1.0]);
    assert_eq!(file.read("b").unwrap().iter::<f32>().collect::<Vec<_>>(), [1.0, -2.0]);
    message(file.read("c"), &["`c`", "missing"]);
}

#[test]
fn tensors_are_read_when_asked_for_and_a_file_cut_meanwhile_is_an_error() {
    let folder = folder(&[("w.safetensors", &safetensors_of(&[("a", &[1], &[1.0]), ("b", &[1], &[2.0])]))]);
    let path = folder.path().join("w.safetensors");
    let file = SafetensorsFile::open(&path).unwrap();
    let length = fs::metadata(&path).unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(length - 2).unwrap();
    assert_eq!(file.read("a").unwrap().try_into_vec::<f32>().unwrap(), [1.0]);
    message(file.read("b"), &["w.safetensors", "`b`", "cannot be read"]);
}

#[test]
fn tiny_and_absent_files() {
    message(SafetensorsFile::from_bytes("tiny", b"{}".to_vec()), &["tiny", "2 bytes"]);
    let folder = folder(&[]);
    message(open_weights(&folder.path().join("absent.safetensors")), &["absent.safetensors"]);
}

/// No memory is allocated, because the lengths are compared with the file first.
#[test]
fn headers_longer_than_the_file_or_the_format_allows() {
    for length in [100, 99_999_999, 1 << 40, u64::MAX] {
        let bytes = [&length.to_le_bytes()[..], b"{}                "].concat();
        message(SafetensorsFile::from_bytes("long", bytes), &["long", &length.to_string(), "header"]);
    }
}

#[test]
fn headers_that_are_no_header() {
    refuses("{", b"", &["header"]);
    message(SafetensorsFile::from_bytes("list", safetensors("[]", b"")), &["list", "tensors by name"]);
    refuses(r#"{"a":3}"#, b"", &["header"]);
    refuses(r#"{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}"#, &[0; 4], &["F33"]);
    refuses(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, &[0; 4], &["header"]);
    refuses(&"[".repeat(100_000), b"", &["header"]);
    refuses(&r#"{"a":"#.repeat(100_000), b"", &["header"]);
    refuses("\u{0}\u{0}", b"", &["header"]);
}

#[test]
fn offsets_that_overlap_leave_holes_or_leave_the_file() {
    let two = |a: &str, b: &str| {
        format!(
            r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":{a}}},"b":{{"dtype":"F32","shape":[1],"data_offsets":{b}}}}}"#
        )
    };
    refuses(&two("[0,4]", "[0,4]"), &[0; 4], &["`b`", "should begin at 4"]);
    refuses(&two("[0,4]", "[2,6]"), &[0; 6], &["`b`", "2..6"]);
    refuses(&two("[0,4]", "[8,12]"), &[0; 12], &["`b`", "should begin at 4"]);
    refuses(&two("[0,4]", "[8,4]"), &[0; 12], &["`b`"]);
    refuses(&two("[0,4]", "[4,8]"), &[0; 7], &["truncated"]);
    refuses(&two("[0,4]", "[4,8]"), &[0; 9], &["9 bytes", "lists 8"]);
    refuses(&two("[0,4]", "[4,18446744073709551615]"), &[0; 8], &["`b`"]);
}

#[test]
fn shapes_and_types_that_disagree_with_the_bytes() {
    let one =
        |dtype: &str, shape: &str| format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,8]}}}}"#);
    refuses(&one("F32", "[3]"), &[0; 8], &["`a`", "[3]"]);
    refuses(&one("F16", "[2]"), &[0; 8], &["`a`", "F16"]);
    refuses(&one("F32", "[4294967296,4294967296]"), &[0; 8], &["`a`"]);
    refuses(&one("F32", "[9223372036854775808,2]"), &[0; 8], &["`a`"]);
}

#[test]
fn keys_that_stand_twice() {
    let twice = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    refuses(twice, &[0; 4], &["`a`", "twice"]);
    refuses(r#"{"__metadata__":{},"__metadata__":{}}"#, b"", &["`__metadata__`", "twice"]);
    refuses(r#"{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}"#, &[0; 4], &["header", "shape"]);
}

#[test]
fn float8_is_read_as_float16() {
    let header = r#"{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"F8_E5M2","shape":[2],"data_offsets":[2,4]}}"#;
    let file = SafetensorsFile::from_bytes("fp8", safetensors(header, &[0x38, 0xfe, 0x3c, 0xc0])).unwrap();
    assert_eq!(file.info("a").unwrap().dtype, ElementType::F8E4M3);
    assert_eq!(file.read("a").unwrap().iter::<f32>().collect::<Vec<_>>(), [1.0, -448.0]);
    assert_eq!(file.read("b").unwrap().iter::<f32>().collect::<Vec<_>>(), [1.0, -2.0]);
}

#[test]
fn element_types_without_a_counterpart_are_listed_but_not_read() {
    let header = r#"{"a":{"dtype":"F8_E8M0","shape":[2],"data_offsets":[0,2]}}"#;
    let file = SafetensorsFile::from_bytes("mx", safetensors(header, &[0; 2])).unwrap();
    assert_eq!(file.info("a").unwrap().shape, [2]);
    message(file.read("a"), &["mx", "`a`", "F8_E8M0", "float16"]);
}

/// A file of zeros after its header, of any length.
struct Sparse {
    header: Vec<u8>,
    length: u64,
    position: u64,
}

impl Read for Sparse {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = (self.length - self.position).min(bytes.len() as u64) as usize;
        for byte in &mut bytes[..count] {
            *byte = self.header.get(self.position as usize).copied().unwrap_or((self.position % 251) as u8);
            self.position += 1;
        }
        Ok(count)
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(position) => position,
            SeekFrom::Current(offset) => self.position.strict_add_signed(offset),
            SeekFrom::End(offset) => self.length.strict_add_signed(offset),
        };
        Ok(self.position)
    }
}

/// Offsets above 4 GiB are exact, even on a platform with 32-bit addresses.
#[test]
fn tensors_behind_four_gibibytes() {
    let start = 6 << 30;
    let header = format!(
        r#"{{"large":{{"dtype":"U8","shape":[{start}],"data_offsets":[0,{start}]}},"small":{{"dtype":"U8","shape":[4],"data_offsets":[{start},{}]}}}}"#,
        start + 4
    );
    let header = safetensors(&header, b"");
    let length = header.len() as u64 + start + 4;
    let first = header.len() as u64 + start;
    let file = SafetensorsFile::from_reader("sparse", Sparse { header: header.clone(), length, position: 0 }).unwrap();
    let expected: Vec<u8> = (first..first + 4).map(|position| (position % 251) as u8).collect();
    assert_eq!(file.read("small").unwrap().as_bytes(), expected);
    let short = Sparse { header, length: length - (4 << 30), position: 0 };
    message(SafetensorsFile::from_reader("sparse", short), &["sparse", "truncated"]);
}
