//! Images and their files.

use std::io::Write;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use image::RgbImage;
use pyrograph_checkpoint::Output;

use crate::Error;

/// An image with the request that made it.
#[derive(Debug, Clone)]
pub struct GeneratedImage {
    /// The pixels.
    pub image: RgbImage,
    /// The request as text, in the format of AUTOMATIC1111's web UI; empty if unknown.
    pub parameters: String,
}

/// The images of one request.
#[derive(Debug, Clone)]
pub struct GeneratedImages(Vec<GeneratedImage>);

impl GeneratedImages {
    pub(crate) fn new(images: Vec<(RgbImage, String)>) -> Self {
        Self(images.into_iter().map(|(image, parameters)| GeneratedImage { image, parameters }).collect())
    }

    /// Opens the outputs of `count` images: the file `path`, or several files `name-1.png`, `name-2.png` and so on. A
    /// device or a pipe receives one image after the other.
    ///
    /// # Errors
    /// Returns an error if the name does not end in `.png`, or a file cannot be written.
    pub fn outputs(path: impl AsRef<Path>, count: usize) -> Result<Vec<Output>, Error> {
        let path = path.as_ref();
        let is_special = path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir());
        if count == 1 || is_special {
            return (0..count).map(|_| open_png(path)).collect();
        }
        check_format(path)?;
        let [stem, extension] =
            [path.file_stem(), path.extension()].map(|part| part.unwrap_or_default().to_string_lossy());
        let numbered = |number: usize| path.with_file_name(format!("{stem}-{number}.{extension}"));
        (1..=count).map(|number| open_png(&numbered(number))).collect()
    }

    /// Writes each image as a PNG. Several images become `name-1.png`, `name-2.png` and so on. Returns the files.
    ///
    /// # Errors
    /// Returns an error if the name does not end in `.png`, or a file cannot be written. The other files are written,
    /// and no file is ever incomplete.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Vec<PathBuf>, Error> {
        let outputs = Self::outputs(path, self.0.len())?;
        let save = |(image, output): (&GeneratedImage, Output)| {
            let path = output.path().to_owned();
            image.write(output).map(|()| path)
        };
        self.0.iter().zip(outputs).map(save).collect::<Vec<_>>().into_iter().collect()
    }
}

impl Deref for GeneratedImages {
    type Target = [GeneratedImage];

    fn deref(&self) -> &[GeneratedImage] {
        &self.0
    }
}

impl GeneratedImage {
    /// Writes the image as a PNG with its parameters as text.
    ///
    /// # Errors
    /// Returns an error if the name does not end in `.png`, or the file cannot be written. No file is ever incomplete.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.write(open_png(path.as_ref())?)
    }

    /// Like [`save`](Self::save), to an output that is already open; see [`GeneratedImages::outputs`].
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(&self, output: Output) -> Result<(), Error> {
        let failed = |error| match error {
            png::EncodingError::IoError(error) => error,
            other => other.into(),
        };
        Ok(output.write_with(|output| self.encode(output).map_err(failed))?)
    }

    /// The bytes of the PNG that [`save`](Self::save) writes.
    ///
    /// # Errors
    /// Returns an error if the text is longer than a PNG allows.
    pub fn to_png(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes).map_err(Error::Png)?;
        Ok(bytes)
    }

    fn encode(&self, writer: impl Write) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(writer, self.image.width(), self.image.height());
        encoder.set_color(png::ColorType::Rgb);
        if !self.parameters.is_empty() {
            // tEXt can only store Latin-1. Other text goes into iTXt, as in Pillow and therefore in AUTOMATIC1111's web
            // UI.
            if self.parameters.chars().all(|c| u32::from(c) < 256) {
                encoder.add_text_chunk("parameters".into(), self.parameters.clone())?;
            } else {
                encoder.add_itxt_chunk("parameters".into(), self.parameters.clone())?;
            }
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(self.image.as_raw())?;
        writer.finish()
    }
}

/// Opens the output of an image. Devices and pipes may have any name.
fn open_png(path: &Path) -> Result<Output, Error> {
    let output = Output::create(path)?;
    if !output.is_stream() {
        check_format(path)?;
    }
    Ok(output)
}

/// Checks the format that the name asks for. Only PNG is supported.
fn check_format(path: &Path) -> Result<(), Error> {
    let is_png = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    if is_png { Ok(()) } else { Err(Error::ImageFormat { path: path.to_owned() }) }
}
