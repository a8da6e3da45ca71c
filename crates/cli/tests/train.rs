//! Training from its user's view: runs that end, are interrupted, resume and fail.

#![expect(clippy::disallowed_methods, reason = "files of a test need not last")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use image::{Rgb, RgbImage};
use safetensors::SafeTensors;
use tempfile::TempDir;

/// Images of 16x16 pixels, each with one square on a background of one colour, and runs of the smallest models for
/// them.
struct Workplace(TempDir);

const AUTOENCODER: &str = r#"
data = { folder = "data", size = 16, batch_size = 4 }
output = { folder = "autoencoder", save_every = 1 }
trainer = { steps = 40, learning_rate = 1e-3, warmup_steps = 5 }
[model]
block_out_channels = [8, 8]
norm_num_groups = 4
"#;

const CLIP: &str = r#"
data = { folder = "data", size = 16, batch_size = 4 }
output = { folder = "clip" }
trainer = { steps = 3 }
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

const LATENT: &str = r#"
data = { folder = "data", size = 16, batch_size = 4, caption_tag_dropout = 0.5, mirror = true }
output = { folder = "latent" }
trainer = { steps = 3 }
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

const DDPM: &str = r#"
data = { folder = "data", size = 16, batch_size = 4 }
output = { folder = "ddpm" }
trainer = { steps = 3 }
importance_sampling = true
[unet]
down_block_types = ["DownBlock2D"]
up_block_types = ["UpBlock2D"]
block_out_channels = [8]
layers_per_block = 1
norm_num_groups = 4
[scheduler]
num_train_timesteps = 20
"#;

impl Workplace {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("a new folder");
        let mut list = String::new();
        for number in 0..8_u8 {
            let inside = |x: u32| (3 + u32::from(number % 4)..9 + u32::from(number % 4)).contains(&x);
            let colour =
                |x, y| if inside(x) && inside(y) { [250, 30 * number, 20] } else { [20, 40, 200 - 10 * number] };
            RgbImage::from_fn(16, 16, |x, y| Rgb(colour(x, y)))
                .save(data.join(format!("{number}.png")))
                .expect("a file");
            list += &format!("{{\"file_name\": \"{number}.png\", \"text\": \"square {number}, red\"}}\n");
        }
        fs::write(data.join("captions.jsonl"), list).expect("a file");
        for (name, run) in [("autoencoder", AUTOENCODER), ("clip", CLIP), ("latent", LATENT), ("ddpm", DDPM)] {
            fs::write(folder.path().join(format!("{name}.toml")), run).expect("a file");
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Runs `pyrograph` on the CPU.
    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pyrograph"));
        command.current_dir(&self.0).args(arguments).args(["--device", "cpu"]).stderr(Stdio::piped());
        command
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {message}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn refuses(&self, arguments: &[&str], needle: &str) {
        let output = self.run(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        let lines = message.lines().filter(|line| !line.contains("XDG_RUNTIME_DIR")).count();
        assert!((1..=3).contains(&lines), "{arguments:?}: {message}");
        assert!(message.contains(needle), "{arguments:?} should name {needle}: {message}");
    }

    /// Starts training and waits until `losses.csv` has this many steps.
    fn start(&self, arguments: &[&str], losses: &str, steps: usize) -> Child {
        let mut child = self.command(arguments).spawn().expect("the program starts");
        let written = || fs::read_to_string(self.path(losses)).map_or(0, |text| text.lines().count());
        let taken = (0..6000).any(|_| {
            sleep(Duration::from_millis(10));
            written() > steps
        });
        if !taken {
            child.kill().and_then(|()| child.wait()).expect("it can be stopped");
            panic!("{steps} steps were not taken in a minute");
        }
        child
    }
}

fn signal(child: &Child, name: &str) {
    let status =
        Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().expect("kill is there");
    assert!(status.success());
}

/// Every kind of model, each trained from the result of the one before, and images of the result.
#[test]
fn models_are_trained_from_files_and_used() {
    let place = Workplace::new();
    place.succeeds(&["train", "autoencoder", "autoencoder.toml", "--steps", "3", "--set", "adversarial.factor=0.1"]);
    place.succeeds(&["train", "clip", "clip.toml"]);
    place.succeeds(&["train", "latent", "latent.toml", "--learning-rate", "0.001"]);
    for file in
        ["losses.csv", "losses.svg", "samples/000003.png", "checkpoints/000003/state.json", "model/model_index.json"]
    {
        assert!(place.path("latent").join(file).is_file(), "{file} is missing");
    }
    place.succeeds(&["txt2img", "square 1", "--model", "latent/model", "--steps", "2", "--output", "square.png"]);
    assert_eq!(image::open(place.path("square.png")).expect("an image").width(), 16);
    let labels = place.succeeds(&["classify", "data/1.png", "--labels", "square 1,square 2", "--model", "clip/model"]);
    assert!(labels.contains("square 2"), "{labels}");

    // The trained model is a checkpoint for fine-tuning, with its own configurations.
    let tuned = LATENT.split("[unet]").next().expect("it begins").replace(
        "autoencoder = \"autoencoder/model\", text_encoder = \"clip/model\"",
        "checkpoint = \"latent/model\", freeze_text_encoder = true",
    );
    fs::write(place.path("tuned.toml"), tuned).expect("a file");
    place.succeeds(&["train", "latent", "tuned.toml", "--output", "tuned"]);
    let file = "text_encoder/model.safetensors";
    let [before, after] =
        ["latent/model", "tuned/model"].map(|model| fs::read(place.path(model).join(file)).expect("a file"));
    assert_eq!(before, after, "the text tower was frozen");

    place.succeeds(&["train", "ddpm", "ddpm.toml"]);
    let bits = place.succeeds(&["eval", "--model", "ddpm/model", "--data", "data", "--count", "2"]);
    let bits: f64 = bits.split(' ').next().and_then(|bits| bits.parse().ok()).expect("a number first");
    assert!(bits > 1.0 && bits < 1e3, "{bits} bits per dimension of an untrained model");
    let psnr = place.succeeds(&["eval", "--model", "autoencoder/model", "--data", "data"]);
    assert!(psnr.contains("dB PSNR"), "{psnr}");
}

/// A UNet that diffusers wrote and pyrograph fine-tuned has the tensors that diffusers expects, including SD 1's 1x1
/// convolutions.
#[test]
fn a_tuned_checkpoint_keeps_its_layout() {
    let place = Workplace::new();
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/tiny-sd1");
    let run = format!(
        "data = {{ folder = \"data\", size = 16, batch_size = 2 }}\noutput = {{ folder = \"tuned\" }}\n\
         trainer = {{ steps = 1 }}\nstart = {{ checkpoint = {original:?} }}\nsamples = {{ steps = 1, prompts = [\"a\"] }}\n"
    );
    fs::write(place.path("tuned.toml"), run).expect("a file");
    place.succeeds(&["train", "latent", "tuned.toml"]);
    let file = "unet/diffusion_pytorch_model.safetensors";
    assert_eq!(layout(&place.path("tuned/model").join(file)), layout(&original.join(file)));
}

/// Names and shapes of a file's tensors.
fn layout(file: &Path) -> Vec<(String, Vec<usize>)> {
    let bytes = fs::read(file).expect("a file");
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let mut layout: Vec<_> = tensors.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
    layout.sort();
    layout
}

/// A run that is interrupted and resumed takes the same steps as one that was not.
#[test]
fn an_interrupted_run_goes_on_as_if_it_had_not_stopped() {
    let place = Workplace::new();
    place.succeeds(&["train", "autoencoder", "autoencoder.toml", "--output", "whole"]);
    let arguments = ["train", "autoencoder", "autoencoder.toml"];
    let child = place.start(&arguments, "autoencoder/losses.csv", 5);
    signal(&child, "INT");
    let output = child.wait_with_output().expect("it ends");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && message.contains("--resume"), "{message}");
    let stopped = fs::read_to_string(place.path("autoencoder/losses.csv")).expect("a file").lines().count();
    assert!(stopped < 40, "it was over before the interrupt");
    place.refuses(&arguments, "--resume");
    place.succeeds(&[&arguments[..], &["--resume"]].concat());
    let losses = |run| fs::read_to_string(place.path(run).join("losses.csv")).expect("a file");
    assert_eq!(losses("whole"), losses("autoencoder"));
    let weights = |run| fs::read(place.path(run).join("model/diffusion_pytorch_model.safetensors")).expect("a file");
    assert_eq!(weights("whole"), weights("autoencoder"));
}

/// Whenever a run is killed, its last checkpoint is complete. The run saves after each step, so kills often hit a save.
#[test]
fn a_killed_run_loses_no_checkpoint() {
    let place = Workplace::new();
    let arguments = ["train", "autoencoder", "autoencoder.toml", "--steps", "100000"];
    let mut resumed = arguments.to_vec();
    for round in 0..4 {
        let mut child = place.start(&resumed, "autoencoder/losses.csv", 3 + 4 * round);
        signal(&child, "KILL");
        child.wait().expect("it ends");
        assert!(place.path("autoencoder/checkpoints/latest").is_file());
        resumed = [&arguments[..], &["--resume"]].concat();
    }
}

/// A limit on the size of files acts like a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_the_checkpoint_stays() {
    let place = Workplace::new();
    place.succeeds(&["train", "autoencoder", "autoencoder.toml", "--steps", "4"]);
    let program = env!("CARGO_BIN_EXE_pyrograph");
    let limited = format!(
        "trap '' XFSZ; ulimit -f 16; exec {program} train autoencoder autoencoder.toml --steps 8 --resume --device cpu"
    );
    let output = Command::new("sh").current_dir(&place.0).args(["-c", &limited]).output().expect("there is a shell");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && message.contains("checkpoint"), "{message}");
    place.succeeds(&["train", "autoencoder", "autoencoder.toml", "--steps", "8", "--resume"]);
}

#[test]
fn what_is_wrong_is_named() {
    let place = Workplace::new();
    let train = |more: &[&'static str]| [&["train", "autoencoder", "autoencoder.toml"], more].concat();
    place.refuses(&["train", "autoencoder", "none.toml"], "none.toml");
    place.refuses(&["train", "painter", "autoencoder.toml"], "painter");
    place.refuses(&train(&["--data", "nowhere"]), "nowhere");
    place.refuses(&train(&["--set", "trainer.stepps=3"]), "stepps");
    place.refuses(&train(&["--set", "model.norm_num_groups=3"]), "norm_num_groups");
    place.refuses(&train(&["--set", "loss.kl"]), "KEY=VALUE");
    place.refuses(&train(&["--resume"]), "checkpoint");
    place.refuses(&train(&["--learning-rate", "1e30"]), "max_grad_norm");
    place.refuses(&["train", "latent", "latent.toml"], "clip/model");
    place.refuses(&["eval", "--model", "data", "--data", "data"], "model_index.json");
    fs::write(place.path("data/3.png"), "no picture").expect("a file");
    place.refuses(&train(&["--output", "new"]), "3.png");
    fs::remove_file(place.path("data/3.png")).expect("it was there");
    place.refuses(&train(&["--output", "new"]), "line 4");
}
