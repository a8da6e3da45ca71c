//! Recipes of the smallest models, with every number that they can have.

use std::path::Path;

use toml::Table;

const COMMON: &str = r#"
data = { folder = "DATA", size = 16, batch_size = 2, caption_tag_dropout = 0.5 }
output = { folder = "OUTPUT", save_every = 1, sample_every = 1 }
[trainer]
steps = 1
learning_rate = 1e-3
warmup_steps = 5
weight_decay = 0.01
max_grad_norm = 1.0
gradient_accumulation = 1
ema_decay = 0.9
seed = 3
"#;

pub(crate) const AUTOENCODER: &str = r#"
loss = { absolute = 1.0, square = 0.5, edge = 0.5, kl = 1e-3 }
[adversarial]
factor = 0.1
start = 0
channels = 8
halvings = 2
[model]
in_channels = 3
out_channels = 3
block_out_channels = [8, 8]
layers_per_block = 1
latent_channels = 4
norm_num_groups = 4
scaling_factor = 0.5
"#;

pub(crate) const VQ: &str = r#"
codebook_decay = 0.9
[model]
block_out_channels = [8, 8]
norm_num_groups = 4
latent_channels = 3
num_vq_embeddings = 8
vq_embed_dim = 4
"#;

pub(crate) const CLIP: &str = r#"
start = { vocabulary_of_captions = true }
[model]
projection_dim = 8
logit_scale_init_value = 2.6
[model.text_config]
hidden_size = 8
intermediate_size = 16
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 12
layer_norm_eps = 1e-5
[model.vision_config]
image_size = 16
patch_size = 8
hidden_size = 8
intermediate_size = 16
num_hidden_layers = 1
num_attention_heads = 2
layer_norm_eps = 1e-5
"#;

pub(crate) const DDPM: &str = r#"
denoising = { min_snr_gamma = 5.0, caption_dropout = 0.1 }
[unet]
down_block_types = ["DownBlock2D"]
up_block_types = ["UpBlock2D"]
block_out_channels = [8]
layers_per_block = 1
norm_num_groups = 4
norm_eps = 1e-5
freq_shift = 0
[scheduler]
num_train_timesteps = 20
beta_start = 0.001
beta_end = 0.02
"#;

pub(crate) const LATENT: &str = r#"
denoising = { min_snr_gamma = 5.0, caption_dropout = 0.1 }
samples = { steps = 1, guidance_scale = 4.0, prompts = ["a"] }
[start]
autoencoder = "AUTOENCODER"
vocabulary_of_captions = true
[text_encoder]
hidden_size = 8
intermediate_size = 16
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 12
layer_norm_eps = 1e-5
[unet]
down_block_types = ["CrossAttnDownBlock2D"]
up_block_types = ["CrossAttnUpBlock2D"]
block_out_channels = [8]
layers_per_block = 1
transformer_layers_per_block = 1
cross_attention_dim = 8
attention_head_dim = 2
norm_num_groups = 4
in_channels = 4
out_channels = 4
[scheduler]
_class_name = "DDIMScheduler"
num_train_timesteps = 20
beta_start = 0.001
beta_end = 0.02
steps_offset = 1
clip_sample = false
"#;

/// A recipe for the images of a folder, with the autoencoder in a folder beside them; `text` has the tables of the task.
pub(crate) fn table(text: &str, folder: &Path) -> Table {
    let mut table: Table = COMMON.parse().expect("TOML");
    table.extend(text.parse::<Table>().expect("TOML"));
    let text = toml::to_string(&table).expect("a table can be written");
    let path = |name: &str| folder.join(name).display().to_string();
    let text = text.replace("DATA", &path(".")).replace("OUTPUT", &path("run"));
    text.replace("AUTOENCODER", &path("autoencoder")).parse().expect("TOML")
}
