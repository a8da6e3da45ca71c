//! Pictures and their files.

use std::io::{BufWriter, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use image::RgbImage;
use tempfile::NamedTempFile;

use crate::Error;

/// A picture, with the request that it was made from.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The pixels.
    pub image: RgbImage,
    /// The request as text, in the form of AUTOMATIC1111's web UI; empty if unknown.
    pub parameters: String,
}

/// The pictures of one request.
#[derive(Debug, Clone)]
pub struct Pictures(Vec<Picture>);

impl Pictures {
    pub(crate) fn new(images: Vec<(RgbImage, String)>) -> Self {
        Self(images.into_iter().map(|(image, parameters)| Picture { image, parameters }).collect())
    }

    /// Writes the picture as a PNG; several as `name-1.png`, `name-2.png` and so on. Returns the files.
    ///
    /// # Errors
    /// When a file cannot be written; there is never half a file.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Vec<PathBuf>, Error> {
        let path = path.as_ref();
        let numbered = |number: usize| match self.0.len() {
            1 => path.to_owned(),
            _ => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                path.with_file_name(format!("{stem}-{number}.png"))
            }
        };
        let save = |(index, picture): (usize, &Picture)| {
            let path = numbered(index + 1);
            picture.save(&path).map(|()| path)
        };
        self.0.iter().enumerate().map(save).collect()
    }
}

impl Deref for Pictures {
    type Target = [Picture];

    fn deref(&self) -> &[Picture] {
        &self.0
    }
}

impl Picture {
    /// Writes the picture as a PNG with its parameters as text, first to a temporary file beside it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let failed = |problem: String| Error::Write { path: path.to_owned(), problem };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if path.is_dir() || path.file_name().is_none() {
            return Err(failed("is a folder; name a .png file".into()));
        }
        let file = NamedTempFile::new_in(folder).map_err(|error| failed(error.to_string()))?;
        self.encode(BufWriter::new(&file)).map_err(|error| failed(error.to_string()))?;
        file.persist(path).map_err(|error| failed(error.error.to_string()))?;
        readable_by_all(path).map_err(|error| failed(error.to_string()))
    }

    /// The bytes of the PNG that [`save`](Self::save) writes.
    ///
    /// # Errors
    /// When the text is longer than a PNG may have.
    pub fn to_png(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes)
            .map_err(|error| Error::Write { path: PathBuf::from("PNG"), problem: error.to_string() })?;
        Ok(bytes)
    }

    fn encode(&self, writer: impl Write) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(writer, self.image.width(), self.image.height());
        encoder.set_color(png::ColorType::Rgb);
        if !self.parameters.is_empty() {
            // tEXt holds Latin-1 only; everything else is iTXt, as Pillow and so AUTOMATIC1111 does it.
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

/// Temporary files are private; a picture has the permissions of other new files.
fn readable_by_all(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))?;
    }
    let _ = path;
    Ok(())
}
