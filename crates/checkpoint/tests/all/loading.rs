use std::sync::Mutex;

use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};
use half::{bf16, f16};
use pyrograph_checkpoint::{Checkpoint, CheckpointError, SafetensorsFile, TensorInfo, Weights, load};
use pyrograph_kernels::{Conv2d, Conv2dConfig, GroupNorm, GroupNormConfig, LayerNorm, Linear, LinearConfig};
use serde_json::json;

use crate::{message, reference, safetensors};

/// One of each kind of field that the networks have.
#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    norm: GroupNorm,
    token: Embedding,
    to_out: Vec<Linear>,
    net: (LayerNorm, Choice),
    absent: Option<Linear>,
    extra: Option<Linear>,
    scale: Param<Tensor<1>>,
}

#[derive(Module, Debug)]
enum Choice {
    Linear(Linear),
    Conv(Conv2d),
}

fn net(device: &Device) -> Net {
    let linear = |[from, to]: [usize; 2], bias| LinearConfig::new(from, to).with_bias(bias).init(device);
    Net {
        conv: Conv2dConfig::new([2, 3], [1, 2]).init(device),
        norm: GroupNormConfig::new(1, 2).init(device),
        token: EmbeddingConfig::new(4, 2).init(device),
        to_out: vec![linear([3, 2], true)],
        net: (LayerNorm::new(2, 1e-5, device), Choice::Linear(linear([40, 33], false))),
        absent: None,
        extra: Some(linear([2, 2], false)),
        scale: Param::from_data([9.0], device),
    }
}

/// Names in the file, and PyTorch's shapes.
const TENSORS: [(&str, &[usize]); 12] = [
    ("conv.weight", &[3, 2, 1, 2]),
    ("conv.bias", &[3]),
    ("norm.weight", &[2]),
    ("norm.bias", &[2]),
    ("token.weight", &[4, 2]),
    ("to_out.0.weight", &[2, 3]),
    ("to_out.0.bias", &[2]),
    ("net.0.weight", &[2]),
    ("net.0.bias", &[2]),
    ("net.1.weight", &[33, 40]),
    ("extra.weight", &[2, 2, 1, 1]),
    ("scale", &[1]),
];

/// Element `index` of the tensor `name`; exact in every float type.
fn value(name: &str, index: usize) -> f32 {
    ((name.len() * 31 + index) % 256) as f32 / 4.0 - 20.0
}

/// A file of these tensors, modified by `change`.
fn file(
    dtype: &str,
    change: impl Fn(&str, &mut Vec<usize>, &mut Vec<f32>, &mut String),
) -> SafetensorsFile<std::io::Cursor<Vec<u8>>> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in TENSORS {
        let (mut shape, mut dtype) = (shape.to_vec(), dtype.to_owned());
        let mut values: Vec<f32> = (0..shape.iter().product()).map(|index| value(name, index)).collect();
        change(name, &mut shape, &mut values, &mut dtype);
        let start = data.len();
        for value in values {
            match dtype.as_str() {
                "F16" => data.extend(f16::from_f32(value).to_le_bytes()),
                "BF16" => data.extend(bf16::from_f32(value).to_le_bytes()),
                "F64" => data.extend(f64::from(value).to_le_bytes()),
                "I32" => data.extend((value as i32).to_le_bytes()),
                "F8_E5M2" => data.push((f16::from_f32(value).to_bits() >> 8) as u8),
                _ => data.extend(value.to_le_bytes()),
            }
        }
        if dtype != "gone" {
            header
                .insert(name.to_owned(), json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]}));
        } else {
            data.truncate(start);
        }
    }
    SafetensorsFile::from_bytes("net.safetensors", safetensors(&json!(header).to_string(), &data)).unwrap()
}

fn unchanged(dtype: &str) -> SafetensorsFile<std::io::Cursor<Vec<u8>>> {
    file(dtype, |_, _, _, _| {})
}

fn expected(name: &str, count: usize) -> Vec<f32> {
    (0..count).map(|index| value(name, index)).collect()
}

fn values<const D: usize>(tensor: &Param<Tensor<D>>) -> Vec<f32> {
    tensor.val().into_data().convert_dtype(DType::F32).try_into_vec().unwrap()
}

#[test]
fn every_float_type_into_float32_and_float16() {
    for from in ["F32", "F16", "BF16", "F64"] {
        for to in [DType::F32, DType::F16] {
            let mut net = net(&Device::flex());
            let report = load(&mut net, &unchanged(from), to).unwrap();
            assert_eq!((report.loaded, report.unused.len()), (12, 0));
            assert_eq!(net.conv.weight.val().dtype(), to);
            assert_eq!(values(&net.conv.weight), expected("conv.weight", 12));
            assert_eq!(values(net.conv.bias.as_ref().unwrap()), expected("conv.bias", 3));
            assert_eq!(values(&net.norm.weight), expected("norm.weight", 2));
            assert_eq!(values(&net.norm.bias), expected("norm.bias", 2));
            assert_eq!(values(&net.token.weight), expected("token.weight", 8));
            assert_eq!(values(net.to_out[0].bias.as_ref().unwrap()), expected("to_out.0.bias", 2));
            assert_eq!(values(&net.net.0.weight), expected("net.0.weight", 2));
            assert_eq!(values(&net.scale), expected("scale", 1));
        }
    }
}

/// Powers of two, which float8 can represent.
#[test]
fn float8_into_float32_and_float16() {
    for to in [DType::F32, DType::F16] {
        let mut net = net(&Device::flex());
        let powers = file("F8_E5M2", |name, _, values, _| {
            values
                .iter_mut()
                .enumerate()
                .for_each(|(index, value)| *value = 2_f32.powi((index % 8) as i32 - name.len() as i32 % 3));
        });
        load(&mut net, &powers, to).unwrap();
        assert_eq!(net.conv.weight.val().dtype(), to);
        assert_eq!(values(net.conv.bias.as_ref().unwrap()), [1.0, 2.0, 4.0]);
        assert_eq!(values(&net.to_out[0].weight), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
    }
}

/// The kernel of a 1x1 convolution is a matrix, too.
#[test]
fn matrices_have_the_layout_of_files() {
    let mut net = net(&Device::flex());
    load(&mut net, &unchanged("F32"), DType::F32).unwrap();
    let Choice::Linear(linear) = &net.net.1 else { panic!("the variant stays") };
    for (name, linear, [d_input, d_output]) in [
        ("to_out.0.weight", &net.to_out[0], [3, 2]),
        ("net.1.weight", linear, [40, 33]),
        ("extra.weight", net.extra.as_ref().unwrap(), [2, 2]),
    ] {
        assert_eq!(linear.weight.val().dims(), [d_output, d_input]);
        assert_eq!(values(&linear.weight), expected(name, d_output * d_input), "{name}");
    }
}

#[test]
fn unused_tensors_are_reported() {
    let mut net = net(&Device::flex());
    net.extra = None;
    let report = load(&mut net, &unchanged("F32"), DType::F32).unwrap();
    assert_eq!((report.loaded, report.unused), (11, vec!["extra.weight".to_owned()]));
}

/// A source that records which tensors are read.
#[derive(Debug)]
struct Counted(SafetensorsFile<std::io::Cursor<Vec<u8>>>, Mutex<Vec<String>>);

impl Weights for Counted {
    fn file(&self) -> &str {
        self.0.file()
    }

    fn names(&self) -> Vec<&str> {
        self.0.names()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.0.info(name)
    }

    fn read(&self, name: &str) -> Result<TensorData, CheckpointError> {
        self.1.lock().unwrap().push(name.to_owned());
        self.0.read(name)
    }

    fn note(&self, key: &str) -> Option<&str> {
        self.0.note(key)
    }
}

/// The module is unchanged. Nothing is read if names, types and shapes already show the problem.
#[track_caller]
fn refuses(file: SafetensorsFile<std::io::Cursor<Vec<u8>>>, dtype: DType, reads: bool, about: &[&str]) {
    let mut net = net(&Device::flex());
    let counted = Counted(file, Mutex::default());
    message(load(&mut net, &counted, dtype), &[&["net.safetensors"], about].concat());
    assert_eq!(!counted.1.lock().unwrap().is_empty(), reads);
    assert_eq!(values(&net.scale), [9.0]);
}

#[test]
fn each_tensor_is_read_once() {
    let counted = Counted(unchanged("F32"), Mutex::default());
    load(&mut net(&Device::flex()), &counted, DType::F32).unwrap();
    let mut read = counted.1.into_inner().unwrap();
    read.sort();
    assert_eq!(read, counted.0.names());
}

#[test]
fn missing_tensors() {
    let without = |names: &'static [&'static str]| {
        file("F32", |name, _, _, dtype| {
            if names.contains(&name) {
                *dtype = "gone".to_owned();
            }
        })
    };
    refuses(without(&["norm.bias"]), DType::F32, false, &["`norm.bias`", "missing"]);
    refuses(without(&["conv.weight", "scale", "net.1.weight"]), DType::F32, false, &["`conv.weight`", "2 more"]);
}

#[test]
fn wrong_shapes_and_types() {
    let shaped = |wrong: &'static str, new: &'static [usize]| {
        file("F32", move |name, shape, _, _| {
            if name == wrong {
                *shape = new.to_vec();
            }
        })
    };
    refuses(shaped("to_out.0.weight", &[3, 2]), DType::F32, false, &["`to_out.0.weight`", "[3, 2]", "[2, 3]"]);
    refuses(shaped("conv.weight", &[3, 4]), DType::F32, false, &["`conv.weight`", "[3, 4]", "[3, 2, 1, 2]"]);
    refuses(shaped("extra.weight", &[2, 1, 1, 2]), DType::F32, false, &["`extra.weight`", "[2, 1, 1, 2]"]);
    let typed = file("F32", |name, _, _, dtype| {
        if name == "token.weight" {
            *dtype = "I32".to_owned();
        }
    });
    refuses(typed, DType::F32, false, &["`token.weight`", "I32", "float16"]);
}

#[test]
fn weights_that_are_no_numbers_or_too_large() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for from in ["F32", "F16", "BF16", "F64"] {
            for to in [DType::F32, DType::F16] {
                let damaged = file(from, |name, _, values, _| {
                    if name == "net.1.weight" {
                        values[777] = bad;
                    }
                });
                refuses(damaged, to, true, &["`net.1.weight`", "NaN or infinity", "777"]);
            }
        }
    }
    let large = |name: &str, _: &mut Vec<usize>, values: &mut Vec<f32>, _: &mut String| {
        if name == "conv.bias" {
            values[1] = 1e5;
        }
    };
    refuses(file("F32", large), DType::F16, true, &["`conv.bias`", "too large for F16", "float32"]);
    assert!(load(&mut net(&Device::flex()), &file("F32", large), DType::F32).is_ok());
}

/// A network with the shapes of a real checkpoint finds its tensors in all three forms of the file.
#[test]
fn a_text_tower_from_a_folder_and_a_single_file() {
    #[derive(Module, Debug)]
    struct Embeddings {
        token_embedding: Embedding,
        position_embedding: Embedding,
    }
    #[derive(Module, Debug)]
    struct Text {
        embeddings: Embeddings,
        final_layer_norm: LayerNorm,
    }
    let device = Device::flex();
    let table = |rows| EmbeddingConfig::new(rows, 6).init(&device);
    let load_from = |name: &str| {
        let embeddings = Embeddings { token_embedding: table(49408), position_embedding: table(77) };
        let mut text = Text { embeddings, final_layer_norm: LayerNorm::new(6, 1e-5, &device) };
        let checkpoint = Checkpoint::open(&reference(name)).unwrap();
        let report = load(&mut text, checkpoint.text_encoder.weights.as_ref(), DType::F32).unwrap();
        assert_eq!((report.loaded, report.unused.len()), (4, 32), "two blocks of 16 tensors are not asked for");
        [values(&text.embeddings.token_embedding.weight), values(&text.final_layer_norm.weight)].concat()
    };
    assert_eq!(load_from("tiny-sd1"), load_from("tiny-sd1.ckpt"));
}
