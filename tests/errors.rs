//! Error messages do not repeat anything.

use std::error::Error as _;
use std::io;

use pyrograph::{CheckpointError, Error, SchedulerError};
use pyrograph_clip::Error as ClipError;
use pyrograph_unet::ConfigError;

fn io_error() -> io::Error {
    io::Error::other("the disk is full")
}

fn json_error() -> serde_json::Error {
    serde_json::from_str::<u8>("broken").expect_err("no JSON")
}

fn config_error() -> ConfigError {
    ConfigError { key: "norm_num_groups", problem: "must be a positive number".to_owned() }
}

/// Every variant with a cause, inside every variant that can contain it.
fn errors() -> Vec<Error> {
    let checkpoint = CheckpointError::Io { path: "model".into(), cause: io_error() };
    let text = [ClipError::Json { file: "vocab.json", cause: json_error() }, ClipError::Shipped { cause: io_error() }];
    let merge =
        ClipError::Merge { line: 3, text: "a".to_owned(), reason: "two tokens with a space between are expected" };
    let clip =
        Error::Clip { folder: "clip".into(), cause: ClipError::Json { file: "config.json", cause: json_error() } };
    let step = pyrograph::Algorithm::Ddim.build(&Default::default(), 1001).expect_err("1000 are possible");
    let schedulers = [SchedulerError::Json { cause: json_error() }, SchedulerError::UnknownClass("X".to_owned()), step];
    let own = [Error::Checkpoint(checkpoint), Error::Config { component: "unet", cause: config_error() }, clip];
    let text = text.into_iter().chain([merge]).map(Error::Text);
    own.into_iter().chain(text).chain(schedulers.into_iter().map(Error::Scheduler)).collect()
}

#[test]
fn a_chain_of_causes_says_nothing_twice() {
    for error in errors() {
        let mut messages = vec![error.to_string()];
        let mut source = error.source();
        while let Some(cause) = source {
            messages.push(cause.to_string());
            source = cause.source();
        }
        let chain = format!("{:#}", anyhow::Error::from(error));
        for message in messages {
            assert_eq!(chain.matches(&message).count(), 1, "{message:?} in {chain:?}");
        }
        for cause in ["the disk is full", "expected value at line 1", "positive number", "1 to 1000", "are expected"] {
            assert!(chain.matches(cause).count() <= 1, "{cause:?} in {chain:?}");
        }
    }
}
