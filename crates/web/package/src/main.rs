//! Makes the npm package in `crates/web/pkg`: builds the WebAssembly, generates its JavaScript bindings, and adds the
//! other files.
//!
//! `cargo run --release --manifest-path crates/web/package/Cargo.toml`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use wasm_bindgen_cli_support::Bindgen;

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "web";
const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

fn main() -> anyhow::Result<()> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the package is a folder of the crate")?;
    let root = web.ancestors().nth(2).context("the crate is two folders below the root")?;
    let package = web.join("pkg");
    if package.is_dir() {
        fs::remove_dir_all(&package)?;
    }
    Bindgen::new()
        .input_path(build(root)?)
        .web(true)?
        .omit_default_module_path(false)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&package)?;
    copy_files(&web.join("js"), &package)?;
    for licence in LICENCES {
        fs::copy(root.join(licence), package.join(licence))?;
    }
    fs::copy(web.join("README.md"), package.join("README.md"))?;
    println!("{}", package.display());
    Ok(())
}

/// Builds the WebAssembly file.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let status = cargo(root)
        .args(["build", "--package", "pyrograph-web", "--target", TARGET, "--profile", PROFILE])
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("cargo could not build it; `rustup target add {TARGET}` brings what it needs");
    }
    let metadata = cargo(root).args(["metadata", "--format-version", "1", "--no-deps"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout)?;
    let target = metadata["target_directory"].as_str().context("cargo names its target folder")?;
    Ok(Path::new(target).join(TARGET).join(PROFILE).join("pyrograph_web.wasm"))
}

fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
