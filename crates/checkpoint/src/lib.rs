//! Reads the files of shared models into named tensors and configurations.
//!
//! [`Checkpoint::open`] opens Stable Diffusion 1.x and 2.x: a diffusers folder, or one `.safetensors` or `.ckpt` file
//! in the layout of the original latent-diffusion code. In both cases its networks have a `config.json` and tensors
//! with diffusers' names. [`load`] fills a module with these tensors, and [`save`] writes them from a module.
//! [`ClipCheckpoint::open`] opens a CLIP model with both towers. [`open_weights`] reads the tensors of any other such
//! file: LoRAs, text embeddings, small autoencoders.
//!
//! [`Output`] writes files, whole or not at all. [`OnDemand`] names the files that must still be fetched, where there
//! is a server instead of a disk.
//!
//! No file is trusted: lengths and offsets are compared with the file before memory is allocated, and the pickle reader
//! never calls the functions that a pickle names.

mod cast;
mod checkpoint;
mod clip;
mod component;
mod configuration;
mod defaults;
pub mod disk;
mod element_type;
mod error;
pub mod faults;
mod hash;
mod index;
mod keys;
mod kind;
mod latents;
mod ldm;
mod load;
mod location;
mod note;
mod on_demand;
mod output;
mod parameter_path;
mod pickle;
mod safetensors_file;
mod safetensors_header;
mod safetensors_output;
mod save;
mod sharded;
mod temporary;
mod tokenizer;
mod view;
mod weights;

pub use checkpoint::Checkpoint;
pub use clip::ClipCheckpoint;
pub use component::Component;
pub use configuration::{read_config, scheduler_config};
pub use defaults::Defaults;
pub use element_type::ElementType;
pub use error::CheckpointError;
pub use hash::SingleFile;
pub use kind::Kind;
pub use latents::read_latents;
pub use load::{LoadReport, load};
pub use location::{Location, Source, Storage};
pub use note::Note;
pub use on_demand::{Attempt, OnDemand};
pub use output::{Output, OutputError};
pub use pickle::{PickleError, PickleFile};
pub use safetensors_file::SafetensorsFile;
pub use safetensors_output::{save_tensors, write_tensors};
pub use save::save;
pub use sharded::Sharded;
pub use tokenizer::{TokenizerFiles, TokenizerSource};
pub use view::{Part, View};
pub use weights::{TensorInfo, Weights, open_weights};
