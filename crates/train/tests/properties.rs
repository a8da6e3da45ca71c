//! What must hold of timesteps, averages and codebooks, whatever the model.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use pyrograph_autoencoder::VectorQuantizer;
use pyrograph_kernels::{Linear, LinearConfig};
use pyrograph_scheduler::Generator;
use pyrograph_train::{
    CodebookMeans, Ema, ImportanceSampler, PatchDiscriminator, TimestepSampler, Trainer, TrainerConfig,
};

#[test]
fn stratified_timesteps_take_every_part() {
    let mut generator = Generator::new(1);
    for _ in 0..100 {
        let timesteps = TimestepSampler::Stratified.draw(10, 1000, &mut generator);
        assert!(timesteps.iter().enumerate().all(|(i, timestep)| timestep / 100 == i), "{timesteps:?}");
    }
    let uniform: Vec<usize> = (0..1000).flat_map(|_| TimestepSampler::Uniform.draw(8, 4, &mut generator)).collect();
    for timestep in 0..4 {
        let count = uniform.iter().filter(|&&drawn| drawn == timestep).count();
        assert!((1850..2150).contains(&count), "{timestep} was drawn {count} times of 8000");
    }
}

/// The weighted mean of drawn losses is the mean over all timesteps, and hard timesteps are drawn more often.
#[test]
fn importance_keeps_the_expectation() {
    let mut sampler = ImportanceSampler::new(4);
    let loss = |timestep: usize| [1.0, 2.0, 4.0, 9.0][timestep];
    assert_eq!(sampler.probabilities(), [0.25; 4]);
    (0..40).for_each(|i| sampler.record(i % 4, loss(i % 4)));
    let probabilities = sampler.probabilities();
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{probabilities:?}");
    assert!((probabilities[3] / probabilities[0] - 9.0).abs() < 0.1, "{probabilities:?}");
    let draws = sampler.draw(20_000, &mut Generator::new(2));
    let mean = draws.iter().map(|&(timestep, weight)| weight * loss(timestep)).sum::<f64>() / draws.len() as f64;
    assert!((mean - 4.0).abs() < 0.02, "{mean} instead of the mean 4");
}

fn layer(value: f32, device: &Device) -> Linear {
    let mut layer = LinearConfig::new(1, 1).with_bias(false).init(device);
    layer.weight = Param::from_tensor(Tensor::from_floats([[value]], device));
    layer
}

/// The recurrence of the average, by hand: decays of 1/10 and 2/11 while it warms up.
#[test]
fn averages_warm_up() {
    let device = Device::flex();
    let mut ema = Ema::new(layer(1.0, &device), 0.999, 0);
    for value in [2.0, 3.0] {
        ema = ema.update(&layer(value, &device.clone().autodiff()));
    }
    let expected = (1.0 * 0.1 + 2.0 * 0.9) * (2.0 / 11.0) + 3.0 * (9.0 / 11.0);
    let weight = ema.model().weight.val().into_scalar::<f32>();
    assert!((f64::from(weight) - expected).abs() < 1e-6, "{weight} instead of {expected}");
}

/// Every cluster gets a code, and codes that none chose are put to use.
#[test]
fn running_means_find_clusters() {
    let device = Device::flex();
    let centres: Tensor<2> = Tensor::from_floats([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]], &device);
    let mut generator = Generator::new(4);
    let mut quantizer = VectorQuantizer::new(16, 2, 0.25, &device);
    let mut means = CodebookMeans::new(&quantizer, 0.9);
    let mut usage = Vec::new();
    for _ in 0..400 {
        let noise = generator.randn_tensor([1, 2, 8, 8], &device) * 0.05;
        let vectors = centres.clone().repeat_dim(0, 16).reshape([1, 8, 8, 2]).permute([0, 3, 1, 2]) + noise;
        let indices = quantizer.forward(vectors.clone()).indices;
        usage.push(quantizer.usage(indices.clone()).into_scalar::<f32>());
        quantizer = means.update(quantizer, vectors, indices, &mut generator);
    }
    let codes = quantizer.embedding.weight.val();
    let distances = (codes.unsqueeze_dim::<3>(1) - centres.unsqueeze_dim::<3>(0)).square().sum_dim(2).min_dim(0);
    let furthest = distances.max().into_scalar::<f32>();
    assert!(furthest < 0.01, "a centre is {furthest} from its code");
    let (first, last) = (usage[0], usage[usage.len() - 1]);
    assert!(first < 5.0 && last > 8.0, "{first} of 16 codes are used in the beginning, {last} in the end");
}

/// Sharp stripes against blurred ones, which only details tell apart.
#[test]
fn a_discriminator_learns_what_is_sharp() {
    let device = Device::flex().autodiff();
    let config = TrainerConfig { steps: 60, learning_rate: 3e-3, warmup_steps: 5, ..TrainerConfig::default() };
    let mut trainer = Trainer::new(PatchDiscriminator::new(8, 2, &device), config);
    let stripes = |generator: &mut Generator| {
        let colours = generator.randn_tensor([8, 3, 1, 1], &device) * 0.3;
        let line: Vec<f32> = (0..16).map(|x| if x % 4 < 2 { 0.5 } else { -0.5 }).collect();
        let sharp =
            Tensor::<1>::from_floats(line.as_slice(), &device).reshape([1, 1, 1, 16]).expand([8, 3, 16, 16]) + colours;
        let blurred = (sharp.clone() + sharp.clone().roll_dim(1, 3) + sharp.clone().roll_dim(-1, 3)) / 3.0;
        (sharp, blurred)
    };
    let mut losses = Vec::new();
    while !trainer.finished() {
        let step = trainer.step(|model, generator| {
            let (sharp, blurred) = stripes(generator);
            model.loss(sharp, blurred)
        });
        losses.push(step.expect("the loss stays finite"));
    }
    assert!(losses[0] > 0.8 && losses[59] < 0.2, "the loss fell from {} to {}", losses[0], losses[59]);
    let (sharp, blurred) = stripes(&mut Generator::new(9));
    let opinion = |image| trainer.model().generator_loss(image).into_scalar::<f32>();
    assert!(opinion(sharp) < opinion(blurred), "what looks real costs the autoencoder less");
}
