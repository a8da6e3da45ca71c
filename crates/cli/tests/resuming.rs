//! Training that is interrupted, killed, started twice, or resumed with changes.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use support::recipes::{AUTOENCODER, recipe};
use support::{Place, message, signal};

const LOSSES: &str = "run/losses.csv";

/// A run of the smallest autoencoder that saves after each step.
fn place() -> Place {
    let output = "folder = \"run\", save_every = 1, sample_every = 1000000";
    Place::new().with("a run.toml", recipe("batch_size = 2", output, "steps = 100000", AUTOENCODER))
}

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "autoencoder", "a run.toml"], more].concat()
}

/// The step of the latest checkpoint; the first one follows its line in `losses.csv` by a moment.
fn saved(place: &Place) -> usize {
    let latest = place.path("run/checkpoints/latest");
    (0..6000).take_while(|_| !latest.exists()).for_each(|_| sleep(Duration::from_millis(10)));
    let name = fs::read_to_string(latest).expect("there is a checkpoint");
    let checkpoint = place.path("run/checkpoints").join(name.trim());
    let state = fs::read_to_string(checkpoint.join("state.json")).expect("it has a state");
    let step: String = state.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    step.parse().expect("a number")
}

/// Ctrl-C, a request to terminate and a closed terminal; each prints a command that can be pasted.
#[cfg(unix)]
#[test]
fn signals_end_the_step_and_save() {
    let place = place();
    let mut resume: Option<String> = None;
    for (name, steps) in [("INT", 3), ("TERM", 6), ("HUP", 9)] {
        let command = match &resume {
            None => place.command(&train(&[])),
            Some(line) => {
                let mut shell = Command::new("sh");
                // The tests may themselves run under `nohup`, whose ignored signal is inherited.
                let env = if cfg!(target_os = "linux") { "env --default-signal=HUP" } else { "" };
                shell.current_dir(place.root()).args(["-c", &format!("exec {env} {line}")]).stderr(Stdio::piped());
                shell
            }
        };
        let child = place.start(command, LOSSES, steps);
        signal(&child, name);
        let output = child.wait_with_output().expect("it ends");
        let message = message(&output);
        assert!(output.status.success(), "{name}: {message}");
        let line = message.lines().find_map(|line| line.split_once("go on with: ")).expect("it says how to go on").1;
        assert!(line.contains("'a run.toml'") && line.matches("--resume").count() == 1, "{line}");
        assert!(saved(&place) >= steps && saved(&place) == place.steps(LOSSES), "{name}");
        resume = Some(line.to_owned());
    }
}

/// With `nohup`, a closed terminal does not stop the run.
#[cfg(target_os = "linux")]
#[test]
fn a_run_under_nohup_ignores_a_closed_terminal() {
    let place = place();
    let run = place.command(&train(&[]));
    let mut nohup = Command::new("nohup");
    nohup
        .current_dir(place.root())
        .arg(run.get_program())
        .args(run.get_args())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = place.start(nohup, LOSSES, 2);
    signal(&child, "HUP");
    let steps = place.steps(LOSSES);
    sleep(Duration::from_secs(2));
    assert!(child.try_wait().expect("it can be asked").is_none() && place.steps(LOSSES) > steps, "it stopped");
    signal(&child, "TERM");
    assert!(child.wait_with_output().expect("it ends").status.success());
}

/// The second Ctrl-C ends the program at any time; the checkpoints saved before can be resumed.
#[cfg(unix)]
#[test]
fn a_second_interrupt_ends_at_once_and_costs_no_checkpoint() {
    let place = place();
    let mut more: &[&str] = &[];
    for round in 1..=5 {
        let child = place.start(place.command(&train(more)), LOSSES, 2 * round);
        signal(&child, "INT");
        sleep(Duration::from_millis(3 * round as u64));
        signal(&child, "INT");
        let output = child.wait_with_output().expect("it ends");
        // Signals that arrive together count as one; the program then saves and ends normally.
        assert!(matches!(output.status.code(), Some(0 | 130)), "{:?}: {}", output.status, message(&output));
        saved(&place);
        more = &["--resume"];
    }
    let steps = (saved(&place) + 1).to_string();
    place.succeeds(&train(&["--resume", "--steps", &steps]));
}

#[cfg(unix)]
#[test]
fn a_killed_run_is_resumed_and_its_leftovers_are_swept() {
    let place = place();
    let mut more: &[&str] = &[];
    for round in 0..6 {
        let mut child = place.start(place.command(&train(more)), LOSSES, 2 + 3 * round);
        sleep(Duration::from_millis(7 * round as u64));
        signal(&child, "KILL");
        child.wait().expect("it ends");
        assert!(saved(&place) + 1 >= place.steps(LOSSES), "more than a step is lost");
        more = &["--resume"];
    }
    let steps = (saved(&place) + 1).to_string();
    place.succeeds(&train(&["--resume", "--steps", &steps]));
    let text = fs::read_to_string(place.path("run/losses.csv")).expect("a file");
    let numbers: Vec<usize> =
        text.lines().skip(1).map(|line| line.split(',').next().and_then(|step| step.parse().ok()).unwrap()).collect();
    assert_eq!(numbers, (1..=saved(&place)).collect::<Vec<_>>(), "each step is there once");
    let entries = fs::read_dir(place.path("run/checkpoints")).expect("a folder");
    assert_eq!(entries.count(), 2, "one checkpoint and the file that names it");
}

#[test]
fn a_folder_has_one_run_at_a_time() {
    let place = place();
    let mut child = place.start(place.command(&train(&[])), LOSSES, 1);
    place.refuses(&train(&["--resume"]), &["run: another run writes to this folder"]);
    place.refuses(&train(&[]), &["run: another run writes to this folder"]);
    saved(&place);
    child.kill().and_then(|()| child.wait()).expect("it can be stopped");
    let steps = (saved(&place) + 1).to_string();
    place.succeeds(&train(&["--resume", "--steps", &steps]));
}

/// A file has the name of the folder; the error comes before any training.
#[test]
fn a_folder_that_cannot_be_written_is_said_first() {
    let place = place();
    fs::remove_file(place.path("data/0.png")).expect("it was there");
    place.refuses(&train(&["--output", "a run.toml"]), &["a run.toml: cannot be written"]);
    place.refuses(&train(&["--output", "a run.toml/run"]), &["a run.toml/run: cannot be written"]);
}

#[test]
fn a_changed_configuration_is_refused_unless_it_is_asked_for() {
    let place = place();
    place.refuses(&train(&["--resume"]), &["run: has no checkpoint", "--resume"]);
    assert!(!place.path("run").exists());
    place.succeeds(&train(&["--steps", "1"]));
    place.refuses(&train(&["--steps", "2"]), &["--resume"]);
    let wider = ["--resume", "--steps", "2", "--set", "model.block_out_channels=[16, 16]"];
    let options = "--allow-changed-configuration";
    place.refuses(&train(&wider), &["`model.block_out_channels` is [16,16]", "[8,8]", options]);
    place.refuses(&train(&["--resume", "--seed", "9"]), &["`trainer.seed` is 9", options]);
    place.refuses(&train(&["--resume", "--data", "./data"]), &["`data.folder` is \"./data\"", options]);
    let allowed = [&wider[..], &[options]].concat();
    place.refuses(&train(&allowed), &["model.safetensors: tensor `", "[8, 3, 3, 3]", "[16, 3, 3, 3]"]);
    assert_eq!(saved(&place), 1);
    // The number of steps, the output and the use of memory do not affect the steps.
    let free = ["--resume", "--steps", "2", "--gradient-checkpointing", "--set", "output.save_every=7"];
    place.succeeds(&train(&free));
    place.succeeds(&train(&["--resume", "--steps", "3", "--learning-rate", "0.01", options]));
    assert_eq!(saved(&place), 3);
    place.succeeds(&train(&["--resume", "--steps", "4", "--learning-rate", "0.01"]));
}

/// Losses and samples are only for viewing. Without them a run continues with one warning; without a checkpoint it
/// ends.
#[cfg(target_os = "linux")]
#[test]
fn a_run_outlives_files_that_cannot_be_written() {
    let place = place();
    place.succeeds(&train(&["--steps", "1"]));
    fs::remove_file(place.path("run/losses.svg")).expect("it was there");
    for file in ["run/losses.svg", "run/samples"] {
        let _ = fs::remove_dir_all(place.path(file));
        std::os::unix::fs::symlink("/dev/full", place.path(file)).expect("a link");
    }
    let message = place.succeeds(&train(&["--resume", "--steps", "4", "--set", "output.sample_every=1"])).message;
    assert_eq!(message.matches("warning").count(), 1, "{message}");
    assert_eq!((saved(&place), place.steps(LOSSES)), (4, 4));
}

/// An incomplete line of `losses.csv` after a kill is dropped, and so are the lines after the checkpoint.
#[test]
fn cut_lines_of_losses_are_dropped() {
    let place = place();
    place.succeeds(&train(&["--steps", "2"]));
    let path = place.path("run/losses.csv");
    let before = fs::read_to_string(&path).expect("a file");
    let (first, second) = before.trim_end().rsplit_once('\n').expect("lines");
    fs::write(&path, format!("{before}3,0.5\n4,0.")).expect("a file");
    place.succeeds(&train(&["--resume", "--steps", "3"]));
    let after = fs::read_to_string(&path).expect("a file");
    assert!(after.starts_with(&before) && after.lines().count() == before.lines().count() + 1, "{after}");
    assert!(!after.contains("3,0.5\n") && !after.contains("4,"), "{after}");
    fs::write(&path, format!("{first}\n{}", &second[..second.len() - 2])).expect("a file");
    place.succeeds(&train(&["--resume", "--steps", "4"]));
    assert!(fs::read_to_string(&path).expect("a file").starts_with(&format!("{first}\n4,")));
}

/// An image that turns out to be broken during a run does not lose the steps before.
#[test]
fn a_broken_image_costs_no_steps() {
    let place = place();
    let more = ["--steps", "5000", "--set", "output.save_every=5000"];
    let child = place.start(place.command(&train(&more)), LOSSES, 2);
    fs::write(place.path("data/2.png"), "no image").expect("a file");
    let output = child.wait_with_output().expect("it ends");
    let message = message(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("2.png") && message.contains("--resume"), "{message}");
    assert_eq!(saved(&place), place.steps(LOSSES));
}
