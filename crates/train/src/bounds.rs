//! Numbers that make sense.

use std::fmt::Display;
use std::ops::{RangeBounds, RangeInclusive};

use crate::TrainError;

/// A table of a recipe, whose numbers are checked before anything is opened.
pub trait Bounds {
    /// Checks every number.
    ///
    /// # Errors
    /// [`TrainError::OutOfBounds`] with the key of the recipe.
    fn check(&self) -> Result<(), TrainError>;
}

/// Finite, and not below zero.
const NOT_NEGATIVE: RangeInclusive<f64> = 0.0..=f64::MAX;
/// Pixels along each side of an image that is trained with.
const LARGEST_SIZE: u32 = 8192;

pub(crate) fn within<T: PartialOrd + Display>(
    key: &'static str,
    value: T,
    bounds: impl RangeBounds<T>,
    expected: &str,
) -> Result<(), TrainError> {
    unless(bounds.contains(&value), key, value, expected)
}

/// Refuses a value unless it fits.
pub(crate) fn unless(
    fits: bool,
    key: &'static str,
    value: impl Display,
    expected: impl Into<String>,
) -> Result<(), TrainError> {
    if fits {
        Ok(())
    } else {
        Err(TrainError::OutOfBounds { key, value: value.to_string(), expected: expected.into() })
    }
}

/// A table or key that a recipe needs.
pub(crate) fn required<T>(key: &'static str, value: Option<T>, expected: &str) -> Result<T, TrainError> {
    let absent = || TrainError::OutOfBounds { key, value: "not set".to_owned(), expected: expected.to_owned() };
    value.ok_or_else(absent)
}

/// Refuses a table or key that would have no effect, because `source` decides the same.
pub(crate) fn without_effect(key: &'static str, is_set: bool, source: &str) -> Result<(), TrainError> {
    unless(!is_set, key, "set", format!("nothing beside {source}, which decides it,"))
}

pub(crate) fn not_negative(key: &'static str, value: f64) -> Result<(), TrainError> {
    within(key, value, NOT_NEGATIVE, "a number from 0 on")
}

pub(crate) fn share(key: &'static str, value: f64) -> Result<(), TrainError> {
    within(key, value, 0.0..=1.0, "a number from 0 to 1")
}

/// The factor of a term of the loss; larger ones would make it infinite.
pub(crate) fn factor(key: &'static str, value: f64) -> Result<(), TrainError> {
    within(key, value, 0.0..=1e6, "a number from 0 to 1000000")
}

pub(crate) fn positive(key: &'static str, value: usize) -> Result<(), TrainError> {
    within(key, value, 1.., "a number from 1 on")
}

/// Width and height of images.
pub(crate) fn size(key: &'static str, value: u32) -> Result<(), TrainError> {
    within(key, value, 1..=LARGEST_SIZE, &format!("1 to {LARGEST_SIZE} pixels"))
}

/// Refuses a number that is no multiple of `of`, and names those next to it.
pub(crate) fn multiple(key: &'static str, value: usize, of: usize) -> Result<(), TrainError> {
    let lower = value / of * of;
    let near = if lower > 0 { format!("{lower} or {}", lower + of) } else { of.to_string() };
    unless(value.is_multiple_of(of), key, value, format!("a multiple of {of}, such as {near},"))
}
