//! The file that keeps the latents of all images.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use pyrograph_scheduler::Generator;

use crate::TrainError;

/// The distributions of the latents of all images, scaled as the diffusion model sees them, in a file; behind them those of the
/// mirrored images, where the data set mirrors.
///
/// The file has [`MAGIC`], the shape in three little-endian u64, and for each image two arrays of this shape in little-endian
/// float32: mean and standard deviation. Only the images of a batch are in memory.
#[derive(Debug)]
pub(crate) struct Latents {
    /// Channels, height, width.
    pub(crate) shape: [usize; 3],
    file: File,
    pub(crate) path: PathBuf,
}

/// The distributions of the latents of some images.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentBatch {
    /// Images, channels, height, width.
    pub(crate) shape: [usize; 4],
    pub(crate) mean: Vec<f32>,
    pub(crate) deviation: Vec<f32>,
}

const MAGIC: [u8; 8] = *b"latents1";
pub(crate) const HEADER: u64 = 32;

impl Latents {
    /// Opens a file with the distributions of `count` images.
    pub(crate) fn open(path: &Path, count: usize) -> io::Result<Self> {
        let (mut file, mut header) = (File::open(path)?, [0; HEADER as usize]);
        file.read_exact(&mut header)?;
        let sizes = header[MAGIC.len()..]
            .chunks_exact(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
        let sizes: Vec<usize> = sizes.map(|size| usize::try_from(size).unwrap_or(0)).collect();
        let latents = Self { shape: [sizes[0], sizes[1], sizes[2]], file, path: path.to_owned() };
        let length = latents.record().checked_mul(count as u64).and_then(|length| length.checked_add(HEADER));
        if header[..MAGIC.len()] != MAGIC || length != Some(latents.file.metadata()?.len()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(latents)
    }

    /// Bytes of an image's distribution.
    pub(crate) fn record(&self) -> u64 {
        self.shape.iter().fold(2 * size_of::<f32>() as u64, |product, &size| product.saturating_mul(size as u64))
    }

    /// Reads the distributions of these images.
    pub(crate) fn read(&self, images: &[usize]) -> Result<LatentBatch, TrainError> {
        let [channels, height, width] = self.shape;
        let shape = [images.len(), channels, height, width];
        let mut batch = LatentBatch { shape, mean: Vec::new(), deviation: Vec::new() };
        let mut bytes = vec![0; self.record() as usize];
        for &image in images {
            let mut file = &self.file;
            let place = SeekFrom::Start(HEADER + image as u64 * self.record());
            let read = file.seek(place).and_then(|_| file.read_exact(&mut bytes));
            read.map_err(TrainError::file(&self.path))?;
            let (mean, deviation) = bytes.split_at(bytes.len() / 2);
            batch.mean.extend(floats(mean));
            batch.deviation.extend(floats(deviation));
        }
        Ok(batch)
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")))
}

impl LatentBatch {
    /// Latents drawn from the distributions.
    ///
    /// # Shapes
    /// `[images, channels, height, width]`
    pub(crate) fn draw(&self, generator: &mut Generator, device: &Device) -> Tensor<4> {
        let noise = generator.randn(self.mean.len());
        let parts = self.mean.iter().zip(&self.deviation).zip(noise);
        let values = parts.map(|((mean, deviation), noise)| mean + deviation * noise).collect();
        Tensor::from_data(TensorData::new(values, self.shape), device)
    }
}

impl LatentBatch {
    /// Writes the head of a file of such latents.
    pub(crate) fn write_header(&self, output: &mut impl Write) -> io::Result<()> {
        output.write_all(&MAGIC)?;
        self.shape[1..].iter().try_for_each(|&size| output.write_all(&(size as u64).to_le_bytes()))
    }

    /// Writes the distributions behind it.
    pub(crate) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let size = self.mean.len() / self.shape[0];
        for (mean, deviation) in self.mean.chunks(size).zip(self.deviation.chunks(size)) {
            mean.iter().chain(deviation).try_for_each(|value| output.write_all(&value.to_le_bytes()))?;
        }
        Ok(())
    }
}
