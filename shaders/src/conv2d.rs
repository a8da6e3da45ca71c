//! The convolution.

use crate::parameters::layout;
use crate::{Epilogue, MatrixUnits, Program, Steps, Tiles};

/// The names of the tensors of the first three bindings.
pub const INPUTS: [&str; 3] = ["x", "weight", "bias"];

layout! {
    /// Parameters of every form.
    Parameters {
        /// Images of the batch.
        batch: u32,
        /// Channels of the input; a multiple of four except in the software form.
        channels_in: u32,
        /// Height of the input, after it was enlarged.
        height: u32,
        /// Width of the input, after it was enlarged.
        width: u32,
        /// Channels of the output.
        channels_out: u32,
        /// Height of the output.
        height_out: u32,
        /// Width of the output.
        width_out: u32,
        /// Pixels of the input from one of the output to the next, in both directions.
        stride: u32,
        /// Zeros above the input.
        padding_top: u32,
        /// Zeros to the left of the input.
        padding_left: u32,
        /// Steps of the addend.
        addend: Steps,
    }
}

/// A variant of the convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stage {
    form: Form,
    kernel: u32,
    doubled: bool,
    add: bool,
}

/// A form of the shader, by the units that it computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// In registers, on tiles in workgroup memory: `conv2d.wgsl`. The input's channels are a multiple of four.
    Tiled(Tiles),
    /// On matrix units: `conv2d_matrix.wgsl`. The input's channels are a multiple of four.
    Matrix(MatrixUnits),
    /// In registers alone, for adapters that are a CPU, and for any number of channels: `conv2d_software.wgsl`.
    Software(Software),
}

/// Constants of the software form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Software {
    stride: u32,
    /// Output channels of an invocation.
    rows: u32,
}

const KERNELS: [u32; 2] = [1, 3];
const SOFTWARE_STRIDES: [u32; 2] = [1, 2];
const SOFTWARE_ROWS: [u32; 2] = [4, 8];
const SOFTWARE_THREADS: usize = 32;

impl Software {
    /// For a stride of one or two pixels in both directions.
    pub fn new(stride: usize, channels_out: usize) -> Option<Self> {
        let stride = SOFTWARE_STRIDES.into_iter().find(|&listed| listed as usize == stride)?;
        let [few, many] = SOFTWARE_ROWS;
        Some(Self { stride, rows: if channels_out <= few as usize { few } else { many } })
    }
}

impl Stage {
    /// For kernels of one or three pixels in both directions. Where `doubled`, the input is first enlarged to twice its size, or
    /// one pixel less, by repeating pixels; where `add`, a tensor is added to the output.
    pub fn new(form: Form, kernel: usize, doubled: bool, add: bool) -> Option<Self> {
        let kernel = KERNELS.into_iter().find(|&listed| listed as usize == kernel)?;
        Some(Self { form, kernel, doubled, add })
    }

    /// All variants.
    pub fn all() -> Vec<Self> {
        let mut forms: Vec<Form> = Tiles::ALL.map(Form::Tiled).into();
        forms.extend(MatrixUnits::ALL.map(Form::Matrix));
        for stride in SOFTWARE_STRIDES {
            forms.extend(SOFTWARE_ROWS.map(|rows| Form::Software(Software { stride, rows })));
        }
        let mut stages = Vec::new();
        for form in forms {
            for kernel in KERNELS {
                for [doubled, add] in [[false, false], [false, true], [true, false], [true, true]] {
                    stages.push(Self { form, kernel, doubled, add });
                }
            }
        }
        stages
    }

    /// Output channels and columns of a workgroup, and the number of columns, for an output `[batch, height, width]`. A column is
    /// a pixel, or in the software form four neighbours of a row.
    pub fn tile(self, [batch, height, width]: [usize; 3]) -> ([usize; 2], usize) {
        let pixels = batch * height * width;
        match self.form {
            Form::Tiled(tiles) => ([tiles.side(); 2], pixels),
            Form::Matrix(_) => ([MatrixUnits::SIDE; 2], pixels),
            Form::Software(Software { rows, .. }) => {
                let quads = batch * height * width.div_ceil(4);
                let columns = quads.min(SOFTWARE_THREADS);
                ([SOFTWARE_THREADS / columns * rows as usize, columns], quads)
            }
        }
    }

    pub(crate) fn program(self) -> Program {
        const COMMON: &str = include_str!("../conv2d_common.wgsl");
        let program = match self.form {
            Form::Tiled(tiles) => {
                Program::new("conv2d", &[COMMON, include_str!("../conv2d.wgsl")]).with(&tiles.constants())
            }
            Form::Matrix(units) => Program::on(units, "conv2d_matrix", COMMON, include_str!("../conv2d_matrix.wgsl")),
            Form::Software(Software { stride, rows }) => {
                Program::new("conv2d_software", &[COMMON, include_str!("../conv2d_software.wgsl")]).with(&[
                    ("STRIDE", stride),
                    ("ROWS", rows),
                    ("THREADS", SOFTWARE_THREADS as u32),
                ])
            }
        };
        let layer = [("KERNEL", self.kernel), ("DOUBLED", u32::from(self.doubled))];
        program.with(&layer).followed_by(if self.add { Epilogue::Add } else { Epilogue::Plain })
    }
}
