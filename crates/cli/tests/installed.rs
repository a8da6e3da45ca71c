//! The program alone, copied to a place without its repository, generates images with the model that ships with it.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

#[test]
fn the_program_alone_makes_an_image() {
    let elsewhere = TempDir::new().expect("a folder");
    let program = elsewhere.path().join("pyrograph");
    fs::copy(env!("CARGO_BIN_EXE_pyrograph"), &program).expect("a copy");
    let run = |arguments: &[&str]| {
        let output = Command::new(&program).current_dir(&elsewhere).args(arguments).args(["--device", "cpu"]).output();
        let output = output.expect("the program starts");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    run(&["txt2img", "a red apple on a blue background", "--steps", "2", "--seed", "1", "--output", "embedded.png"]);
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/spark");
    let assets = assets.to_str().expect("a path");
    let folder = ["--model", assets, "--output", "folder.png"];
    run(&[&["txt2img", "a red apple on a blue background", "--steps", "2", "--seed", "1"][..], &folder].concat());
    let image = |name| image::open(elsewhere.path().join(name)).expect("an image").into_rgb8();
    assert_eq!(image("embedded.png"), image("folder.png"));
    let labels = run(&["classify", "embedded.png", "--labels", "a red apple,a dog"]);
    assert_eq!(labels.lines().count(), 2, "{labels}");
}
