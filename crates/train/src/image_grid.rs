//! Images side by side.

use burn::tensor::{DType, Tensor};
use image::imageops::replace;
use image::{Rgb, RgbImage};

/// Images of one size, side by side in rows of `columns`.
pub fn tile(images: &[RgbImage], columns: usize) -> RgbImage {
    let (width, height) = images.first().map_or((0, 0), RgbImage::dimensions);
    let rows = images.len().div_ceil(columns);
    let mut tiled = RgbImage::new(width * columns.min(images.len()) as u32, height * rows as u32);
    for (index, image) in images.iter().enumerate() {
        let (column, row) = ((index % columns) as i64, (index / columns) as i64);
        replace(&mut tiled, image, column * i64::from(width), row * i64::from(height));
    }
    tiled
}

/// The images of a tensor with values in -1 ..= 1, side by side in rows of `columns`.
///
/// # Shapes
/// - `images`: `[batch, 3 or 1, height, width]`
pub(crate) fn grid(images: Tensor<4>, columns: usize) -> RgbImage {
    let [_, channels, height, width] = images.dims();
    let values = images.cast(DType::F32).into_data().try_to_vec::<f32>().expect("float32");
    let byte = |value: f32| ((value + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
    let image = |values: &[f32]| {
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let pixel = y as usize * width + x as usize;
            Rgb([0, 1, 2].map(|channel: usize| byte(values[channel.min(channels - 1) * height * width + pixel])))
        })
    };
    tile(&values.chunks(channels * height * width).map(image).collect::<Vec<_>>(), columns)
}

/// Rows of eight images, each row above the one that a model made of it.
///
/// # Shapes
/// - `images`, `made`: `[batch, 3, height, width]`
pub(crate) fn above(images: Tensor<4>, made: Tensor<4>) -> RgbImage {
    const COLUMNS: usize = 8;
    let rows = images.split(COLUMNS, 0).into_iter().zip(made.split(COLUMNS, 0));
    grid(Tensor::cat(rows.flat_map(|(images, made)| [images, made]).collect(), 0), COLUMNS)
}
