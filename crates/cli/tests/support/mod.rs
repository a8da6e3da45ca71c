//! A folder with images and recipes, and the program that runs in it.

#![allow(dead_code, reason = "each test uses a part of it")]
#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

pub(crate) mod recipes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// A folder with eight images of 16x16 pixels and their list in `data`.
pub(crate) struct Place(TempDir);

/// The output of a program that succeeded.
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) message: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(TempDir::new().expect("a folder"));
        fs::create_dir(place.path("data")).expect("a new folder");
        let mut list = String::new();
        for number in 0..8_u8 {
            let image = RgbImage::from_fn(16, 16, |x, y| Rgb([16 * x as u8, 16 * y as u8, 30 * number]));
            image.save(place.path(&format!("data/{number}.png"))).expect("a file");
            list += &format!("{{\"file_name\": \"{number}.png\", \"text\": \"square {number}, red\"}}\n");
        }
        fs::write(place.path("data/captions.jsonl"), list).expect("a file");
        place
    }

    /// The same with a file.
    pub(crate) fn with(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), text).expect("a file");
        self
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `pyrograph` on the CPU.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pyrograph"));
        command.current_dir(&self.0).args(arguments).args(["--device", "cpu"]).stderr(Stdio::piped());
        command
    }

    #[track_caller]
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().expect("the program starts");
        let message = message(&output);
        assert!(output.status.success(), "{arguments:?}: {message}");
        Said { out: String::from_utf8_lossy(&output.stdout).into_owned(), message }
    }

    /// Exit code 1, and one to three lines that have all of these words.
    #[track_caller]
    pub(crate) fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let output = self.command(arguments).output().expect("the program starts");
        let message = message(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        assert!((1..=3).contains(&message.lines().count()) && message.len() < 500, "{arguments:?}: {message}");
        for word in words {
            assert!(message.contains(word), "{arguments:?} should say {word}: {message}");
        }
    }

    /// Starts training and waits until so many steps are in the file of its losses.
    pub(crate) fn start(&self, mut command: Command, losses: &str, steps: usize) -> Child {
        let mut child = command.spawn().expect("the program starts");
        let taken = (0..6000).any(|_| {
            sleep(Duration::from_millis(10));
            self.steps(losses) >= steps
        });
        if !taken {
            child.kill().and_then(|()| child.wait()).expect("it can be stopped");
            panic!("{steps} steps were not taken in a minute");
        }
        child
    }

    /// Steps in a file of losses.
    pub(crate) fn steps(&self, losses: &str) -> usize {
        fs::read_to_string(self.path(losses)).map_or(0, |text| text.lines().count().saturating_sub(1))
    }
}

/// Standard error without what the graphics driver has to say.
pub(crate) fn message(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter(|line| !line.contains("XDG_RUNTIME_DIR")).map(|line| format!("{line}\n")).collect()
}

#[cfg(unix)]
pub(crate) fn signal(child: &Child, name: &str) {
    let kill = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(kill.expect("kill is there").success());
}
