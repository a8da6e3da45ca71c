use std::collections::BTreeMap;
use std::ops::Range;

use image::imageops::{FilterType, crop_imm, flip_horizontal, replace, resize};
use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::{Dataset, TrainError};

/// Judges images of one or two objects on a ground of one colour by drawings of all objects on all grounds.
#[derive(Debug)]
pub struct SceneJudge {
    grounds: BTreeMap<String, [f64; 3]>,
    drawings: Vec<Drawing>,
}

/// What is right in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Of all grounds, the image's margin is nearest to the one that was asked for.
    pub background: bool,
    /// Of all drawings on that ground, the nearest shows the object; `None` for images of two objects.
    pub object: Option<bool>,
    /// There are as many things as were asked for.
    pub count: bool,
}

#[derive(Debug)]
struct Drawing {
    object: String,
    background: String,
    image: RgbImage,
}

/// Pixels of the margin in which the ground is looked for, for an image of 64.
const MARGIN: u32 = 3;
/// Width and height at which images are compared.
const SMALL: u32 = 16;

impl SceneJudge {
    /// Reads the drawings, whose list says `object` and `background`.
    ///
    /// # Errors
    /// When an image cannot be read or lacks a label.
    pub fn new(drawings: &Dataset) -> Result<Self, TrainError> {
        let mut judge = Self { grounds: BTreeMap::new(), drawings: Vec::new() };
        let mut sums: BTreeMap<String, ([f64; 3], f64)> = BTreeMap::new();
        for number in 0..drawings.len() {
            let image = drawings.image(number)?;
            let (object, background) =
                (drawings.text_label(number, "object")?, drawings.text_label(number, "background")?);
            let (sum, count) = sums.entry(background.to_owned()).or_default();
            ground(&image).into_iter().zip(sum).for_each(|(value, sum)| *sum += value);
            *count += 1.0;
            let image = framed(&image);
            judge.drawings.push(Drawing { object: object.to_owned(), background: background.to_owned(), image });
        }
        judge.grounds = sums.into_iter().map(|(name, (sum, count))| (name, sum.map(|sum| sum / count))).collect();
        Ok(judge)
    }

    /// Judges an image by the labels of the request that it was made for: `object`, `background` and `count` of image
    /// `number` in `requests`.
    ///
    /// # Errors
    /// When a label is missing.
    pub fn judge(&self, image: &RgbImage, requests: &Dataset, number: usize) -> Result<Verdict, TrainError> {
        let (object, background) = (requests.text_label(number, "object")?, requests.text_label(number, "background")?);
        let count = requests.label(number, "count").and_then(Value::as_u64).unwrap_or(1) as usize;
        let colour = ground(image);
        let distance = |ground: &[f64; 3]| -> f64 { ground.iter().zip(colour).map(|(a, b)| (a - b).powi(2)).sum() };
        let nearest = self.grounds.iter().min_by(|(_, a), (_, b)| distance(a).total_cmp(&distance(b)));
        Ok(Verdict {
            background: nearest.is_some_and(|(name, _)| name == background),
            object: (count == 1).then(|| self.nearest(image, background) == Some(object)),
            count: things(image) == count,
        })
    }

    /// The object of the nearest drawing on that ground, by the squared difference of what is in their frames, of which one
    /// may be mirrored.
    fn nearest(&self, image: &RgbImage, background: &str) -> Option<&str> {
        let image = framed(image);
        let ways = [flip_horizontal(&image), image];
        let distance = |drawing: &Drawing| ways.iter().map(|way| difference(way, &drawing.image)).min();
        let candidates = self.drawings.iter().filter(|drawing| drawing.background == background);
        candidates.min_by_key(|drawing| distance(drawing)).map(|drawing| drawing.object.as_str())
    }
}

fn difference(a: &RgbImage, b: &RgbImage) -> u64 {
    a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
}

/// What is not ground, in the middle of a square that it touches on two sides at least: the same wherever it was and however
/// large.
fn framed(image: &RgbImage) -> RgbImage {
    let ground = ground(image);
    let is_thing = |x: u32, y: u32| differs(image.get_pixel(x, y), ground);
    let columns = extent(image.width(), |x| (0..image.height()).any(|y| is_thing(x, y)));
    let rows = extent(image.height(), |y| (0..image.width()).any(|x| is_thing(x, y)));
    let side = columns.len().max(rows.len());
    let mut frame = RgbImage::from_pixel(side as u32, side as u32, Rgb(ground.map(|value| value as u8)));
    let thing = crop_imm(image, columns.start, rows.start, columns.len() as u32, rows.len() as u32).to_image();
    replace(&mut frame, &thing, ((side - columns.len()) / 2) as i64, ((side - rows.len()) / 2) as i64);
    resize(&frame, SMALL, SMALL, FilterType::Triangle)
}

/// From the first to the last of `0..length` that holds; all where none does.
fn extent(length: u32, holds: impl Fn(u32) -> bool) -> Range<u32> {
    let first = (0..length).find(|&place| holds(place));
    let last = (0..length).rfind(|&place| holds(place));
    first.zip(last).map_or(0..length, |(first, last)| first..last + 1)
}

/// The median colour of the margin.
fn ground(image: &RgbImage) -> [f64; 3] {
    let (width, height) = image.dimensions();
    let margin = (width * MARGIN / 64).max(1);
    let inside = |x: u32, y: u32| (margin..width - margin).contains(&x) && (margin..height - margin).contains(&y);
    let pixels: Vec<&Rgb<u8>> =
        image.enumerate_pixels().filter(|(x, y, _)| !inside(*x, *y)).map(|(_, _, pixel)| pixel).collect();
    [0, 1, 2].map(|channel| {
        let mut values: Vec<u8> = pixels.iter().map(|pixel| pixel.0[channel]).collect();
        values.sort_unstable();
        f64::from(values[values.len() / 2])
    })
}

/// How far a pixel's channels together may be from the ground's and still belong to it.
const GROUND: f64 = 60.0;

fn differs(pixel: &Rgb<u8>, ground: [f64; 3]) -> bool {
    pixel.0.into_iter().zip(ground).map(|(value, ground)| (f64::from(value) - ground).abs()).sum::<f64>() > GROUND
}

/// One or two: whether the columns in the middle show nothing but ground, with something on both sides.
fn things(image: &RgbImage) -> usize {
    let (width, height) = image.dimensions();
    let ground = ground(image);
    let share =
        |x: u32| (0..height).filter(|&y| differs(image.get_pixel(x, y), ground)).count() as f64 / f64::from(height);
    let middle = (width * 7 / 16)..(width * 9 / 16);
    let least = middle.map(share).fold(f64::INFINITY, f64::min);
    let most = (0..width).map(share).fold(0.0, f64::max);
    if least < 0.25 * most { 2 } else { 1 }
}
