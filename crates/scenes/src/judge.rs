use std::collections::BTreeMap;
use std::ops::Range;

use image::imageops::{FilterType, crop_imm, flip_horizontal, replace, resize};
use image::{Rgb, RgbImage};

/// Judges images of scenes by drawings of all objects on all backgrounds.
#[derive(Debug, Default)]
pub struct SceneJudge {
    backgrounds: BTreeMap<String, MeanColor>,
    drawings: Vec<Drawing>,
}

/// The contents of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels<'a> {
    /// The name of the object, or of the left one of two.
    pub object: &'a str,
    /// The name of the background's colour.
    pub background: &'a str,
    /// The number of objects: 1 or 2.
    pub count: usize,
}

/// Which properties of an image are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The colour of the image's margin is nearer to that of the requested background than to any other's.
    pub background: bool,
    /// The nearest of all drawings on that background shows the requested object; `None` for images of two objects.
    pub object: Option<bool>,
    /// The number of objects is the requested one.
    pub count: bool,
}

impl SceneJudge {
    /// Adds a drawing of one object.
    pub fn add_drawing(&mut self, image: &RgbImage, labels: Labels<'_>) {
        self.backgrounds.entry(labels.background.to_owned()).or_default().add(background(image));
        self.drawings.push(Drawing {
            object: labels.object.to_owned(),
            background: labels.background.to_owned(),
            image: framed(image),
        });
    }

    /// Judges an image by the labels of the request that it was generated for.
    pub fn judge(&self, image: &RgbImage, labels: Labels<'_>) -> Verdict {
        Verdict {
            background: self.nearest_background(image) == Some(labels.background),
            object: (labels.count == 1).then(|| self.nearest_object(image, labels.background) == Some(labels.object)),
            count: object_count(image) == labels.count,
        }
    }

    fn nearest_background(&self, image: &RgbImage) -> Option<&str> {
        let color = background(image);
        let distance =
            |mean: &MeanColor| -> f64 { mean.color().into_iter().zip(color).map(|(a, b)| (a - b).powi(2)).sum() };
        let nearest = self.backgrounds.iter().min_by(|(_, a), (_, b)| distance(a).total_cmp(&distance(b)));
        nearest.map(|(name, _)| name.as_str())
    }

    /// The object of the nearest drawing on that background, by the squared difference of the framed images, of which
    /// one may be mirrored.
    fn nearest_object(&self, image: &RgbImage, background: &str) -> Option<&str> {
        let image = framed(image);
        let orientations = [flip_horizontal(&image), image];
        let distance =
            |drawing: &Drawing| orientations.iter().map(|image| squared_difference(image, &drawing.image)).min();
        let candidates = self.drawings.iter().filter(|drawing| drawing.background == background);
        candidates.min_by_key(|drawing| distance(drawing)).map(|drawing| drawing.object.as_str())
    }
}

#[derive(Debug)]
struct Drawing {
    object: String,
    background: String,
    /// Framed.
    image: RgbImage,
}

#[derive(Debug, Default)]
struct MeanColor {
    sum: [f64; 3],
    count: f64,
}

impl MeanColor {
    fn add(&mut self, color: [f64; 3]) {
        color.into_iter().zip(&mut self.sum).for_each(|(value, sum)| *sum += value);
        self.count += 1.0;
    }

    fn color(&self) -> [f64; 3] {
        self.sum.map(|sum| sum / self.count)
    }
}

/// Width of the margin that shows the background, in pixels of an image of 64.
const MARGIN: u32 = 3;

/// The median colour of the image's margin.
fn background(image: &RgbImage) -> [f64; 3] {
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

/// Greatest difference from the background, summed over the channels, at which a pixel still belongs to it.
const TOLERANCE: f64 = 60.0;

fn is_object(pixel: &Rgb<u8>, background: [f64; 3]) -> bool {
    let differences =
        pixel.0.into_iter().zip(background).map(|(value, background)| (f64::from(value) - background).abs());
    differences.sum::<f64>() > TOLERANCE
}

/// Width and height of framed images.
const FRAME: u32 = 16;

/// The object in the middle of a square that it touches on two sides at least, on the background: the same image
/// wherever the object was and however large.
fn framed(image: &RgbImage) -> RgbImage {
    let background = background(image);
    let is_object = |x: u32, y: u32| is_object(image.get_pixel(x, y), background);
    let columns = extent(image.width(), |x| (0..image.height()).any(|y| is_object(x, y)));
    let rows = extent(image.height(), |y| (0..image.width()).any(|x| is_object(x, y)));
    let side = columns.len().max(rows.len());
    let mut frame = RgbImage::from_pixel(side as u32, side as u32, Rgb(background.map(|value| value as u8)));
    let object = crop_imm(image, columns.start, rows.start, columns.len() as u32, rows.len() as u32).to_image();
    replace(&mut frame, &object, ((side - columns.len()) / 2) as i64, ((side - rows.len()) / 2) as i64);
    resize(&frame, FRAME, FRAME, FilterType::Triangle)
}

/// The range from the first to the last of `0..length` for which `holds` is true; all if there is none.
fn extent(length: u32, holds: impl Fn(u32) -> bool) -> Range<u32> {
    let first = (0..length).find(|&place| holds(place));
    let last = (0..length).rfind(|&place| holds(place));
    first.zip(last).map_or(0..length, |(first, last)| first..last + 1)
}

fn squared_difference(a: &RgbImage, b: &RgbImage) -> u64 {
    a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
}

/// The number of objects, one or two: two if one of the middle columns has less than a quarter of the object pixels
/// that the fullest column has.
fn object_count(image: &RgbImage) -> usize {
    let (width, height) = image.dimensions();
    let background = background(image);
    let pixels = |x: u32| (0..height).filter(|&y| is_object(image.get_pixel(x, y), background)).count();
    let middle = (width * 7 / 16)..(width * 9 / 16);
    let most = (0..width).map(pixels).max().unwrap_or(0);
    let least = middle.map(pixels).min().unwrap_or(most);
    if 4 * least < most { 2 } else { 1 }
}
