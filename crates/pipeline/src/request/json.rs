//! A request as one flat JSON object.

use pyrograph_scheduler::{PredictionType, SchedulerError};
use serde::{Deserialize, Serialize};

use super::{Canvas, Request};

/// The names in the JSON object. Missing fields have the defaults of [`Request::text`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Fields {
    prompt: String,
    negative_prompt: Option<String>,
    width: Option<usize>,
    height: Option<usize>,
    steps: Option<usize>,
    scheduler: Option<String>,
    karras: Option<bool>,
    prediction_type: Option<PredictionType>,
    guidance_scale: Option<f64>,
    guidance_rescale: Option<f64>,
    seed: Option<Seed>,
    batch_size: Option<usize>,
    clip_skip: Option<usize>,
}

/// A seed; a negative one means a random seed, as in other programs.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Seed {
    Number(u64),
    Random(i64),
}

impl TryFrom<Fields> for Request {
    type Error = SchedulerError;

    fn try_from(fields: Fields) -> Result<Self, SchedulerError> {
        let mut request = Self::text(fields.prompt).with_size(fields.width, fields.height);
        request.negative_prompt = fields.negative_prompt.unwrap_or(request.negative_prompt);
        request.sampling.steps = fields.steps;
        request.sampling.scheduler = fields.scheduler.as_deref().map(str::parse).transpose()?;
        request.sampling.karras = fields.karras;
        request.sampling.prediction_type = fields.prediction_type;
        request.guidance.scale = fields.guidance_scale;
        request.guidance.rescale = fields.guidance_rescale.unwrap_or(request.guidance.rescale);
        if let Some(Seed::Number(seed)) = fields.seed {
            request.seed = seed;
        }
        request.batch_size = fields.batch_size.unwrap_or(request.batch_size);
        request.clip_skip = fields.clip_skip.unwrap_or(request.clip_skip);
        Ok(request)
    }
}

impl From<Request> for Fields {
    fn from(request: Request) -> Self {
        let Canvas::Blank { width, height } = request.canvas;
        Self {
            prompt: request.prompt,
            negative_prompt: Some(request.negative_prompt),
            width,
            height,
            steps: request.sampling.steps,
            scheduler: request.sampling.scheduler.map(|scheduler| scheduler.to_string()),
            karras: request.sampling.karras,
            prediction_type: request.sampling.prediction_type,
            guidance_scale: request.guidance.scale,
            guidance_rescale: Some(request.guidance.rescale),
            seed: Some(Seed::Number(request.seed)),
            batch_size: Some(request.batch_size),
            clip_skip: Some(request.clip_skip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pyrograph_scheduler::Algorithm;

    #[test]
    fn every_field_survives_the_way_through_json() {
        let request = Request::text("a lighthouse")
            .with_negative_prompt("fog")
            .with_size(64, 32)
            .with_steps(7)
            .with_scheduler(Algorithm::EulerAncestral)
            .with_karras(true)
            .with_prediction_type(PredictionType::VPrediction)
            .with_guidance_scale(3.5)
            .with_guidance_rescale(0.25)
            .with_seed(1 << 40)
            .with_batch_size(3)
            .with_clip_skip(2);
        let json = serde_json::to_string(&request).expect("text and numbers");
        assert_eq!(serde_json::from_str::<Request>(&json).expect("what was written"), request);
    }

    #[test]
    fn a_negative_seed_is_a_random_one() {
        let seed = || serde_json::from_str::<Request>(r#"{"prompt": "a", "seed": -1}"#).expect("a request").seed;
        assert!((0..8).any(|_| seed() != seed()), "the same seed each time");
    }

    #[test]
    fn unknown_names_and_samplers_are_refused() {
        for (json, named) in [
            (r#"{"prompt": "a", "stepps": 3}"#, "stepps"),
            (r#"{"prompt": "a", "scheduler": "fast"}"#, "fast"),
            (r#"{"prompt": "a", "steps": -1}"#, "-1"),
            (r#"{"steps": 3}"#, "prompt"),
        ] {
            let error = serde_json::from_str::<Request>(json).expect_err("it is wrong").to_string();
            assert!(error.contains(named), "{json}: {error}");
        }
    }
}
