//! Files are written whole or not at all, and a path that cannot be written is refused at once.

use std::fs;
use std::io::Write;
use std::path::Path;

use pyrograph_checkpoint::faults::{Fault, inject};
use pyrograph_checkpoint::{Output, OutputError};

use crate::folder;

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_there_once_it_is_committed() {
    let folder = folder(&[("old", b"before")]);
    let path = |name: &str| folder.path().join(name);
    let mut output = Output::create(path("new")).unwrap();
    assert_eq!(names(folder.path()), ["old"], "a program that is killed during its work leaves nothing");
    output.write_all(&[7; 100_000]).unwrap();
    assert!(!path("new").exists());
    output.commit().unwrap();
    assert_eq!(fs::read(path("new")).unwrap(), [7; 100_000]);

    let mut output = Output::create(path("old")).unwrap();
    output.write_all(b"after").unwrap();
    drop(output);
    assert_eq!(fs::read(path("old")).unwrap(), b"before");
    Output::save(path("old"), "after").unwrap();
    assert_eq!(fs::read(path("old")).unwrap(), b"after");
    Output::create(path("empty")).unwrap().commit().unwrap();
    assert_eq!(fs::read(path("empty")).unwrap(), b"");
    assert_eq!(names(folder.path()), ["empty", "new", "old"]);
}

#[test]
fn what_cannot_be_written_is_found_out_before_the_work() {
    let folder = folder(&[("taken/x", b""), ("file", b"")]);
    let create = |name: &str| Output::create(folder.path().join(name)).expect_err(name);
    assert!(matches!(create("taken"), OutputError::Folder { .. }));
    assert!(matches!(create("taken/"), OutputError::Folder { .. }));
    assert!(matches!(create("new/"), OutputError::Folder { .. }));
    assert!(matches!(Output::create(""), Err(OutputError::Folder { .. })));
    let absent = folder.path().join("absent");
    assert!(matches!(create("absent/x"), OutputError::NoFolder { folder, .. } if folder == absent));
    assert!(matches!(create("file/x"), OutputError::NoFolder { .. }));
    assert!(matches!(create(&"x".repeat(300)), OutputError::Io { .. }));
    assert_eq!(names(folder.path()), ["file", "taken"]);
}

#[cfg(unix)]
mod unix {
    use std::io::Read;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::process::Command;
    use std::thread;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("a file").mode() & 0o7777
    }

    #[test]
    fn permissions_are_those_of_other_files() {
        let folder = folder(&[("usual", b""), ("private", b"")]);
        let path = |name: &str| folder.path().join(name);
        Output::save(path("new"), "").unwrap();
        assert_eq!(mode(&path("new")), mode(&path("usual")), "as the umask gives");
        fs::set_permissions(path("private"), PermissionsExt::from_mode(0o600)).unwrap();
        Output::save(path("private"), "changed").unwrap();
        assert_eq!(mode(&path("private")), 0o600, "a file that is replaced keeps its permissions");
    }

    #[test]
    fn a_symbolic_link_stays() {
        let folder = folder(&[("there/file", b"before")]);
        let path = |name: &str| folder.path().join(name);
        for (link, target) in [("link", "there/file"), ("dangling", "there/new")] {
            symlink(target, path(link)).unwrap();
            Output::save(path(link), "after").unwrap();
            assert!(path(link).is_symlink());
            assert_eq!(fs::read(path(target)).unwrap(), b"after", "{target}");
        }
        symlink("loop", path("loop")).unwrap();
        assert!(matches!(Output::create(path("loop")), Err(OutputError::Io { .. })));
        assert_eq!(names(&path("there")), ["file", "new"]);
        let [one, other] = ["link", "there/file"].map(|name| Output::create(path(name)).unwrap());
        assert!(one.is_same_file(&other) && !one.is_same_file(&Output::create(path("dangling")).unwrap()));
    }

    #[test]
    fn devices_and_pipes_get_the_bytes_themselves() {
        Output::save("/dev/null", "x").unwrap();
        assert!(!Path::new("/dev/null").is_file());
        let full = Output::save("/dev/full", "x");
        assert!(cfg!(not(target_os = "linux")) || matches!(full, Err(OutputError::Io { .. })), "{full:?}");
        let folder = folder(&[]);
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("there is mkfifo").success());
        let reader = thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                fs::File::open(pipe).and_then(|mut pipe| pipe.read_to_string(&mut text)).map(|_| text)
            }
        });
        Output::save(&pipe, "through").unwrap();
        assert_eq!(reader.join().expect("it ends").expect("a pipe"), "through");
        assert_eq!(names(folder.path()), ["pipe"]);
    }
}

/// Whichever operation fails, the file is the old or the new one, and the next program can write it.
#[test]
fn a_file_is_whole_whichever_operation_fails() {
    let new = "new".repeat(10_000); // more than a buffer
    for fault in [Fault::Error, Fault::Crash] {
        for operation in 0.. {
            let folder = folder(&[("file", b"old")]);
            let path = folder.path().join("file");
            let (saved, failed) = inject(fault, operation, || Output::save(&path, &new));
            let found = fs::read_to_string(&path).expect("the file is there");
            let expected: &[&str] = if saved.is_ok() { &[&new] } else { &["old", &new] };
            assert!(expected.contains(&found.as_str()), "{fault:?} at {operation}: {} bytes", found.len());
            let is_clean = fault == Fault::Crash || saved.is_ok() || names(folder.path()) == ["file"];
            assert!(is_clean, "{fault:?} at {operation} leaves files");
            Output::remove_leftovers(folder.path()).expect("they can be removed");
            Output::save(&path, "newest").expect("nothing fails");
            assert_eq!(names(folder.path()), ["file"], "{fault:?} at {operation}");
            if !failed {
                assert!(operation > 5, "too few operations to be true: {operation}");
                break;
            }
        }
    }
}
