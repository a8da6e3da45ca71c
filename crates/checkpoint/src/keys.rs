//! The keys of configurations, by the class of diffusers 0.42 or transformers 5 that knows them.

/// How a key affects the numbers that a class computes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// It is read.
    Read,
    /// No effect: it is for training or for other programs, or has no meaning here.
    None,
    /// No effect if it has one of these values (JSON). Any other value asks for something that is not implemented.
    NoneIf(&'static [&'static str]),
}

use Effect::{None, NoneIf, Read};

type Keys = &'static [(&'static str, Effect)];

/// The keys that a class knows, without those that are fields of a network's configuration struct.
pub(crate) fn known_keys(class: &str) -> impl Iterator<Item = (&'static str, Effect)> {
    groups(class).iter().flat_map(|keys| keys.iter().copied())
}

/// Whether any scheduler knows the key.
pub(crate) fn is_scheduler_key(key: &str) -> bool {
    SCHEDULERS.into_iter().flat_map(known_keys).any(|(known, _)| known == key) || OTHER_SCHEDULERS.contains(&key)
}

/// The classes of diffusers that `Algorithm` of the crate `scheduler` implements.
const SCHEDULERS: [&str; 13] = [
    "DDPMScheduler",
    "DDIMScheduler",
    "PNDMScheduler",
    "LMSDiscreteScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "UniPCMultistepScheduler",
    "LCMScheduler",
    "DEISMultistepScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
];

fn groups(class: &str) -> &'static [Keys] {
    match class {
        "UNet2DConditionModel" => &[UNET],
        "UNet2DModel" => &[UNET, UNET_WITHOUT_TEXT],
        "AutoencoderKL" => &[AUTOENCODER_KL],
        "VQModel" => &[AUTOENCODER_KL, VQ],
        "AutoencoderTiny" => &[AUTOENCODER_TINY],
        "CLIPTextModel" | "CLIPTextModelWithProjection" | "CLIPModel" => &[TRANSFORMERS],
        "CLIPTokenizer" => &[TOKENIZER],
        "DDPMScheduler" => &[SCHEDULE, CLIP, THRESHOLD, ZERO_SNR, &[("variance_type", Read)]],
        "DDIMScheduler" => &[SCHEDULE, CLIP, THRESHOLD, ZERO_SNR, LAST_ALPHA],
        "PNDMScheduler" => &[SCHEDULE, LAST_ALPHA, &[("skip_prk_steps", Read)]],
        "LMSDiscreteScheduler" | "KDPM2DiscreteScheduler" | "KDPM2AncestralDiscreteScheduler" => &[SCHEDULE, SIGMAS],
        "EulerDiscreteScheduler" => &[SCHEDULE, SIGMAS, RANGE, FINAL_SIGMA, ZERO_SNR, EULER],
        "EulerAncestralDiscreteScheduler" => &[SCHEDULE, ZERO_SNR],
        "HeunDiscreteScheduler" => &[SCHEDULE, SIGMAS, CLIP],
        "DPMSolverMultistepScheduler" => {
            &[SCHEDULE, SIGMAS, FINAL_SIGMA, THRESHOLD, ZERO_SNR, MULTISTEP, FLOW, DPM_SOLVER]
        }
        "UniPCMultistepScheduler" => {
            &[SCHEDULE, SIGMAS, RANGE, FINAL_SIGMA, THRESHOLD, ZERO_SNR, MULTISTEP, FLOW, UNIPC]
        }
        "LCMScheduler" => &[SCHEDULE, CLIP, THRESHOLD, ZERO_SNR, LAST_ALPHA, LCM],
        "DEISMultistepScheduler" => &[SCHEDULE, SIGMAS, THRESHOLD, MULTISTEP, FLOW, &[("algorithm_type", None)]],
        _ => &[],
    }
}

const NULL: Effect = NoneIf(&["null"]);
const OFF: Effect = NoneIf(&["false"]);

const UNET: Keys = &[
    ("act_fn", NoneIf(&["\"silu\"", "\"swish\""])),
    ("addition_embed_type", NULL),
    ("addition_embed_type_num_heads", None),
    ("addition_time_embed_dim", None),
    ("attention_type", NoneIf(&["\"default\""])),
    ("center_input_sample", OFF),
    ("class_embed_type", NULL),
    ("class_embeddings_concat", OFF),
    ("conv_in_kernel", NoneIf(&["3"])),
    ("conv_out_kernel", NoneIf(&["3"])),
    ("cross_attention_norm", NULL),
    ("downsample_padding", NoneIf(&["1"])),
    ("dropout", None),
    ("dual_cross_attention", OFF),
    ("encoder_hid_dim", NULL),
    ("encoder_hid_dim_type", NULL),
    // Only a middle block of another type uses it.
    ("mid_block_only_cross_attention", None),
    ("mid_block_scale_factor", NoneIf(&["1"])),
    ("num_attention_heads", NULL),
    ("num_class_embeds", NULL),
    ("projection_class_embeddings_input_dim", None),
    ("resnet_out_scale_factor", NoneIf(&["1"])),
    ("resnet_skip_time_act", OFF),
    ("resnet_time_scale_shift", NoneIf(&["\"default\""])),
    ("reverse_transformer_layers_per_block", NULL),
    ("time_cond_proj_dim", NULL),
    ("time_embedding_act_fn", NULL),
    ("time_embedding_dim", NULL),
    ("time_embedding_type", NoneIf(&["\"positional\""])),
    ("timestep_post_act", NULL),
];

/// The keys that a UNet without text has beside those above.
const UNET_WITHOUT_TEXT: Keys = &[
    ("add_attention", None),
    ("attn_norm_num_groups", NULL),
    ("downsample_type", NoneIf(&["\"conv\""])),
    ("num_train_timesteps", None),
    ("upsample_type", NoneIf(&["\"conv\""])),
];

const AUTOENCODER_KL: Keys = &[
    ("down_block_types", NoneIf(&["\"DownEncoderBlock2D\""])),
    // The autoencoder always runs in float32.
    ("force_upcast", None),
    ("sample_size", None),
    ("up_block_types", NoneIf(&["\"UpDecoderBlock2D\""])),
];

const VQ: Keys = &[("lookup_from_codebook", OFF), ("norm_type", NoneIf(&["\"group\""]))];

const AUTOENCODER_TINY: Keys = &[
    ("block_out_channels", None),
    ("force_upcast", None),
    // For converting latents to the bytes of an image file.
    ("latent_magnitude", None),
    ("latent_shift", None),
    ("shift_factor", NoneIf(&["0"])),
    ("upsample_fn", NoneIf(&["\"nearest\""])),
    ("upsampling_scaling_factor", NoneIf(&["2"])),
];

/// Keys that `PretrainedConfig` writes beside the sizes of a text tower.
const TRANSFORMERS: Keys = &[
    ("architectures", None),
    ("attention_dropout", None),
    ("bos_token_id", None),
    ("dropout", None),
    ("dtype", None),
    ("initializer_factor", None),
    ("initializer_range", None),
    ("model_type", NoneIf(&["\"clip_text_model\"", "\"clip\""])),
    ("pad_token_id", None),
    ("torch_dtype", None),
    ("transformers_version", None),
];

/// The crate `clip` reads some of them.
const TOKENIZER: Keys = &[
    ("add_bos_token", NoneIf(&["true"])),
    ("add_eos_token", NoneIf(&["true"])),
    ("add_prefix_space", None),
    ("added_tokens_decoder", Read),
    ("additional_special_tokens", Read),
    ("backend", None),
    ("bos_token", Read),
    ("clean_up_tokenization_spaces", None),
    ("do_lower_case", None),
    ("eos_token", Read),
    ("errors", None),
    ("extra_special_tokens", Read),
    ("is_local", None),
    ("local_files_only", None),
    ("max_length", None),
    ("model_input_names", None),
    ("model_max_length", Read),
    ("name_or_path", None),
    ("pad_to_multiple_of", None),
    ("pad_token", Read),
    ("pad_token_type_id", None),
    ("padding_side", NoneIf(&["\"right\""])),
    ("processor_class", None),
    ("special_tokens_map_file", None),
    ("split_special_tokens", OFF),
    ("stride", None),
    ("tokenizer_class", NoneIf(&["\"CLIPTokenizer\"", "\"CLIPTokenizerFast\""])),
    ("tokenizer_file", None),
    ("truncation_side", NoneIf(&["\"right\""])),
    ("truncation_strategy", None),
    ("unk_token", Read),
    ("use_fast", None),
];

const SCHEDULE: Keys = &[
    ("beta_end", Read),
    ("beta_schedule", Read),
    ("beta_start", Read),
    ("num_train_timesteps", Read),
    ("prediction_type", Read),
    ("steps_offset", Read),
    ("timestep_spacing", Read),
    ("trained_betas", Read),
];

const CLIP: Keys = &[("clip_sample", Read), ("clip_sample_range", Read)];

const THRESHOLD: Keys = &[("dynamic_thresholding_ratio", Read), ("sample_max_value", Read), ("thresholding", Read)];

const ZERO_SNR: Keys = &[("rescale_betas_zero_snr", Read)];

const LAST_ALPHA: Keys = &[("set_alpha_to_one", Read)];

const FINAL_SIGMA: Keys = &[("final_sigmas_type", Read)];

const SIGMAS: Keys = &[("use_beta_sigmas", Read), ("use_exponential_sigmas", Read), ("use_karras_sigmas", Read)];

const RANGE: Keys = &[("sigma_max", NULL), ("sigma_min", NULL)];

const EULER: Keys = &[("interpolation_type", NoneIf(&["\"linear\""])), ("timestep_type", NoneIf(&["\"discrete\""]))];

const MULTISTEP: Keys = &[("lower_order_final", Read), ("solver_order", Read), ("solver_type", Read)];

/// Flow matching. Only the first key has an effect while flow matching is off.
const FLOW: Keys =
    &[("use_flow_sigmas", OFF), ("flow_shift", None), ("time_shift_type", None), ("use_dynamic_shifting", None)];

const DPM_SOLVER: Keys = &[
    ("algorithm_type", Read),
    ("euler_at_final", Read),
    ("lambda_min_clipped", Read),
    ("use_lu_lambdas", OFF),
    // With learned variances, the model has twice the channels.
    ("variance_type", NoneIf(&["\"fixed_small\"", "\"fixed_small_log\"", "\"fixed_large\"", "\"fixed_large_log\""])),
];

const UNIPC: Keys = &[("disable_corrector", Read), ("predict_x0", Read), ("shift_terminal", None), ("solver_p", NULL)];

const LCM: Keys = &[("original_inference_steps", Read), ("timestep_scaling", Read)];

/// Keys of schedulers that are not implemented.
const OTHER_SCHEDULERS: [&str; 8] = [
    "corrector_order",
    "eta",
    "noise_sampler_seed",
    "predictor_order",
    "rho",
    "sigma_data",
    "sigma_schedule",
    "tau_func",
];
