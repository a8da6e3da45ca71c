//! The commands of the README share one build: cargo builds a crate anew for each set of features, and burn takes minutes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The selections of the README's commands, `cargo build --workspace --bins` among them, as `cargo tree` takes them. Examples
/// and tests see development dependencies.
const COMMANDS: [(&str, &[&str]); 3] = [
    ("cargo run --example txt2img", &["--package", "pyrograph", "--edges", "normal,dev,no-proc-macro"]),
    ("cargo run -p pyrograph-cli", &["--package", "pyrograph-cli", "--edges", "normal,no-proc-macro"]),
    ("cargo build --workspace --bins", &["--workspace", "--edges", "normal,no-proc-macro"]),
];

/// The features with which each package of a program is built. Procedural macros and build scripts see other sets, which would
/// hide a difference.
fn features(selection: &[&str]) -> BTreeMap<String, String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--offline", "--locked", "--prefix", "none", "--format", "{p}\t{f}"]);
    let output = tree.arg("--manifest-path").arg(manifest).args(selection).output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut features = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("cargo prints text").lines() {
        let Some((package, set)) = line.split_once('\t') else { continue }; // between two members of the workspace
        let set = set.trim_end_matches(" (*)"); // listed before
        let before = features.insert(package.to_owned(), set.to_owned());
        assert!(before.is_none_or(|before| before == set), "{package} is built twice");
    }
    features
}

#[test]
fn the_commands_of_the_readme_build_the_same_features() {
    let whole = features(&["--workspace", "--edges", "normal,dev,no-proc-macro"]); // cargo test --workspace
    for (command, selection) in COMMANDS {
        let own = features(selection);
        assert!(own.keys().any(|package| package.starts_with("burn v")), "{command} builds burn");
        for (package, set) in own {
            let shared = &whole[&package];
            assert_eq!(
                &set, shared,
                "`{command}` builds {package} with [{set}], `cargo test --workspace` with [{shared}]; write the features out in \
                 the manifest of the command's package"
            );
        }
    }
}
