//! Detection of the kind of a file or folder.

mod folder;
mod head;
mod tensors;

use std::fmt;

pub(crate) use folder::{model_folder, without_model, without_weights};
pub(crate) use head::HEAD;

/// The kind of a file or folder. It is detected from the first bytes, the names of the tensors, or the names of the
/// files in a folder, never from its own name.
///
/// As text, it is one line with the kind that was found and what to use instead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A safetensors file.
    Safetensors,
    /// A pickle, perhaps written by `torch.save`.
    Pickle,
    /// A zip archive, perhaps written by `torch.save`.
    Zip,
    /// An empty file.
    Empty,
    /// The placeholder of a file in a Git repository that was cloned without Git LFS.
    LfsPointer,
    /// HTML or XML, which servers send instead of a file.
    WebPage,
    /// JSON, with its beginning.
    Json(String),
    /// Another text, with its beginning.
    Text(String),
    /// An unfinished download.
    UnfinishedDownload,
    /// A model of llama.cpp or stable-diffusion.cpp.
    Gguf,
    /// A graph of the Open Neural Network Exchange.
    Onnx,
    /// Weights of Flax.
    Flax,
    /// Weights of Keras, or other data in HDF5.
    Hdf5,
    /// A program of `torch.jit.save`.
    TorchScript,
    /// Arrays of NumPy.
    NumPy,
    /// Files packed or compressed in the format of this name.
    Archive(&'static str),
    /// An image or a PDF.
    Document(&'static str),
    /// Bytes of an unknown format.
    Unknown,

    /// Stable Diffusion XL, base or refiner.
    StableDiffusionXl,
    /// Stable Diffusion 3.
    StableDiffusion3,
    /// Flux.
    Flux,
    /// A Stable Diffusion model conditioned on labels or on the embedding of an image.
    OtherStableDiffusion,
    /// Low-rank updates of a model.
    LoRa,
    /// Learned embeddings of textual inversion.
    Embedding,
    /// A ControlNet.
    ControlNet,
    /// Another network that is used with a UNet: a T2I adapter, an IP adapter, motion modules, a hypernetwork.
    Adapter(&'static str),
    /// A UNet without the other networks.
    UNet,
    /// An autoencoder without the other networks.
    Vae,
    /// A text encoder without the other networks.
    TextEncoder,
    /// A network that upscales images.
    Upscaler,
    /// The state of a trainer's optimizer.
    Optimizer,
    /// A large language model.
    LanguageModel,
    /// Float8 weights with scales in tensors beside them.
    ScaledFloat8,

    /// The configuration of a diffusers pipeline, `model_index.json`.
    PipelineIndex,
    /// The cache of a model without the reference `main`, with these snapshots.
    HubCache(Vec<String>),
    /// The cache of all models; this is one of them.
    HubCacheRoot(String),
    /// The parent of this model folder.
    OuterFolder(String),
    /// A folder that contains this single-file checkpoint.
    FolderOfFile(String),
    /// The folder of a single network.
    NetworkFolder,
    /// A folder with no known contents.
    Folder,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(beginning) | Self::Text(beginning) => write!(f, "{} (`{beginning}`)", self.description())?,
            Self::Archive(format) => write!(f, "a {format} archive")?,
            Self::Document(format) => write!(f, "a {format}")?,
            Self::Adapter(network) => f.write_str(network)?,
            known => f.write_str(known.description())?,
        }
        match self {
            Self::HubCache(snapshots) if !snapshots.is_empty() => {
                write!(f, "; name one of its {} snapshots, such as snapshots/{}", snapshots.len(), snapshots[0])
            }
            Self::HubCacheRoot(inner) | Self::OuterFolder(inner) => write!(f, "; name the folder `{inner}` in it"),
            Self::FolderOfFile(file) => write!(f, "; name the file `{file}` in it"),
            known => write!(f, "; {}", known.advice()),
        }
    }
}

impl Kind {
    /// The name of the kind. For variants with fields, it leaves the fields out.
    fn description(&self) -> &'static str {
        match self {
            Self::Safetensors => "a safetensors file",
            Self::Pickle => "a pickle",
            Self::Zip => "a zip archive without `data.pkl`, so not written by torch.save",
            Self::Empty => "an empty file",
            Self::LfsPointer => "a Git LFS pointer, not the file that it stands for",
            Self::WebPage => "a web page, not the file: the download failed",
            Self::Json(_) => "a JSON file without weights",
            Self::Text(_) => "a text file without weights",
            Self::UnfinishedDownload => "an unfinished download",
            Self::Gguf => "a GGUF or GGML file",
            Self::Onnx => "an ONNX model",
            Self::Flax => "a Flax model",
            Self::Hdf5 => "an HDF5 file, such as TensorFlow's weights",
            Self::TorchScript => "a TorchScript program",
            Self::NumPy => "a file of NumPy arrays",
            Self::Archive(_) => "an archive",
            Self::Document(_) => "a document",
            Self::Unknown => "a file of an unknown format",
            Self::StableDiffusionXl => "a Stable Diffusion XL checkpoint",
            Self::StableDiffusion3 => "a Stable Diffusion 3 checkpoint",
            Self::Flux => "a Flux checkpoint",
            Self::OtherStableDiffusion => "a Stable Diffusion model that takes labels or images",
            Self::LoRa => "a LoRA",
            Self::Embedding => "a text embedding",
            Self::ControlNet => "a ControlNet",
            Self::Adapter(_) => "an adapter",
            Self::UNet => "a UNet alone",
            Self::Vae => "an autoencoder (VAE) alone",
            Self::TextEncoder => "a text encoder alone",
            Self::Upscaler => "an upscaler",
            Self::Optimizer => "the state of an optimizer, which a training program saved beside the model",
            Self::LanguageModel => "a language model",
            Self::ScaledFloat8 => "a file of float8 weights with separate scales",
            Self::PipelineIndex => "the index of a diffusers folder",
            Self::HubCache(_) => "a cache of the Hugging Face hub whose refs/main names no snapshot",
            Self::HubCacheRoot(_) => "the cache of the Hugging Face hub with all its models",
            Self::OuterFolder(_) => "a folder around a model",
            Self::FolderOfFile(_) => "a folder without model_index.json",
            Self::Folder => "a folder",
            Self::NetworkFolder => "one network of a diffusers folder",
        }
    }

    /// Advice on what to use instead.
    fn advice(&self) -> &'static str {
        match self {
            Self::Empty | Self::UnfinishedDownload | Self::HubCache(_) => "download it again",
            Self::LfsPointer => "run `git lfs pull` in its folder, or download the file itself",
            Self::WebPage => "download it again, perhaps after a login",
            Self::Json(_) | Self::Text(_) => "if it was downloaded, download it again",
            Self::Zip | Self::Archive(_) => "unpack it and name the file in it",
            Self::Onnx | Self::Flax | Self::Hdf5 => "name the PyTorch model that it was converted from",
            Self::TorchScript => "save the model's state_dict with torch.save instead",
            Self::ScaledFloat8 => "float8 without scales, float16 and float32 can be read",
            Self::PipelineIndex | Self::NetworkFolder => "name the folder with model_index.json",
            Self::Folder => "a file, or a diffusers folder with model_index.json, is expected",
            Self::StableDiffusionXl | Self::StableDiffusion3 | Self::Flux | Self::OtherStableDiffusion => {
                "checkpoints of Stable Diffusion 1.x and 2.x can be read"
            }
            Self::Gguf | Self::NumPy | Self::Document(_) | Self::Unknown | Self::Safetensors | Self::Pickle => {
                "safetensors files and those of torch.save can be read"
            }
            _ => "a whole checkpoint of Stable Diffusion 1.x or 2.x is expected",
        }
    }
}
