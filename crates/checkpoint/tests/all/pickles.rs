use std::fs;

use pyrograph_checkpoint::{CheckpointError, PickleError, SafetensorsFile, Weights, open_weights};

use crate::torch::{bare_tensor, open, pickle, tensor, text, zip, zip_with};
use crate::{assert_same_weights, folder, message, reference};

/// Views, strides, all element types, nested containers: the values are those that torch reads.
#[test]
fn both_formats_of_torch() {
    let expected = SafetensorsFile::open(&reference("checkpoint_values.safetensors")).unwrap();
    assert_eq!(expected.names().len(), 15);
    for file in ["checkpoint_zip.pt", "checkpoint_stream.pt"] {
        assert_same_weights(open_weights(&reference(file)).unwrap().as_ref(), &expected);
    }
}

/// Only the weights are tensors; the state of the training program beside them is ignored.
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

/// The reason why a file is refused.
#[track_caller]
fn refusal(bytes: &[u8]) -> PickleError {
    let error = open(bytes).expect_err("the file is broken");
    let message = error.to_string();
    assert!(message.starts_with("hostile.ckpt: ") && message.len() < 300 && !message.contains('\n'), "{message}");
    match error {
        CheckpointError::Pickle { cause, .. } => cause,
        other => panic!("{other:?}"),
    }
}

macro_rules! refuses {
    ($bytes:expr, $pattern:pat $(if $guard:expr)?) => {{
        let refusal = refusal($bytes);
        assert!(matches!(&refusal, $pattern $(if $guard)?), "{refusal:?}");
    }};
}

#[test]
fn a_tensor_made_by_hand() {
    let data: Vec<u8> = (0..6).flat_map(|value| (value as f32).to_le_bytes()).collect();
    let file = open(&zip(&tensor(6, 1, &[2, 2], &[1, 2]), &data)).unwrap();
    assert_eq!(file.read("w").unwrap().try_into_vec::<f32>().unwrap(), [1.0, 3.0, 2.0, 4.0]);
    let repeated = open(&zip(&tensor(6, 2, &[3, 1, 2], &[0, 7, 1]), &data)).unwrap();
    assert_eq!(repeated.read("w").unwrap().try_into_vec::<f32>().unwrap(), [2.0, 3.0, 2.0, 3.0, 2.0, 3.0]);
}

/// An archive from a zip library, which stores the sizes of larger entries in the fields of zip64.
#[test]
fn an_archive_by_a_zip_library() {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).large_file(true);
    let data: Vec<u8> = (0..4).flat_map(|value| (value as f32).to_le_bytes()).collect();
    for (name, bytes) in [("a/b/data.pkl", &tensor(4, 0, &[4], &[1])), ("a/b/data/0", &data)] {
        writer.start_file(name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.set_comment("a comment").unwrap();
    let mut bytes = writer.finish().unwrap().into_inner();
    let file = open(&bytes).unwrap();
    assert_eq!(file.read("w").unwrap().try_into_vec::<f32>().unwrap(), [0.0, 1.0, 2.0, 3.0]);
    let at = bytes.windows(16).position(|window| window == data).unwrap();
    bytes[at] = 1;
    message(open(&bytes).unwrap().read("w"), &["hostile.ckpt", "`w`", "checksum"]);
}

/// In the form of Python 2, and in the form of classes made from lists of pairs.
#[test]
fn dictionaries_of_pairs_and_shared_containers() {
    let one = bare_tensor(1, 0, &[1], &[1]);
    let data = 5_f32.to_le_bytes();
    let pairs = [b"ccollections\nOrderedDict\n](]", &text("a")[..], b"a", &one, b"ae\x85R"].concat();
    assert_eq!(open(&zip(&pickle(&[&pairs]), &data)).unwrap().names(), ["a"]);
    let shared = [b"}(", &text("x")[..], b"}", &text("a"), &one, b"sq\x00", &text("y"), b"h\x00u"].concat();
    let file = open(&zip(&pickle(&[&shared]), &data)).unwrap();
    assert_eq!(file.names(), ["x.a", "y.a"]);
    assert_eq!(file.read("y.a").unwrap().try_into_vec::<f32>().unwrap(), [5.0]);
}

#[test]
fn names_that_stand_twice() {
    let one = bare_tensor(1, 0, &[1], &[1]);
    let twice = [b"}(", &text("a")[..], &one, &text("a"), &one, b"u"].concat();
    refuses!(&zip(&pickle(&[&twice]), &[0; 4]), PickleError::NameTwice { tensor } if tensor == "a");
    let joined = [b"}(", &text("a.b")[..], &one, &text("a"), b"}", &text("b"), &one, b"su"].concat();
    refuses!(&zip(&pickle(&[&joined]), &[0; 4]), PickleError::NameTwice { tensor } if tensor == "a.b");
}

/// Typical attacks, alone and inside a dictionary of weights, with every way to name and to call a function.
#[test]
fn pickles_that_would_run_code() {
    let folder = folder(&[]);
    let proof = folder.path().join("ran");
    let command = text(&format!("touch {}", proof.display()));
    let system = [b"cposix\nsystem\n", &command[..], b"\x85R"].concat();
    let by_stack = [&text("os")[..], &text("system"), b"\x93", &command, b"\x85R"].concat();
    let weights = [b"}", &text("state_dict")[..], b"}s", &text("x"), &system, b"s"].concat();
    let dropped = [&system[..], b"0}"].concat();
    for (body, system) in [(&system, "posix"), (&by_stack, "os"), (&weights, "posix"), (&dropped, "posix")] {
        let file = zip(&pickle(&[body]), b"");
        refuses!(&file, PickleError::Forbidden { module, name } if (module.as_str(), name.as_str()) == (system, "system"));
    }
    for (module, name) in [
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("subprocess", "Popen"),
        ("runpy", "run_path"),
    ] {
        let file = zip(&pickle(&[b"c", module.as_bytes(), b"\n", name.as_bytes(), b"\n)R"]), b"");
        refuses!(&file, PickleError::Forbidden { module: found, name: called } if (found.as_str(), called.as_str()) == (module, name));
    }
    assert!(!proof.exists());
}

#[test]
fn tensors_that_reach_outside_their_storage() {
    for (length, offset, shape, strides) in [
        (4, 0, &[5][..], &[1][..]),
        (4, 1, &[4], &[1]),
        (4, 0, &[2], &[4]),
        (4, 0, &[1_000_000, 1_000_000], &[0, 0]),
        (4, 0, &[2, 2], &[1]),
        (4, 0, &[i32::MAX; 4], &[i32::MAX; 4]),
    ] {
        let file = zip(&tensor(length, offset, shape, strides), &[0; 16]);
        refuses!(&file, PickleError::OutsideStorage { tensor, length: 4, .. } if tensor == "w");
    }
    refuses!(&zip(&tensor(4, -1, &[1], &[1]), &[0; 16]), PickleError::Expected("a positive size"));
    refuses!(&zip(&tensor(4, 0, &[1; 9], &[1; 9]), &[0; 16]), PickleError::Expected("at most 8 dimensions"));
    refuses!(&zip(&tensor(i32::MAX, 0, &[i32::MAX], &[1]), &[0; 16]), PickleError::StorageShort { bytes: 16, .. });
    let bare = zip_with(&[("x/data.pkl", &tensor(4, 0, &[4], &[1]))], |entries| entries);
    refuses!(&bare, PickleError::StorageMissing { tensor, key } if tensor == "w" && key == "0");
}

#[test]
fn archives_that_are_damaged() {
    let good = fs::read(reference("checkpoint_zip.pt")).unwrap();
    refuses!(b"PK\x03\x04", PickleError::Archive(_));
    for cut in [1, 30, good.len() / 2] {
        refuses!(&good[..good.len() - cut], PickleError::Archive(_));
    }
    refuses!(&zip(b"", b""), PickleError::Truncated);
    let big = zip_with(&[("x/data.pkl", b"\x80\x02}."), ("x/byteorder", b"big")], |entries| entries);
    refuses!(&big, PickleError::BigEndian);
    let twice = zip_with(&[("x/data.pkl", b"\x80\x02}."), ("x/data.pkl", b"\x80\x02}.")], |entries| entries);
    refuses!(&twice, PickleError::Archive(_));
    let far = zip_with(&[("x/data.pkl", b"\x80\x02}.")], |mut entries| {
        entries[0].local_header = 1000;
        entries
    });
    refuses!(&far, PickleError::Archive(_));
}

#[test]
fn streams_that_are_damaged() {
    let good = fs::read(reference("checkpoint_stream.pt")).unwrap();
    assert!(open(&good).is_ok());
    for cut in [good.len() - 1, good.len() / 2, 200, 40] {
        refuses!(&good[..cut], PickleError::Truncated);
    }
    for cut in [20, 3] {
        refuses!(&good[..cut], PickleError::Truncated | PickleError::NotTorch);
    }
    refuses!(b"\x80\x02}.", PickleError::NotTorch);
    refuses!(b"\x80\x02", PickleError::NotTorch);
    let mut endless = good.clone();
    let storage = endless.windows(8).rposition(|window| window == 1_u64.to_le_bytes()).unwrap();
    endless[storage..storage + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    refuses!(&endless, PickleError::Truncated);
}

/// A pickle that is cut anywhere, or has any byte changed, gives an error or another file, never a panic.
#[test]
fn every_cut_and_many_changes() {
    let pickle = tensor(4, 0, &[2, 2], &[2, 1]);
    for length in 0..pickle.len() {
        refusal(&zip(&pickle[..length], &[0; 16]));
    }
    for position in 0..pickle.len() {
        for value in [0, 1, b'.', b'(', b't', b'R', b'Q', b'b', b's', b'0', 0x7f, 0xff] {
            let mut changed = pickle.clone();
            changed[position] = value;
            if let Ok(file) = open(&zip(&changed, &[0; 16])) {
                file.names().into_iter().for_each(|name| drop(file.read(name)));
            }
        }
    }
}

#[test]
fn values_without_end() {
    refuses!(&zip(&pickle(&[&b"]".repeat(1_000_000), &b"a".repeat(999_999)]), b""), PickleError::Nested);
    refuses!(&zip(&pickle(&[b"]q\x00(h\x00h\x00e"]), b""), PickleError::Nested);
    let doubled = pickle(&[b"N", &b"q\x00h\x00\x86".repeat(30)]);
    refuses!(&zip(&doubled, b""), PickleError::TooManyValues);
    refuses!(&zip(&pickle(&[&b"N".repeat(9_000_000)]), b""), PickleError::TooManyValues);
    let name = pickle(&[b"}", &text(&"n".repeat(5000)), b"]s"]);
    refuses!(&zip(&name, b""), PickleError::Name { length: 5000, .. });
    let long_text = pickle(&[b"X", &u32::MAX.to_le_bytes(), b"abc"]);
    refuses!(&zip(&long_text, b""), PickleError::TooLong { length: 0xffff_ffff, .. });
    refuses!(&zip(b"\x80\x02t", b""), PickleError::Expected(_));
    refuses!(&zip(b"\x80\x02(K\x01(\x87.", b""), PickleError::EmptyStack);
    refuses!(&zip(b"\x80\x02h\x07.", b""), PickleError::Memo(7));
    refuses!(&zip(b"\x80\x02P1\n.", b""), PickleError::Operation(b'P'));
}

#[test]
fn element_types_that_cannot_be_read() {
    let quantised = pickle(&[b"(", &text("storage"), b"ctorch\nQInt8Storage\n", &text("0"), &text("cpu"), b"K\x01tQ"]);
    refuses!(&zip(&quantised, b""), PickleError::ElementType { name } if name == "torch.QInt8Storage");
}

#[test]
fn the_contents_decide_not_the_name() {
    let good = fs::read(reference("checkpoint_zip.pt")).unwrap();
    let folder = folder(&[("a.safetensors", &good), ("b.ckpt", &crate::safetensors_of(&[("w", &[1], &[1.0])]))]);
    assert!(open_weights(&folder.path().join("a.safetensors")).unwrap().info("half").is_some());
    assert!(open_weights(&folder.path().join("b.ckpt")).unwrap().info("w").is_some());
}
