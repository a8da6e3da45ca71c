//! The reader of image files for all of pyrograph.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Rgb, RgbImage, RgbaImage};

use crate::{Disproportionate, Error};

/// A reason why a file cannot be read as an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFileError {
    /// The file cannot be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The first bytes are not those of a supported format.
    #[error("is {found}; PNG, JPEG and WebP images can be read{advice}")]
    Format {
        /// The kind of file according to its first bytes.
        found: String,
        /// How to get the image, if known.
        advice: &'static str,
    },
    /// The file is truncated.
    #[error("is truncated; copy or download it again")]
    Truncated,
    /// The image has more than [`MAX_PIXELS`](Self::MAX_PIXELS), or its file more than 1 GiB.
    #[error("is too large ({size}); at most {} pixels can be read", Self::MAX_PIXELS)]
    TooLarge {
        /// Width and height, or the length of the file.
        size: String,
    },
    /// One side is much longer than the other.
    #[error(transparent)]
    Disproportionate(#[from] Disproportionate),
    /// The error of the decoder.
    #[error(transparent)]
    Decode(ImageError),
}

impl ImageFileError {
    /// The largest product of width and height: the limit above which Pillow suspects a decompression bomb. It is 512
    /// MiB as RGB.
    pub const MAX_PIXELS: u64 = 178_956_970;
}

/// Limit of the bytes of a file, and of the bytes that a decoder may allocate.
const MAX_LENGTH: u64 = 1 << 30;
const MAX_ALLOCATION: u64 = 1 << 30;

/// Reads an image file with [`decode_image`].
///
/// # Errors
/// [`Error::Read`] with the path.
pub fn read_image(path: impl AsRef<Path>) -> Result<RgbImage, Error> {
    let path = path.as_ref();
    let image = read_bytes(path).and_then(|bytes| decode_image(&bytes));
    image.map_err(|cause| Error::Read { path: path.to_owned(), cause })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, ImageFileError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_LENGTH + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LENGTH {
        return Err(ImageFileError::TooLarge { size: "a file of more than 1 GiB".to_owned() });
    }
    Ok(bytes)
}

/// Decodes a PNG, JPEG or WebP file; its name does not matter. The orientation of its metadata is applied, and
/// transparent pixels are laid on white. The result has 8 bits per channel. Of an animation, the first frame is
/// decoded.
///
/// # Errors
/// Returns an error if the bytes are another kind of file, are truncated, or contain an image of more than
/// [`ImageFileError::MAX_PIXELS`].
pub fn decode_image(bytes: &[u8]) -> Result<RgbImage, ImageFileError> {
    let format = format(bytes)?;
    if !is_whole(bytes, format) {
        return Err(ImageFileError::Truncated);
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > ImageFileError::MAX_PIXELS || decoder.total_bytes() > MAX_ALLOCATION {
        return Err(ImageFileError::TooLarge { size: format!("{width}x{height} pixels") });
    }
    let orientation = orientation(&mut decoder, bytes);
    let mut image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    image.apply_orientation(orientation);
    Ok(on_white(image))
}

/// Maps the error of a truncated file to its own variant.
fn failed(error: ImageError) -> ImageFileError {
    match error {
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => ImageFileError::Truncated,
        ImageError::Limits(_) => ImageFileError::TooLarge { size: "its decoder would need more than 1 GiB".to_owned() },
        error => ImageFileError::Decode(error),
    }
}

/// The format according to the first bytes.
fn format(bytes: &[u8]) -> Result<ImageFormat, ImageFileError> {
    let (found, advice) = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP)) => return Ok(format),
        Ok(format) => (format!("a file of type {}", format.to_mime_type()), ""),
        Err(_) if bytes.is_empty() => ("empty".to_owned(), ""),
        Err(_) if bytes.starts_with(b"version https://git-lfs") => {
            ("a Git LFS pointer".to_owned(), "; replace it by the file with `git lfs pull`")
        }
        Err(_) if bytes.trim_ascii_start().starts_with(b"<") => {
            ("an HTML or XML text".to_owned(), "; if it should be an image, the download failed")
        }
        Err(_) => ("no image".to_owned(), ""),
    };
    Err(ImageFileError::Format { found, advice })
}

/// Whether a file is complete. Decoders may fill the rest of a truncated JPEG with grey; Pillow refuses it.
fn is_whole(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        ImageFormat::Jpeg => has_end_of_image(bytes),
        ImageFormat::Png => png_chunk(bytes, *b"IEND").is_some(),
        // The length of the rest of the file follows "RIFF".
        _ => {
            matches!(bytes[4..], [a, b, c, d, ref rest @ ..] if rest.len() as u64 >= u32::from_le_bytes([a, b, c, d]).into())
        }
    }
}

/// Whether a JPEG has its marker EOI outside of segments such as the one with a thumbnail.
fn has_end_of_image(jpeg: &[u8]) -> bool {
    let mut rest = jpeg;
    while let Some(start) = rest.iter().position(|&byte| byte == 0xFF) {
        rest = &rest[start + 1..];
        match *rest {
            [0xD9, ..] => return true,
            [0x00 | 0x01 | 0xD0..=0xD8 | 0xFF, ..] => {} // neither these markers nor stuffing have a length
            [_, high, low, ..] => {
                let segment = 1 + usize::from(u16::from_be_bytes([high, low]));
                rest = rest.get(segment..).unwrap_or_default();
            }
            _ => return false,
        }
    }
    false
}

/// The orientation of the image: that of EXIF, else that of XMP, in the order of Pillow's `exif_transpose`.
fn orientation(decoder: &mut impl ImageDecoder, bytes: &[u8]) -> Orientation {
    let exif = decoder.exif_metadata().ok().flatten();
    let exif = exif.or_else(|| png_chunk(bytes, *b"eXIf").map(<[u8]>::to_vec));
    let from_exif = exif.and_then(|exif| Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif)));
    let from_xmp = || decoder.xmp_metadata().ok().flatten().and_then(|xmp| xmp_orientation(&xmp));
    from_exif.or_else(from_xmp).unwrap_or(Orientation::NoTransforms)
}

/// `tiff:Orientation="6"` or `<tiff:Orientation>6</tiff:Orientation>`.
fn xmp_orientation(xmp: &[u8]) -> Option<Orientation> {
    let xmp = String::from_utf8_lossy(xmp);
    let (_, value) = xmp.split_once("tiff:Orientation")?;
    let digit = value.trim_start_matches(['=', '>', '"', '\'']).chars().next()?.to_digit(10)?;
    Orientation::from_exif(digit as u8)
}

/// The data of a PNG's chunk. The decoder reads only chunks before the pixels, but some programs write `eXIf` after
/// them.
fn png_chunk(bytes: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    loop {
        let (length, tail) = rest.split_first_chunk()?;
        let (kind, tail) = tail.split_first_chunk::<4>()?;
        let data = tail.get(..u32::from_be_bytes(*length) as usize)?;
        if *kind == name {
            return Some(data);
        }
        rest = tail.get(data.len() + 4..)?; // behind the checksum
    }
}

/// Lays transparent pixels on white.
fn on_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = eight_bits(image);
    let blend = |channel: u8, alpha: u8| {
        let (channel, alpha) = (u32::from(channel), u32::from(alpha));
        ((channel * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, alpha] = rgba.get_pixel(x, y).0;
        Rgb([r, g, b].map(|channel| blend(channel, alpha)))
    })
}

/// The upper eight of 16 bits, as in Pillow.
fn eight_bits(image: DynamicImage) -> RgbaImage {
    if !matches!(image, DynamicImage::ImageLumaA16(_) | DynamicImage::ImageRgba16(_)) {
        return image.into_rgba8();
    }
    let wide = image.into_rgba16();
    let bytes = wide.as_raw().iter().map(|value| (value >> 8) as u8).collect();
    RgbaImage::from_raw(wide.width(), wide.height(), bytes).expect("four values a pixel")
}
