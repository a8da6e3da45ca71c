//! Files that the program writes: an error before the work starts if they cannot be written, and complete files
//! otherwise.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/tiny-sd1")
}

fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pyrograph"));
    command.current_dir(folder).args(arguments).args(["--device", "cpu"]);
    command
}

/// Two steps of the tiny model.
fn txt2img(folder: &TempDir, arguments: &[&str]) -> Command {
    let model = tiny();
    let model = model.to_str().expect("a path");
    let common = ["txt2img", "x", "--model", model, "--steps", "2", "--width", "16", "--height", "16", "--seed", "1"];
    command(folder, &[&common[..], arguments].concat())
}

fn succeeds(mut command: Command) -> Output {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The command fails with one to three lines that name `option`, before it looks for the model, which does not exist.
fn assert_refuses_at_once(folder: &TempDir, arguments: &[&str], option: &str) {
    let before = names(folder);
    let command = command(folder, &[&["txt2img", "x", "--model", "no-model"][..], arguments].concat()).output();
    let output = command.expect("the program starts");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
    assert!((1..=3).contains(&message.lines().count()), "{arguments:?}: {message}");
    assert!(message.contains(option) && !message.contains("no-model"), "{arguments:?}: {message}");
    assert_eq!(names(folder), before, "{arguments:?} left something behind");
}

#[test]
fn what_cannot_be_written_is_said_before_the_model_is_loaded() {
    let folder = TempDir::new().expect("a folder");
    fs::create_dir_all(folder.path().join("taken.png")).expect("a folder");
    fs::write(folder.path().join("file"), "").expect("a file");
    let refuses = |arguments: &[&str], option| assert_refuses_at_once(&folder, arguments, option);
    refuses(&["--output", "missing/x.png"], "--output: missing/x.png: there is no folder missing");
    refuses(&["--output", "taken.png"], "--output: taken.png: is a folder");
    refuses(&["--output", "file/x.png"], "--output: file/x.png");
    refuses(&["--output", "x"], "--output: x: must end in .png");
    refuses(&["--output", "x.jpg"], "--output: x.jpg: must end in .png");
    refuses(&["--output", "x.jpg", "--batch-size", "2"], "--output: x.jpg: must end in .png");
    refuses(&["--output", ""], "--output");
    refuses(&["--output", &format!("{}.png", "x".repeat(300))], "--output");
    refuses(&["--save-latents", "missing/x.safetensors"], "--save-latents: missing/x.safetensors");
    refuses(&["--save-latents", "taken.png"], "--save-latents: taken.png: is a folder");
    refuses(&["--save-latents", "output.png"], "--save-latents");
    refuses(&["--save-latents", "./output-2.png", "--batch-size", "2"], "--save-latents");
    fs::create_dir_all(folder.path().join("x-2.png")).expect("a folder");
    refuses(&["--output", "x.png", "--batch-size", "2"], "x-2.png");

    let eval = |grid: &str, more: &[&str]| {
        let arguments = [&["eval", "--model", "no-model", "--data", "no-data", "--grid", grid][..], more].concat();
        let output = command(&folder, &arguments).output().expect("the program starts");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for (grid, more) in [("missing/x.png", &[][..]), ("x.jpg", &[]), ("x", &[]), ("taken.png", &[])] {
        let message = eval(grid, more);
        assert!(message.contains("--grid") && message.contains(grid), "{message}");
    }
    fs::create_dir_all(folder.path().join("y-seen.png")).expect("a folder");
    assert!(eval("y.png", &["--seen", "no-data"]).contains("y-seen.png"));
    assert!(eval("y.png", &[]).contains("no-model"));
}

/// The permissions of another user's folder allow only its owner to write.
#[cfg(unix)]
#[test]
fn a_folder_of_another_user_is_said_before_the_model_is_loaded() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    const NOBODY: u32 = 65534;
    let folder = TempDir::new().expect("a folder");
    let is_root = folder.path().metadata().expect("a folder").uid() == 0;
    // If the tests do not run as root, there is no other user; a folder without write permission takes its place.
    let mode = if is_root { 0o755 } else { 0o555 };
    let program = folder.path().join("pyrograph");
    fs::copy(env!("CARGO_BIN_EXE_pyrograph"), &program).expect("a copy");
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).expect("it is ours");
    for option in ["--output", "--save-latents"] {
        let mut command = Command::new(&program);
        command.current_dir(&folder).args(["txt2img", "x", "--device", "cpu", "--model", "no-model"]);
        command.args(["--output", "/dev/null", option, "x.png"]);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().expect("the program starts");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains(&format!("{option}: x.png")) && message.contains("ermission denied"), "{message}");
        assert_eq!((output.status.code(), names(&folder)), (Some(1), vec!["pyrograph".to_owned()]));
    }
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("it is ours");
}

#[cfg(target_os = "linux")]
#[test]
fn one_output_that_fails_costs_no_other() {
    let folder = TempDir::new().expect("a folder");
    let output = txt2img(&folder, &["--save-latents", "/dev/full"]).output().expect("the program starts");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && message.contains("--save-latents: /dev/full"), "{message}");
    assert!(image::open(folder.path().join("output.png")).is_ok());

    let output = txt2img(&folder, &["--output", "/dev/full", "--save-latents", "l", "--batch-size", "2"]).output();
    let message = String::from_utf8_lossy(&output.expect("the program starts").stderr).into_owned();
    assert!(message.contains("--output: /dev/full"), "{message}");
    assert!(fs::read(folder.path().join("l")).is_ok_and(|bytes| !bytes.is_empty()));

    // A limit of 512 bytes per file acts like a full disk: the latents need more, the first image less.
    let limited = "trap '' XFSZ; ulimit -f 1; exec \"$@\"";
    let command = txt2img(&folder, &["--output", "small.png", "--save-latents", "large"]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut shell = Command::new("sh");
    shell.current_dir(&folder).args(["-c", limited, "sh"]).args(words);
    let output = shell.output().expect("there is a shell");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{message}");
    let written = names(&folder);
    assert!(written.iter().all(|name| !name.starts_with('.') && name != "large"), "half a file stays: {written:?}");
}

#[cfg(unix)]
#[test]
fn permissions_links_and_streams_are_as_with_other_programs() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let mode = |name: &str| path(name).metadata().expect("a file").permissions().mode() & 0o777;
    let command = txt2img(&folder, &["--output", "new.png", "--save-latents", "new.safetensors"]);
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let mut shell = Command::new("sh");
    shell.current_dir(&folder).args(["-c", "umask 027; exec \"$@\"", "sh"]).args(words);
    succeeds(shell);
    assert_eq!([mode("new.png"), mode("new.safetensors")], [0o640; 2]);
    let image = fs::read(path("new.png")).expect("a file");

    fs::write(path("private.png"), "").expect("a file");
    fs::set_permissions(path("private.png"), PermissionsExt::from_mode(0o600)).expect("it is ours");
    symlink("private.png", path("link.png")).expect("a link");
    succeeds(txt2img(&folder, &["--output", "link.png"]));
    assert!(path("link.png").is_symlink());
    assert_eq!((mode("private.png"), fs::read(path("private.png")).expect("a file")), (0o600, image.clone()));

    for standard in ["-", "/dev/stdout"] {
        assert_eq!(succeeds(txt2img(&folder, &["--output", standard])).stdout, image, "{standard}");
    }
    let two = succeeds(txt2img(&folder, &["--output", "-", "--batch-size", "2"])).stdout;
    assert_eq!(two.windows(4).filter(|bytes| bytes == b"\x89PNG").count(), 2);
}

/// A program that is killed during its work leaves no file behind.
#[cfg(unix)]
#[test]
fn a_killed_program_leaves_nothing() {
    let folder = TempDir::new().expect("a folder");
    let mut child = txt2img(&folder, &["--steps", "999", "--save-latents", "l"]).spawn().expect("the program starts");
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(child.try_wait().expect("it can be asked").is_none(), "it was over before the kill");
    child.kill().and_then(|()| child.wait()).expect("it can be killed");
    assert_eq!(names(&folder), [""; 0]);
}
