use std::collections::BTreeMap;

use image::imageops::thumbnail;
use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::{Dataset, TrainError};

/// Judges pictures of one or two objects on a ground of one colour by drawings of all objects on all grounds.
#[derive(Debug)]
pub struct SceneJudge {
    grounds: BTreeMap<String, [f64; 3]>,
    drawings: Vec<Drawing>,
}

/// What is right in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Of all grounds, the picture's margin is nearest to the one that was asked for.
    pub background: bool,
    /// Of all drawings on that ground, the nearest shows the object; `None` for pictures of two objects.
    pub object: Option<bool>,
    /// There are as many things as were asked for.
    pub count: bool,
}

#[derive(Debug)]
struct Drawing {
    object: String,
    background: String,
    picture: RgbImage,
}

/// Pixels of the margin in which the ground is looked for, for a picture of 64.
const MARGIN: u32 = 3;
/// Width and height at which pictures are compared.
const SMALL: u32 = 16;

impl SceneJudge {
    /// Reads the drawings, whose list says `object` and `background`.
    ///
    /// # Errors
    /// When a picture cannot be read or lacks a label.
    pub fn new(drawings: &Dataset) -> Result<Self, TrainError> {
        let mut judge = Self { grounds: BTreeMap::new(), drawings: Vec::new() };
        let mut sums: BTreeMap<String, ([f64; 3], f64)> = BTreeMap::new();
        for number in 0..drawings.len() {
            let picture = drawings.picture(number)?;
            let (object, background) =
                (drawings.text_label(number, "object")?, drawings.text_label(number, "background")?);
            let (sum, count) = sums.entry(background.to_owned()).or_default();
            ground(&picture).into_iter().zip(sum).for_each(|(value, sum)| *sum += value);
            *count += 1.0;
            let picture = thumbnail(&picture, SMALL, SMALL);
            judge.drawings.push(Drawing { object: object.to_owned(), background: background.to_owned(), picture });
        }
        judge.grounds = sums.into_iter().map(|(name, (sum, count))| (name, sum.map(|sum| sum / count))).collect();
        Ok(judge)
    }

    /// Judges a picture by the labels of the request that it was made for: `object`, `background` and `count` of picture
    /// `number` in `requests`.
    ///
    /// # Errors
    /// When a label is missing.
    pub fn judge(&self, picture: &RgbImage, requests: &Dataset, number: usize) -> Result<Verdict, TrainError> {
        let (object, background) = (requests.text_label(number, "object")?, requests.text_label(number, "background")?);
        let count = requests.label(number, "count").and_then(Value::as_u64).unwrap_or(1) as usize;
        let colour = ground(picture);
        let distance = |ground: &[f64; 3]| -> f64 { ground.iter().zip(colour).map(|(a, b)| (a - b).powi(2)).sum() };
        let nearest = self.grounds.iter().min_by(|(_, a), (_, b)| distance(a).total_cmp(&distance(b)));
        Ok(Verdict {
            background: nearest.is_some_and(|(name, _)| name == background),
            object: (count == 1).then(|| self.nearest(picture, background) == Some(object)),
            count: things(picture) == count,
        })
    }

    /// The object of the nearest drawing on that ground, by the mean squared difference of small pictures, of which one may
    /// be moved by a pixel.
    fn nearest(&self, picture: &RgbImage, background: &str) -> Option<&str> {
        let small = thumbnail(picture, SMALL, SMALL);
        let moved: Vec<RgbImage> =
            (-1..=1).flat_map(|y| (-1..=1).map(move |x| (x, y))).map(|by| shifted(&small, by)).collect();
        let distance = |drawing: &Drawing| moved.iter().map(|moved| difference(moved, &drawing.picture)).min();
        let candidates = self.drawings.iter().filter(|drawing| drawing.background == background);
        candidates.min_by_key(|drawing| distance(drawing)).map(|drawing| drawing.object.as_str())
    }
}

fn difference(a: &RgbImage, b: &RgbImage) -> u64 {
    a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
}

/// A picture moved by `(x, y)`; what enters repeats its border.
fn shifted(picture: &RgbImage, (x, y): (i64, i64)) -> RgbImage {
    let from = |place: u32, by: i64, size: u32| (i64::from(place) - by).clamp(0, i64::from(size) - 1) as u32;
    RgbImage::from_fn(picture.width(), picture.height(), |column, row| {
        *picture.get_pixel(from(column, x, picture.width()), from(row, y, picture.height()))
    })
}

/// The median colour of the margin.
fn ground(picture: &RgbImage) -> [f64; 3] {
    let (width, height) = picture.dimensions();
    let margin = (width * MARGIN / 64).max(1);
    let inside = |x: u32, y: u32| (margin..width - margin).contains(&x) && (margin..height - margin).contains(&y);
    let pixels: Vec<&Rgb<u8>> =
        picture.enumerate_pixels().filter(|(x, y, _)| !inside(*x, *y)).map(|(_, _, pixel)| pixel).collect();
    [0, 1, 2].map(|channel| {
        let mut values: Vec<u8> = pixels.iter().map(|pixel| pixel.0[channel]).collect();
        values.sort_unstable();
        f64::from(values[values.len() / 2])
    })
}

/// How far a pixel's channels together may be from the ground's and still belong to it.
const GROUND: f64 = 60.0;

/// One or two: whether the columns in the middle show nothing but ground, with something on both sides.
fn things(picture: &RgbImage) -> usize {
    let (width, height) = picture.dimensions();
    let ground = ground(picture);
    let is_thing = |x: u32, y: u32| {
        let pixel = picture.get_pixel(x, y).0;
        pixel.into_iter().zip(ground).map(|(value, ground)| (f64::from(value) - ground).abs()).sum::<f64>() > GROUND
    };
    let share = |x: u32| (0..height).filter(|&y| is_thing(x, y)).count() as f64 / f64::from(height);
    let middle = (width * 7 / 16)..(width * 9 / 16);
    let least = middle.map(share).fold(f64::INFINITY, f64::min);
    let most = (0..width).map(share).fold(0.0, f64::max);
    if least < 0.25 * most { 2 } else { 1 }
}
