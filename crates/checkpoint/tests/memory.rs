//! The cost of hostile files. No pickle may need more memory than 64 times its file plus one mebibyte, even if it
//! repeats or shares objects, nor may it take long.

mod torch;

use std::time::{Duration, Instant};

use pyrograph_checkpoint::{CheckpointError, PickleError, Weights};
use torch::{Entry, bare_tensor, number, open, pickle, storage, stream, text, tuple, zip, zip_with};

/// Opens a file and reads all its tensors within the limits.
#[track_caller]
fn stays_small(what: &str, file: &[u8]) {
    let start = Instant::now();
    let location = torch::location(file);
    let mut outcome = "opened";
    let used = allocation_counter::measure(|| match pyrograph_checkpoint::PickleFile::open(location) {
        Ok(file) => file.names().into_iter().for_each(|name| drop(file.read(name))),
        Err(_) => outcome = "refused",
    });
    let (bound, time) = (64 * file.len() as u64 + (1 << 20), start.elapsed());
    eprintln!("{what}: {outcome}, {} bytes for {}, {time:?}", used.bytes_max, file.len());
    assert!(used.bytes_max <= bound, "{what}: {} bytes for a file of {}", used.bytes_max, file.len());
    assert!(time < Duration::from_secs(10), "{what}: {time:?}");
}

/// Tests both containers.
#[track_caller]
fn stays_small_as(what: &str, operations: &[&[u8]]) {
    let pickle = pickle(operations);
    stays_small(what, &zip(&pickle, &[0; 16]));
    let storages = [&4_u64.to_le_bytes()[..], &[0; 16]].concat();
    stays_small(
        &format!("{what}, in a stream"),
        &stream(&pickle, &torch::pickle(&[b"(", &text("0"), b"l"]), &storages),
    );
}

const MANY: usize = 1 << 20;

#[test]
fn one_operation_over_and_over() {
    for (what, first, repeated) in [
        ("empty lists", &b""[..], &b"]"[..]),
        ("empty dictionaries", b"", b"}"),
        ("empty tuples", b"", b")"),
        ("none", b"", b"N"),
        ("small numbers", b"", b"K\x01"),
        ("marks", b"", b"("),
        ("tuples around tuples", b"N", b"\x85"),
        ("tuples of the same", b"N", b"222\x87"),
        ("lists around lists", b"N", b"]2a"),
        ("copies of the top", b"N", b"2"),
        ("memory", b"]", b"\x94"),
        ("memory by number", b"]q\x00", b"h\x00"),
        ("empty texts", b"", b"U\x00"),
        ("short texts", b"", b"U\x01a"),
        ("bytes", b"", b"C\x00"),
        ("classes", b"", b"ctorch\nSize\n"),
        ("tuples out of marks", b"", b"(t"),
        ("lists out of marks", b"", b"(NNNNl"),
        ("dictionaries out of marks", b"", b"(NNd"),
    ] {
        stays_small_as(what, &[first, &repeated.repeat(MANY / repeated.len())]);
        stays_small_as(&format!("a list of {what}"), &[b"](", first, &repeated.repeat(MANY / repeated.len()), b"e"]);
    }
}

/// 300 calls make copies of one list: 2.3 GB for 2 MB once.
#[test]
fn copies_of_one_list() {
    let list = [b"](", &b"N".repeat(2 * MANY)[..], b"eq\x00"].concat();
    for class in ["torch\nSize", "builtins\nset", "builtins\nfrozenset"] {
        let class = [b"c", class.as_bytes(), b"\nq\x01"].concat();
        stays_small_as("copies of a list", &[&list, &class, &b"h\x01h\x00\x85R".repeat(300)]);
    }
    let pairs = [b"](", &b"K\x01N\x86".repeat(MANY / 4)[..], b"eq\x00"].concat();
    let class = b"ccollections\nOrderedDict\nq\x01";
    stays_small_as("dictionaries of a list of pairs", &[&pairs, class, &b"h\x01h\x00\x85R".repeat(300)]);
    stays_small_as("the last of them", &[b"(", &pairs, class, &b"h\x01h\x00\x85R".repeat(300), b"l"]);
}

#[test]
fn containers_that_contain_themselves_or_each_other() {
    stays_small_as("a list of itself", &[b"]q\x00(", &b"h\x00".repeat(3 * MANY / 2), b"e"]);
    stays_small_as("a dictionary of itself", &[b"}q\x00(", &b"K\x01h\x00".repeat(MANY / 2), b"u"]);
    for depth in [30, 1000] {
        let doubled = b"q\x00h\x00\x86".repeat(depth);
        stays_small_as("tuples of two references", &[b"N", &doubled]);
        stays_small_as("with a tensor", &[&bare_tensor(4, 0, &[4], &[1]), &doubled]);
    }
    stays_small_as("a deep list", &[&b"]".repeat(MANY), &b"a".repeat(MANY - 1)]);
}

#[test]
fn texts_that_are_used_again() {
    let long = text(&"k".repeat(MANY));
    stays_small_as("a long key", &[b"}", &long, b"q\x00N", &b"h\x00N".repeat(MANY / 4), b"0"]);
    stays_small_as("one key", &[b"}(", &text("key"), b"q\x00N", &b"h\x00N".repeat(MANY / 4), b"u"]);
    stays_small_as("long keys", &[b"}(", &long, b"q\x00N", &b"h\x00N".repeat(MANY / 4), b"u"]);
    stays_small_as("long notes", &[&long, b"q\x000}(", &numbered(MANY / 8, b"h\x00"), b"u"]);
    let name = text(&format!("{}Storage", "S".repeat(MANY)));
    let names = [&text("torch")[..], b"q\x01", &name, b"q\x00"].concat();
    stays_small_as("long names of classes", &[&names, &b"h\x01h\x00\x93".repeat(MANY / 8)]);
    stays_small_as("a text that is no UTF-8", &[b"X", &(MANY as u32).to_le_bytes(), &b"\xff".repeat(MANY)]);
    stays_small_as("a text that is not there", &[b"X\xff\xff\xff\xff", b"abc"]);
    stays_small_as("bytes that are not there", &[b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff", b"abc"]);
    stays_small_as("bytes", &[b"B", &(MANY as u32).to_le_bytes(), &vec![0; MANY]]);
}

/// Keys 0, 1, 2, ... and the same value.
fn numbered(count: usize, value: &[u8]) -> Vec<u8> {
    (0..count).flat_map(|key| [&number(key as i32)[..], value].concat()).collect()
}

#[test]
fn tensors_that_are_used_again() {
    let one = [&bare_tensor(4, 0, &[4], &[1])[..], b"q\x00"].concat();
    stays_small_as("one tensor under many names", &[&one, b"0}(", &numbered(MANY / 8, b"h\x00"), b"u"]);
    stays_small_as("a list of one tensor", &[&one, b"0](h\x00", &b"2".repeat(MANY), b"e"]);
    let long = [b"}", &text(&"n".repeat(1000))[..], b"}(", &numbered(MANY / 8, b"h\x00"), b"us"].concat();
    stays_small_as("long names", &[&one, b"0", &long]);
    let shape = [&tuple(&[1; 8])[..], b"q\x01", &storage(4), b"q\x02ctorch._utils\n_rebuild_tensor\nq\x03000"].concat();
    let tensors = b"h\x03(h\x02K\x00h\x01h\x01tR".repeat(MANY / 16);
    stays_small_as("tensors of one shape", &[&shape, b"](", &tensors, b"e"]);
    let long_shape =
        [b"(", &b"K\x01".repeat(MANY)[..], b"tq\x01", &storage(4), b"q\x02ctorch._utils\n_rebuild_tensor\nq\x0300"];
    stays_small_as("tensors of many dimensions", &[&long_shape.concat(), b"](", &tensors, b"e"]);
    let tuple = [b"(", &text("storage")[..], b"ctorch\nFloatStorage\n", &text(&"0".repeat(MANY / 2)), b"NK\x04tq\x00"];
    stays_small_as("storages", &[&tuple.concat(), &b"h\x00Q".repeat(MANY / 4)]);
    stays_small_as("storages of a long tuple", &[b"(", &b"N".repeat(MANY), b"tq\x00", &b"h\x00Q".repeat(MANY)]);
}

#[test]
fn archives() {
    let empty = pickle(&[b"}"]);
    let many = |method: u16| {
        zip_with(&[("x/data.pkl", &empty)], |mut entries| {
            let more =
                (0..MANY / 48).map(|i| Entry { name: format!("x/data/{i}"), method, length: 4, local_header: 0 });
            entries.extend(more);
            entries
        })
    };
    stays_small("many entries", &many(0));
    let bomb = zip_with(&[("x/data.pkl", b"\x03\0")], |mut entries| {
        entries[0].method = 8;
        entries[0].length = u32::MAX - 1;
        entries
    });
    stays_small("an entry that is longer than the file", &bomb);
    let compressed = zip_with(&[("x/data.pkl", b"\x03\0")], |mut entries| {
        entries[0].method = 8;
        entries
    });
    stays_small("a compressed pickle", &compressed);
    let Err(CheckpointError::Pickle { cause: PickleError::Compressed { entry }, .. }) = open(&compressed) else {
        panic!("compressed entries are not unpacked, so that they cannot grow");
    };
    assert_eq!(entry, "x/data.pkl");
    let one_place = zip_with(&[("x/data.pkl", &vec![b'N'; MANY])], |mut entries| {
        entries.extend((0..1000).map(|i| Entry {
            name: format!("x/data/{i}"),
            method: 0,
            length: MANY as u32,
            local_header: 0,
        }));
        entries
    });
    stays_small("entries in one place", &one_place);
}

#[test]
fn keys_of_a_stream() {
    let empty = pickle(&[b"}"]);
    let storages = 0_u64.to_le_bytes().repeat(MANY / 8);
    let same = pickle(&[b"](", &text("0"), &b"2".repeat(MANY), b"e"]);
    stays_small("one key again and again", &stream(&empty, &same, &storages));
    let keys: Vec<u8> = (0..MANY / 8).flat_map(|key| text(&key.to_string())).collect();
    stays_small("many keys", &stream(&empty, &pickle(&[b"](", &keys, b"e"]), &storages));
    stays_small("a long storage", &stream(&empty, &pickle(&[b"](", &text("0"), b"e"]), &u64::MAX.to_le_bytes()));
}
