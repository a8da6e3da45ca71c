//! Recipes of the smallest models.

/// A recipe for the images in `data`: more keys of `data`, those of `output` and of `trainer`, and the tables of the task.
pub(crate) fn recipe(data: &str, output: &str, trainer: &str, task: &str) -> String {
    format!(
        "data = {{ folder = \"data\", size = 16, {data} }}\noutput = {{ {output} }}\ntrainer = {{ {trainer} }}\n{task}"
    )
}

pub(crate) const AUTOENCODER: &str = r#"
[model]
block_out_channels = [8, 8]
norm_num_groups = 4
"#;

pub(crate) const CLIP: &str = r#"
start = { vocabulary_of_captions = true }
[model]
projection_dim = 8
[model.text_config]
hidden_size = 8
intermediate_size = 16
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 12
[model.vision_config]
image_size = 16
patch_size = 8
hidden_size = 8
intermediate_size = 16
num_hidden_layers = 1
num_attention_heads = 2
"#;

/// From the models of the runs `autoencoder` and `clip`.
pub(crate) const LATENT: &str = r#"
start = { autoencoder = "autoencoder/model", text_encoder = "clip/model" }
samples = { steps = 2 }
[unet]
down_block_types = ["CrossAttnDownBlock2D"]
up_block_types = ["CrossAttnUpBlock2D"]
block_out_channels = [8]
layers_per_block = 1
cross_attention_dim = 8
attention_head_dim = 2
norm_num_groups = 4
[scheduler]
_class_name = "DDIMScheduler"
beta_schedule = "scaled_linear"
clip_sample = false
"#;

pub(crate) const DDPM: &str = r#"
importance_sampling = true
[unet]
down_block_types = ["DownBlock2D"]
up_block_types = ["UpBlock2D"]
block_out_channels = [8]
layers_per_block = 1
norm_num_groups = 4
[scheduler]
num_train_timesteps = 4
"#;
