//! A tiny CLIP on toys: which of the texts an image goes with.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pyrograph_clip::{ClipConfig, ClipModel, ClipTextConfig, ClipVisionConfig};
use pyrograph_scheduler::Generator;
use pyrograph_train::{Trainer, TrainerConfig, contrastive_loss};

/// Red, green, blue, yellow, magenta, cyan.
const COLOURS: [[f32; 3]; 6] =
    [[1., -1., -1.], [-1., 1., -1.], [-1., -1., 1.], [1., 1., -1.], [1., -1., 1.], [-1., 1., 1.]];

/// Whether a point belongs to a square, a disc, a triangle or a cross between -1 and 1.
const SHAPES: [fn(f32, f32) -> bool; 4] = [
    |x, y| x.abs().max(y.abs()) <= 0.9,
    |x, y| x.hypot(y) <= 1.0,
    |x, y| x.abs() <= (y + 1.0) / 2.0,
    |x, y| x.abs().min(y.abs()) <= 0.35,
];

/// A colour and a shape, by number.
type Toy = (usize, usize);

/// Toys that are not in the training set, although their colours and shapes are.
const HELD_OUT: [Toy; 4] = [(0, 1), (1, 2), (2, 3), (3, 0)];

fn toys() -> impl Iterator<Item = Toy> {
    (0..COLOURS.len()).flat_map(|colour| (0..SHAPES.len()).map(move |shape| (colour, shape)))
}

/// Begin, the colour, the shape, end.
fn caption(&(colour, shape): &Toy) -> Vec<u32> {
    vec![0, 1 + colour as u32, 7 + shape as u32, 11]
}

/// An image of each toy, 16x16 pixels: 11 to 14 pixels large, at any place, on a ground of any brightness, with noise.
///
/// # Shapes
/// `[toys, 3, 16, 16]`
fn images(toys: &[Toy], generator: &mut Generator, device: &Device) -> Tensor<4> {
    let draws = generator.rand(4 * toys.len());
    let image = |(&(colour, shape), draw): (&Toy, &[f32])| {
        let radius = 5.5 + 1.5 * draw[0];
        let centre = |draw: f32| radius + draw * (16.0 - 2.0 * radius);
        let (left, top, ground) = (centre(draw[1]), centre(draw[2]), draw[3] - 0.5);
        (0..3 * 256).map(move |i| {
            let at = |pixel: usize, centre: f32| (pixel as f32 + 0.5 - centre) / radius;
            let (x, y) = (at(i % 16, left), at(i / 16 % 16, top));
            let inside = x.abs().max(y.abs()) <= 1.0 && SHAPES[shape](x, y);
            if inside { COLOURS[colour][i / 256] } else { ground }
        })
    };
    let pixels: Vec<f32> = toys.iter().zip(draws.chunks(4)).flat_map(image).collect();
    let shape = [toys.len(), 3, 16, 16];
    let noise = generator.randn_tensor(shape, device) * 0.1;
    Tensor::<1>::from_floats(pixels.as_slice(), device).reshape(shape) + noise
}

/// The text tower is so narrow that it must put texts together from their words: a wide one learns the 20 texts of the
/// training set by heart, and is right about half as many of the others.
fn clip(device: &Device) -> ClipModel {
    let text_config = ClipTextConfig {
        vocab_size: 12,
        hidden_size: 16,
        intermediate_size: 4,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        max_position_embeddings: 4,
        eos_token_id: 11,
        ..ClipTextConfig::default()
    };
    let vision_config = ClipVisionConfig {
        hidden_size: 48,
        intermediate_size: 96,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        image_size: 16,
        patch_size: 4,
        ..ClipVisionConfig::default()
    };
    let config = ClipConfig { text_config, vision_config, projection_dim: 16, ..ClipConfig::default() };
    config.validate().expect("the configuration is sound");
    config.init(device).materialize()
}

/// The share of images whose text is the best of all 24, over 40 new images of each of these toys.
fn accuracy(model: &ClipModel, of: &[Toy]) -> f64 {
    let all: Vec<Toy> = toys().collect();
    let (mut generator, device) = (Generator::new(78), Device::flex());
    let texts = model.text_features(&all.iter().map(caption).collect::<Vec<_>>());
    let found = |_| {
        let images = model.image_features(images(of, &mut generator, &device));
        let best = model.similarity(images, texts.clone()).argmax(1).into_data().convert::<i64>(); // [toys, 1]
        let best = best.try_to_vec::<i64>().expect("numbers of texts");
        best.into_iter().zip(of).filter(|&(best, toy)| all[best as usize] == *toy).count()
    };
    (0..40).map(found).sum::<usize>() as f64 / (40 * of.len()) as f64
}

/// Three images of every toy of the training set in a step; in each third every image has its own text.
fn loss(model: &ClipModel, train: &[Toy], generator: &mut Generator, device: &Device) -> Tensor<1> {
    let images = model.image_features(images(&train.repeat(3), generator, device));
    let texts = model.text_features(&train.iter().map(caption).collect::<Vec<_>>());
    let losses = images.chunk(3, 0).into_iter();
    let losses = losses.map(|images| contrastive_loss(images, texts.clone(), model.logit_scale.val()));
    Tensor::cat(losses.collect(), 0).mean()
}

/// Measured with three seeds: 97 to 98 % of new images, with other sizes, places, grounds and noise; of toys that were held
/// out 73 to 83 %, where a guess is right in 4 % and the colour alone in 25 %.
#[test]
fn a_tiny_clip_names_toys() {
    let device = Device::flex().autodiff();
    device.seed(6);
    let train: Vec<Toy> = toys().filter(|toy| !HELD_OUT.contains(toy)).collect();
    let config = TrainerConfig {
        steps: 500,
        learning_rate: 3e-3,
        warmup_steps: 50,
        weight_decay: 0.3,
        ema_decay: 0.95,
        ..TrainerConfig::default()
    };
    let mut trainer = Trainer::new(clip(&device), config);
    while !trainer.finished() {
        let step = trainer.step(|model, generator| loss(model, &train, generator, &device));
        step.expect("the loss stays finite");
    }
    let model = trainer.averaged();
    let (seen, unseen) = (accuracy(model, &train), accuracy(model, &HELD_OUT));
    assert!(seen >= 0.95 && unseen >= 0.6, "{seen} of new images, {unseen} of toys that were held out");
}
