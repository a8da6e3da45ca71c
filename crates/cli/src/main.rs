//! The program `pyrograph`: generates images from text, classifies images, and trains models.

mod bench;
mod classify;
mod devices;
mod eval;
mod interrupts;
mod losses;
mod outputs;
mod progress;
mod score;
mod session;
mod shipped;
mod train;
mod txt2img;

use std::io::{Error, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::anyhow;
use clap::{Parser, Subcommand};

/// Stable Diffusion in Rust on WebGPU
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate images from a text
    #[command(args_override_self = true)]
    Txt2img(Box<txt2img::Arguments>),
    /// Train a model
    Train(Box<train::Arguments>),
    /// Find the label that describes an image best
    Classify(classify::Arguments),
    /// Score how well a text describes an image: the cosine similarity of CLIP, -1 to 1
    Score(score::Arguments),
    /// Measure the quality of a model
    Eval(eval::Arguments),
    /// List the adapters of wgpu, their limits and features
    Devices,
    /// Measure the stages of one image and print them as JSON
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    // The library turns panics of burn and wgpu into errors. They are printed once, at the end.
    set_hook(Box::new(|panic| *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic.to_string())));
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let result = catch_unwind(AssertUnwindSafe(|| run(arguments.command))).unwrap_or_else(|_| {
        let panic = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        Err(anyhow!("this is a bug of pyrograph, please report it: {}", panic.replace('\n', " ")))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has closed it, as in `pyrograph devices | head -1`.
        Err(error) if error.downcast_ref().is_some_and(|error: &Error| error.kind() == ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", in_terms_of_options(&error));
            ExitCode::FAILURE
        }
    }
}

/// The message of the last panic, with its location in the source.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Txt2img(arguments) => txt2img::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Classify(arguments) => classify::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Devices => devices::run(),
        Command::Bench(arguments) => bench::run(&arguments),
    }
}

/// The message of an error. Fields of the library's requests are replaced by the options of the program.
fn in_terms_of_options(error: &anyhow::Error) -> String {
    let Some(pyrograph::Error::Request { field, problem }) = error.downcast_ref() else { return format!("{error:#}") };
    match *field {
        "f16" => format!("--dtype: {problem}"),
        "noise" => format!("--latents: {problem}"),
        field => format!("--{}: {problem}", field.replace('_', "-")),
    }
}

/// Prints help and version to the standard output. For wrong arguments, prints the first lines of the message; the exit
/// code is 1, as for all other errors.
fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).take(3).collect();
    eprintln!("{}", lines.join("\n"));
    ExitCode::FAILURE
}
