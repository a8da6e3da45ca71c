//! `model_index.json`, which names the class of each component.

use serde_json::Value;

use crate::kind::without_model;
use crate::{CheckpointError, Defaults, Location, Note, read_config};

/// Pipelines with the networks and the loop of Stable Diffusion 1 and 2.
const PIPELINES: [&str; 4] = [
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionInpaintPipelineLegacy",
];

/// The supported classes of each component. The first is the default where nothing names one.
const CLASSES: [(&str, &[&str]); 4] = [
    ("text_encoder", &["CLIPTextModel", "CLIPTextModelWithProjection"]),
    ("tokenizer", &["CLIPTokenizer", "CLIPTokenizerFast"]),
    ("unet", &["UNet2DConditionModel"]),
    ("vae", &["AutoencoderKL", "AutoencoderTiny"]),
];

/// Components and settings that do not affect text to image.
const WITHOUT_EFFECT: [&str; 4] = ["feature_extractor", "image_encoder", "requires_safety_checker", "safety_checker"];

pub(crate) struct Index {
    file: Location,
    json: Value,
}

impl Index {
    pub(crate) fn open(folder: &Location) -> Result<Self, CheckpointError> {
        let file = folder.join("model_index.json");
        if !file.is_file() {
            return Err(folder.of_kind(without_model(folder)));
        }
        let json = file.read_json()?;
        let class = json["_class_name"]
            .as_str()
            .ok_or_else(|| file.wrong("`_class_name` should name a pipeline, `StableDiffusionPipeline`"))?;
        if !PIPELINES.contains(&class) {
            return Err(CheckpointError::Unsupported { file: file.to_string(), found: format!("a {class}") });
        }
        Ok(Self { file, json })
    }

    /// The class of a component: `"vae": ["diffusers", "AutoencoderKL"]`.
    pub(crate) fn named_class(&self, component: &str) -> Option<&str> {
        self.json[component][1].as_str()
    }

    /// The class of one of [`CLASSES`]; `own` if the index does not name it. Like diffusers, this uses the index and
    /// not the `_class_name` in the component's own file, which only tells which class wrote that file.
    pub(crate) fn class(&self, component: &'static str, own: &str) -> Result<String, CheckpointError> {
        let (_, supported) = CLASSES.iter().find(|(known, _)| *known == component).expect("one of the table");
        let class = self.named_class(component).unwrap_or(if own.is_empty() { supported[0] } else { own });
        if supported.contains(&class) {
            return Ok(class.to_owned());
        }
        Err(CheckpointError::Class {
            file: self.file.to_string(),
            component,
            class: class.to_owned(),
            supported: supported.join(" or "),
        })
    }

    /// The table `pyrograph`.
    pub(crate) fn defaults(&self) -> Result<(Defaults, Vec<Note>), CheckpointError> {
        match &self.json["pyrograph"] {
            Value::Null => Ok((Defaults::default(), Vec::new())),
            table => read_config(&self.file.to_string(), "", table),
        }
    }

    /// Notes about the components and settings that are not used.
    pub(crate) fn notes(&self) -> impl Iterator<Item = Note> {
        let known = |key: &str| {
            let component = CLASSES.iter().any(|(component, _)| *component == key);
            component
                || ["scheduler", "pyrograph"].contains(&key)
                || WITHOUT_EFFECT.contains(&key)
                || key.starts_with('_')
        };
        let absent = |value: &Value| value.is_null() || value[1].is_null() && value.is_array();
        let unknown =
            self.json.as_object().into_iter().flatten().filter(move |(key, value)| !known(key) && !absent(value));
        unknown.map(|(key, value)| Note::ignored_key("model_index.json", key, value))
    }
}
