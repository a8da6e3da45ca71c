//! The model that ships with the program: `assets/spark`, embedded in the executable.

use std::path::Path;

use pyrograph::Location;

/// The model at a path, or the model that ships with the program.
///
/// # Errors
/// Returns an error if no path is given and the program was built without a model.
pub(crate) fn model_at(path: Option<&Path>) -> anyhow::Result<Location> {
    path.map_or_else(spark, |path| Ok(path.into()))
}

/// The CLIP at a path, or the CLIP that ships with the program.
///
/// # Errors
/// Returns an error if no path is given and the program was built without a model.
pub(crate) fn clip_at(path: Option<&Path>) -> anyhow::Result<Location> {
    path.map_or_else(|| Ok(spark()?.join("clip")), |path| Ok(path.into()))
}

#[cfg(not(feature = "embed-model"))]
fn spark() -> anyhow::Result<Location> {
    anyhow::bail!("--model: this program was built without a model; name a diffusers folder or a checkpoint file")
}

#[cfg(feature = "embed-model")]
fn spark() -> anyhow::Result<Location> {
    Ok(Location::within(std::sync::Arc::new(embedded::Spark), embedded::NAME))
}

#[cfg(feature = "embed-model")]
mod embedded {
    use std::io::{self, Cursor};
    use std::path::Path;

    use pyrograph::{Source, Storage};

    /// The name of the model in the parameters of images.
    pub(super) const NAME: &str = "spark";

    /// The paths of files in `assets/spark`, with their bytes.
    macro_rules! files {
        ($($path:literal)*) => {
            [$(($path, include_bytes!(concat!("../../../assets/spark/", $path)).as_slice())),*]
        };
    }

    static FILES: [(&str, &[u8]); 17] = files![
        "model_index.json"
        "clip/config.json"
        "clip/merges.txt"
        "clip/model.safetensors"
        "clip/preprocessor_config.json"
        "clip/tokenizer_config.json"
        "clip/vocab.json"
        "scheduler/scheduler_config.json"
        "text_encoder/config.json"
        "text_encoder/model.safetensors"
        "tokenizer/merges.txt"
        "tokenizer/tokenizer_config.json"
        "tokenizer/vocab.json"
        "unet/config.json"
        "unet/diffusion_pytorch_model.safetensors"
        "vae/config.json"
        "vae/diffusion_pytorch_model.safetensors"
    ];

    /// The embedded files as a folder called [`NAME`].
    #[derive(Debug)]
    pub(super) struct Spark;

    fn bytes(path: &Path) -> Option<&'static [u8]> {
        let path = path.strip_prefix(NAME).ok()?;
        FILES.iter().find(|(file, _)| Path::new(file) == path).map(|(_, bytes)| *bytes)
    }

    impl Storage for Spark {
        fn open(&self, path: &Path) -> io::Result<Box<dyn Source>> {
            let bytes = bytes(path).ok_or(io::ErrorKind::NotFound)?;
            Ok(Box::new(Cursor::new(bytes)))
        }

        fn is_file(&self, path: &Path) -> bool {
            bytes(path).is_some()
        }

        fn is_dir(&self, path: &Path) -> bool {
            let path = path.strip_prefix(NAME);
            path.is_ok_and(|path| {
                FILES.iter().map(|(file, _)| Path::new(file)).any(|file| file != path && file.starts_with(path))
            })
        }
    }
}
