use std::fs;
use std::io::{Cursor, Write};

use pyrograph_checkpoint::{CheckpointError, PickleFile, SafetensorsFile, Weights, open_weights};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{assert_same_weights, folder, message, reference};

/// Views, strides, all element types, containers inside each other: the values are those that torch sees.
#[test]
fn both_formats_of_torch() {
    let expected = SafetensorsFile::open(&reference("checkpoint_values.safetensors")).unwrap();
    assert_eq!(expected.names().len(), 15);
    for file in ["checkpoint_zip.pt", "checkpoint_stream.pt"] {
        assert_same_weights(open_weights(&reference(file)).unwrap().as_ref(), &expected);
    }
}

/// Only the weights are tensors; the training program's own state beside them is not in the way.
#[test]
fn a_training_checkpoint() {
    let file = open_weights(&reference("checkpoint_lightning.ckpt")).unwrap();
    assert_eq!(file.names(), ["weight"]);
    assert_eq!(file.read("weight").unwrap().try_into_vec::<f32>().unwrap(), [1.0, 2.0]);
    assert_eq!(file.note("global_step"), Some("875000"));
}

/// A real file: the values are those of `torch.load`.
#[test]
fn a_text_embedding() {
    let file = open_weights(&reference("textual-inversion/learned_embeds.bin")).unwrap();
    assert_eq!(file.names(), ["<birb-style>"]);
    let values = file.read("<birb-style>").unwrap().try_into_vec::<f32>().unwrap();
    assert_eq!(values.len(), 768);
    assert_eq!(values[..3], EMBEDDING_HEAD);
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    assert!((sum - EMBEDDING_SUM).abs() < 1e-9, "{sum}");
}

/// `torch.load("learned_embeds.bin")["<birb-style>"][:3]`, and its sum in float64.
const EMBEDDING_HEAD: [f32; 3] = [0.170_091_51, 0.008_965_009, 0.076_737_29];
const EMBEDDING_SUM: f64 = 0.511_783_455_731_347_2;

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn open(bytes: &[u8]) -> Result<PickleFile, CheckpointError> {
    PickleFile::open(&folder(&[("hostile.ckpt", bytes)]).path().join("hostile.ckpt"))
}

#[track_caller]
fn refuses(bytes: &[u8], about: &[&str]) {
    message(open(bytes), &[&["hostile.ckpt"], about].concat());
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn number(number: i32) -> Vec<u8> {
    [b"J", &number.to_le_bytes()[..]].concat()
}

fn tuple(numbers: &[i32]) -> Vec<u8> {
    [b"(", &numbers.iter().flat_map(|&n| number(n)).collect::<Vec<_>>()[..], b"t"].concat()
}

/// `{"w": tensor}` over float32 storage `0` of this many elements.
fn tensor(length: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let storage =
        [b"(", &text("storage")[..], b"ctorch\nFloatStorage\n", &text("0"), &text("cpu"), &number(length), b"tQ"]
            .concat();
    let arguments = [&storage[..], &number(offset), &tuple(shape), &tuple(strides), b"\x89}"].concat();
    [b"\x80\x02}", &text("w")[..], b"ctorch._utils\n_rebuild_tensor_v2\n(", &arguments, b"tRs."].concat()
}

#[test]
fn a_tensor_made_by_hand() {
    let data: Vec<u8> = (0..6).flat_map(|value| (value as f32).to_le_bytes()).collect();
    let file = open(&zip(&[("x/data.pkl", &tensor(6, 1, &[2, 2], &[1, 2])), ("x/data/0", &data)])).unwrap();
    assert_eq!(file.read("w").unwrap().try_into_vec::<f32>().unwrap(), [1.0, 3.0, 2.0, 4.0]);
}

/// What such files usually try, alone, inside a dictionary of weights, in every way to name and call.
#[test]
fn pickles_that_would_run_code() {
    let folder = folder(&[]);
    let proof = folder.path().join("ran");
    let command = text(&format!("touch {}", proof.display()));
    let system = [b"cposix\nsystem\n", &command[..], b"\x85R"].concat();
    let by_stack = [&text("os")[..], &text("system"), b"\x93", &command, b"\x85R"].concat();
    let weights = [b"}", &text("state_dict")[..], b"}s", &text("x"), &system, b"s"].concat();
    let dropped = [&system[..], b"0}"].concat();
    for (body, name) in
        [(&system, "posix.system"), (&by_stack, "os.system"), (&weights, "posix.system"), (&dropped, "posix.system")]
    {
        let pickle = [b"\x80\x02", &body[..], b"."].concat();
        refuses(&zip(&[("x/data.pkl", &pickle)]), &[name, "nothing was run"]);
    }
    for name in [
        "builtins\neval",
        "builtins\nexec",
        "builtins\ngetattr",
        "torch\nload",
        "torch.hub\nload",
        "subprocess\nPopen",
        "runpy\nrun_path",
    ] {
        let pickle = [b"\x80\x02c", name.as_bytes(), b"\n)R."].concat();
        refuses(&zip(&[("x/data.pkl", &pickle)]), &[&name.replace('\n', ".")]);
    }
    assert!(!proof.exists());
}

#[test]
fn tensors_that_reach_outside_their_storage() {
    let archive = |pickle: &[u8], bytes: usize| zip(&[("x/data.pkl", pickle), ("x/data/0", &vec![0; bytes])]);
    let shape = ["does not fit", "storage of 4 elements"];
    refuses(&archive(&tensor(4, 0, &[5], &[1]), 16), &shape);
    refuses(&archive(&tensor(4, 1, &[4], &[1]), 16), &shape);
    refuses(&archive(&tensor(4, 0, &[2], &[4]), 16), &shape);
    refuses(&archive(&tensor(4, 0, &[1_000_000, 1_000_000], &[0, 0]), 16), &shape);
    refuses(&archive(&tensor(4, 0, &[2, 2], &[1]), 16), &shape);
    refuses(&archive(&tensor(4, 0, &[i32::MAX; 4], &[i32::MAX; 4]), 16), &shape);
    refuses(&archive(&tensor(4, -1, &[1], &[1]), 16), &["-1 as a size"]);
    refuses(&archive(&tensor(i32::MAX, 0, &[i32::MAX], &[1]), 16), &["`w`", "16 bytes"]);
    refuses(&zip(&[("x/data.pkl", &tensor(4, 0, &[4], &[1]))]), &["`w`", "storage `0`", "lacks"]);
}

#[test]
fn archives_that_are_damaged() {
    let good = fs::read(reference("checkpoint_zip.pt")).unwrap();
    refuses(b"PK\x03\x04", &["zip archive"]);
    refuses(&good[..good.len() - 30], &["zip archive"]);
    refuses(&zip(&[("x/readme", b"hello")]), &["data.pkl"]);
    refuses(&zip(&[("x/data.pkl", b"")]), &["end"]);
    refuses(&zip(&[("x/data.pkl", b"\x80\x02}."), ("x/byteorder", b"big")]), &["little-endian"]);
    let data = [0_u8; 16];
    let mut flipped = zip(&[("x/data.pkl", &tensor(4, 0, &[4], &[1])), ("x/data/0", &data)]);
    let at = flipped.windows(16).position(|window| window == data).unwrap();
    flipped[at] = 1;
    message(open(&flipped).unwrap().read("w"), &["hostile.ckpt", "`w`", "checksum"]);
}

#[test]
fn streams_that_are_damaged() {
    let good = fs::read(reference("checkpoint_stream.pt")).unwrap();
    assert!(open(&good).is_ok());
    for cut in [good.len() - 1, good.len() / 2, 40, 20, 3] {
        refuses(&good[..cut], &[]);
    }
    refuses(b"\x80\x02}.", &["torch.save"]);
    refuses(b"\x80\x02", &[]);
    let mut endless = good.clone();
    let storage = endless.windows(8).rposition(|window| window == 1_u64.to_le_bytes()).unwrap();
    endless[storage..storage + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    refuses(&endless, &["truncated"]);
}

/// A pickle may be cut anywhere or have any byte changed: that is an error or another file, never a panic.
#[test]
fn every_cut_and_many_changes() {
    let pickle = tensor(4, 0, &[2, 2], &[2, 1]);
    for length in 0..pickle.len() {
        refuses(&zip(&[("x/data.pkl", &pickle[..length]), ("x/data/0", &[0; 16])]), &[]);
    }
    for position in 0..pickle.len() {
        for value in [0, 1, b'.', b'(', b't', b'R', b'Q', b'b', b's', b'0', 0x7f, 0xff] {
            let mut changed = pickle.clone();
            changed[position] = value;
            if let Ok(file) = open(&zip(&[("x/data.pkl", &changed), ("x/data/0", &[0; 16])])) {
                file.names().into_iter().for_each(|name| drop(file.read(name)));
            }
        }
    }
}

#[test]
fn values_without_end() {
    let deep = [&b"\x80\x02"[..], &b"]".repeat(1_000_000), &b"a".repeat(999_999), b"."].concat();
    refuses(&zip(&[("x/data.pkl", &deep)]), &["without end"]);
    let itself = b"\x80\x02]q\x00(h\x00h\x00e.";
    refuses(&zip(&[("x/data.pkl", itself)]), &["without end"]);
    let many = [&b"\x80\x02"[..], &b"N".repeat(5_000_000), b"."].concat();
    refuses(&zip(&[("x/data.pkl", &many)]), &["values"]);
    let name = [b"\x80\x02}", &text(&"n".repeat(5000))[..], b"]s."].concat();
    refuses(&zip(&[("x/data.pkl", &name)]), &["a name of 5000 characters"]);
    let long_text = [b"\x80\x02X", &u32::MAX.to_le_bytes()[..], b"abc"].concat();
    refuses(&zip(&[("x/data.pkl", &long_text)]), &["4294967295"]);
    let operations = [&b"\x80\x02"[..], b"t"];
    refuses(&zip(&[("x/data.pkl", &operations.concat())]), &["broken pickle"]);
}

#[test]
fn the_contents_decide_not_the_name() {
    let good = fs::read(reference("checkpoint_zip.pt")).unwrap();
    let folder = folder(&[
        ("a.safetensors", &good),
        ("b.ckpt", &crate::safetensors_of(&[("w", &[1], &[1.0])])),
        ("c.ckpt", b"not a zip at all"),
    ]);
    assert!(open_weights(&folder.path().join("a.safetensors")).unwrap().info("half").is_some());
    assert!(open_weights(&folder.path().join("b.ckpt")).unwrap().info("w").is_some());
    message(open_weights(&folder.path().join("c.ckpt")), &["c.ckpt", "torch.save"]);
}
