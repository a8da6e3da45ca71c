use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kind::{model_folder, without_weights};
use crate::view::{Part, View};
use crate::{CheckpointError, Location, Note, Weights, open_weights, read_config};

/// One network of a checkpoint.
#[derive(Debug)]
pub struct Component {
    /// The class in diffusers or transformers that `model_index.json` names, else the `_class_name` of the
    /// configuration. Empty if neither names one.
    pub class: String,
    /// The contents of `config.json`; inferred for single files.
    pub config: Value,
    /// The tensors under the names of diffusers' state dict; a text tower's without the leading `text_model.`.
    pub weights: Arc<dyn Weights>,
}

impl Component {
    /// Opens a folder that diffusers or transformers wrote: `config.json` and the weights beside it.
    ///
    /// # Errors
    /// Returns an error if either is missing or broken.
    pub fn open(folder: impl Into<Location>) -> Result<Self, CheckpointError> {
        Self::open_as(&model_folder(folder.into())?, current_name)
    }

    /// Reads the configuration with [`read_config`]. Messages call the component `folder`.
    ///
    /// # Errors
    /// The errors of [`read_config`].
    pub fn read_config<T: DeserializeOwned>(&self, folder: &str) -> Result<(T, Vec<Note>), CheckpointError> {
        read_config(&format!("{folder}/config.json"), &self.class, &self.config)
    }

    /// Like [`open`](Self::open); `rename` returns the new name of a tensor, or `None` for a tensor that is not a
    /// weight.
    pub(crate) fn open_as(folder: &Location, rename: impl Fn(&str) -> Option<String>) -> Result<Self, CheckpointError> {
        let config = folder.join("config.json");
        if !config.is_file() {
            return Err(CheckpointError::missing(folder.path(), "has no config.json"));
        }
        let config = config.read_json()?;
        let weights = find_weights(folder)?;
        let class = config["_class_name"].as_str().unwrap_or_default().to_owned();
        let view = View::new(weights, |name| rename(name).map(|name| (name, Part::Whole)));
        Ok(Self { class, config, weights: Arc::new(view) })
    }
}

/// File names of weights, in search order. `{}` stands for the empty string, then for each of [`VARIANTS`].
const FILES: [&str; 8] = [
    "diffusion_pytorch_model{}.safetensors",
    "diffusion_pytorch_model.safetensors.index{}.json",
    "model{}.safetensors",
    "model.safetensors.index{}.json",
    "diffusion_pytorch_model{}.bin",
    "diffusion_pytorch_model.bin.index{}.json",
    "pytorch_model{}.bin",
    "pytorch_model.bin.index{}.json",
];

const VARIANTS: [&str; 3] = ["", ".fp16", ".bf16"];

fn find_weights(folder: &Location) -> Result<Arc<dyn Weights>, CheckpointError> {
    let pickle = |file: &str| file.contains(".bin");
    let (pickles, safetensors): (Vec<&str>, Vec<&str>) = FILES.iter().partition(|file| pickle(file));
    let candidates =
        [safetensors, pickles].into_iter().flat_map(|files| VARIANTS.map(|variant| (variant, files.clone())));
    let mut paths = candidates
        .flat_map(|(variant, files)| files.into_iter().map(move |file| folder.join(&file.replace("{}", variant))));
    let path = paths.find(Location::is_file).ok_or_else(|| match without_weights(folder) {
        Some(kind) => folder.of_kind(kind),
        None => CheckpointError::missing(
            folder.path(),
            "has no weights (diffusion_pytorch_model.safetensors or model.safetensors)",
        ),
    })?;
    open_weights(path)
}

/// Parts of tensor names in diffusers' first years, and their present form.
const RENAMED: [(&str, &str); 4] =
    [(".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0.")];

/// The unchanged name; `None` for the token positions `position_ids` (0, 1, 2, ...), which are not weights.
pub(crate) fn weight_name(name: &str) -> Option<String> {
    (!name.ends_with("position_ids")).then(|| name.to_owned())
}

/// The present name of a tensor; `None` if it is not a weight.
fn current_name(name: &str) -> Option<String> {
    let name = weight_name(name)?;
    let name = name.strip_prefix("text_model.").unwrap_or(&name);
    if !name.contains(".attentions.") {
        return Some(name.to_owned());
    }
    Some(RENAMED.iter().fold(name.to_owned(), |name, (old, new)| name.replace(old, new)))
}
