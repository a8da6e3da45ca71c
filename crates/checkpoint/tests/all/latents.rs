use std::fs;

use burn::tensor::TensorData;
use pyrograph_checkpoint::{SafetensorsFile, Weights, read_latents, save_tensors};

use crate::{folder, message, safetensors_of};

#[test]
fn what_is_saved_is_read_again() {
    let folder = folder(&[]);
    let path = folder.path().join("out.safetensors");
    let latents = TensorData::new((0..2 * 4 * 3 * 5).map(|value| value as f32 / 7.0).collect(), [2, 4, 3, 5]);
    let counts =
        [("steps", TensorData::new(vec![20_i64], [1])), ("updates", TensorData::new(vec![7_i32], [0_usize; 0]))];
    save_tensors(&path, &[&[("latents", latents.clone())][..], &counts].concat()).unwrap();
    assert_eq!(read_latents(&path).unwrap(), latents);
    assert_eq!(SafetensorsFile::open(&path).unwrap().read("steps").unwrap().try_into_vec::<i64>().unwrap(), [20]);
    assert_eq!(SafetensorsFile::open(&path).unwrap().read("updates").unwrap().try_into_vec::<i32>().unwrap(), [7]);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["out.safetensors"], "no temporary file stays");
}

#[test]
fn a_file_that_cannot_be_written_leaves_nothing() {
    let folder = folder(&[("taken/x", b"")]);
    let data = TensorData::new(vec![1.0_f32], [1]);
    message(save_tensors(&folder.path().join("absent/out"), &[("latents", data.clone())]), &["absent"]);
    message(save_tensors(&folder.path().join("taken"), &[("latents", data.clone())]), &["taken"]);
    message(
        save_tensors(&folder.path().join("b"), &[("mask", TensorData::new(vec![true], [1]))]),
        &["`mask`", "cannot be saved"],
    );
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["taken"]);
}

#[test]
fn latents_of_another_name_type_or_shape_or_with_nan() {
    let folder = folder(&[
        ("name", &safetensors_of(&[("noise", &[1, 1, 1, 1], &[0.0])])),
        ("shape", &safetensors_of(&[("latents", &[1, 1], &[0.0])])),
        ("nan", &safetensors_of(&[("latents", &[1, 1, 1, 2], &[0.0, f32::NAN])])),
    ]);
    message(read_latents(&folder.path().join("name")), &["name", "no tensor `latents`"]);
    message(read_latents(&folder.path().join("shape")), &["shape", "[1, 1]", "[n, channels, height, width]"]);
    message(read_latents(&folder.path().join("nan")), &["`latents`", "NaN"]);
}
