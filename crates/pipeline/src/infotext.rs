//! A request as text, in the form of AUTOMATIC1111's web UI.

use pyrograph_checkpoint::SingleFile;

use crate::Request;

/// The text that is stored in an image's file: prompt, negative prompt, then one line of settings.
#[derive(Debug, Clone)]
pub(crate) struct Infotext {
    pub(crate) request: Request,
    pub(crate) details: Details,
}

/// Settings that are not part of the request.
#[derive(Debug, Clone)]
pub(crate) struct Details {
    /// AUTOMATIC1111's name of the sampler.
    pub(crate) sampler: &'static str,
    /// AUTOMATIC1111's name of the spacing of the noise levels, if it is not the sampler's default.
    pub(crate) schedule: Option<&'static str>,
    /// Width and height in pixels.
    pub(crate) size: [usize; 2],
    pub(crate) model: String,
    /// The file of a single-file checkpoint. Its hash is computed when the first text is needed.
    pub(crate) file: Option<SingleFile>,
}

impl Infotext {
    /// The text of image `index` of the batch. It names the seed with which a request makes only this image.
    pub(crate) fn of_image(&self, index: usize) -> String {
        let Self { request, details } = self;
        let [width, height] = details.size;
        let pairs = [
            ("Steps", Some(request.sampling.steps().to_string())),
            ("Sampler", Some(details.sampler.to_owned())),
            ("Schedule type", details.schedule.map(str::to_owned)),
            ("CFG scale", Some(format!("{:?}", request.guidance.scale()))),
            ("Seed", Some(request.seed_of_image(index).to_string())),
            ("Size", Some(format!("{width}x{height}"))),
            ("Model hash", details.file.as_ref().and_then(|file| file.short_hash().ok())),
            ("Model", Some(details.model.clone())),
            ("Clip skip", (request.clip_skip > 0).then(|| (request.clip_skip + 1).to_string())),
            ("RNG", Some("CPU".to_owned())),
            ("Version", Some(format!("pyrograph {}", env!("CARGO_PKG_VERSION")))),
        ];
        let present = pairs.into_iter().filter_map(|(key, value)| Some(format!("{key}: {}", quoted(&value?))));
        let settings = present.collect::<Vec<_>>().join(", ");
        let negative = &request.negative_prompt;
        let negative = (!negative.is_empty()).then(|| format!("Negative prompt: {negative}"));
        let lines = [Some(request.prompt.clone()), negative, Some(settings)];
        lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}

/// Quotes a value as JSON text if it would otherwise be parsed as several values.
fn quoted(value: &str) -> String {
    match value.contains([',', ':', '\n']) {
        true => serde_json::Value::from(value).to_string(),
        false => value.to_owned(),
    }
}
