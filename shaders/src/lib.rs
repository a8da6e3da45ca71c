//! WGSL compute stages of pyrograph, plain WGSL that editors and naga accept. A stage is one file. In front of it stand the
//! scalar type, constants such as tile sizes, the files that the forms of an operation share, and an epilogue.
//!
//! Every variant that can be built is listed by [`Stage::all`], and a test translates all of them with naga for Vulkan, Metal and
//! DirectX 12.

pub mod attention;
pub mod conv2d;
pub mod group_norm;
mod lanes;
pub mod layer_norm;
pub mod matmul;
mod matrix_units;
mod parameters;
mod program;
mod threads;
mod tiles;

pub use lanes::Lanes;
pub use matrix_units::MatrixUnits;
pub use parameters::{Field, Layout, Steps};
use program::Program;
pub use threads::Threads;
pub use tiles::Tiles;

/// Name and value of a constant.
pub type Constant = (&'static str, u32);

/// A compute stage with a value for every constant. Its text follows from the type of its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Attention.
    Attention(attention::Stage),
    /// The convolution.
    Conv2d(conv2d::Stage),
    /// Group normalisation.
    GroupNorm(group_norm::Stage),
    /// Layer normalisation.
    LayerNorm(layer_norm::Stage),
    /// The product of matrices.
    Matmul(matmul::Stage),
}

impl Stage {
    /// All stages.
    pub fn all() -> Vec<Self> {
        let attention = attention::Stage::all().into_iter().map(Self::Attention);
        let conv2d = conv2d::Stage::all().into_iter().map(Self::Conv2d);
        let group_norm = group_norm::Stage::all().into_iter().map(Self::GroupNorm);
        let layer_norm = layer_norm::Stage::all().into_iter().map(Self::LayerNorm);
        let matmul = matmul::Stage::all().into_iter().map(Self::Matmul);
        attention.chain(conv2d).chain(group_norm).chain(layer_norm).chain(matmul).collect()
    }

    /// The name of its file, without the extension.
    pub fn name(self) -> &'static str {
        self.program().name
    }

    /// The constants in front of it.
    pub fn constants(self) -> Vec<Constant> {
        self.program().constants
    }

    /// The code that its results go through.
    pub fn epilogue(self) -> Epilogue {
        self.program().epilogue
    }

    /// The features of a device that it needs.
    pub fn needs(self) -> Needs {
        self.program().needs
    }

    /// The whole text for tensors of `scalar`.
    pub fn source(self, scalar: Scalar) -> String {
        self.program().source(scalar)
    }

    /// The names of the tensors of the first three bindings.
    pub fn inputs(self) -> [&'static str; 3] {
        match self {
            Self::Attention(_) => attention::INPUTS,
            Self::Conv2d(_) => conv2d::INPUTS,
            Self::GroupNorm(_) => group_norm::INPUTS,
            Self::LayerNorm(_) => layer_norm::INPUTS,
            Self::Matmul(_) => matmul::INPUTS,
        }
    }

    /// The members of its struct `Parameters`, binding 4.
    pub fn parameters(self) -> &'static [Field] {
        match self {
            Self::Attention(_) => attention::Parameters::FIELDS,
            Self::Conv2d(_) => conv2d::Parameters::FIELDS,
            Self::GroupNorm(_) => group_norm::Parameters::FIELDS,
            Self::LayerNorm(_) => layer_norm::Parameters::FIELDS,
            Self::Matmul(_) => matmul::Parameters::FIELDS,
        }
    }

    fn program(self) -> Program {
        match self {
            Self::Attention(stage) => stage.program(),
            Self::Conv2d(stage) => stage.program(),
            Self::GroupNorm(stage) => stage.program(),
            Self::LayerNorm(stage) => stage.program(),
            Self::Matmul(stage) => stage.program(),
        }
    }
}

/// The type of the tensors of a stage. All stages accumulate in float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// 32 bits.
    F32,
    /// 16 bits; the device needs the feature `shader-f16`.
    F16,
}

impl Scalar {
    /// Both.
    pub const ALL: [Self; 2] = [Self::F32, Self::F16];

    fn prelude(self) -> &'static str {
        match self {
            Self::F32 => include_str!("../prelude_f32.wgsl"),
            Self::F16 => include_str!("../prelude_f16.wgsl"),
        }
    }
}

/// The code that the results of a stage go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// Nothing.
    Plain,
    /// Another tensor is added, binding 5.
    Add,
    /// The left half of the columns is multiplied with the GELU of the right half.
    Geglu,
}

impl Epilogue {
    fn prelude(self) -> &'static str {
        match self {
            Self::Plain => include_str!("../epilogue_plain.wgsl"),
            Self::Add => include_str!("../epilogue_add.wgsl"),
            Self::Geglu => include_str!("../epilogue_geglu.wgsl"),
        }
    }
}

/// Features of a device that a stage needs, beside WebGPU's minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// [`MatrixUnits`]: wgpu's feature `wgpu_cooperative_matrix`.
    MatrixUnits,
}

impl Needs {
    /// The checks of uniformity are off for stages on matrix units: naga takes a branch for all invocations of a subgroup for
    /// one that some of a workgroup take.
    fn prelude(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::MatrixUnits => "enable wgpu_cooperative_matrix;\ndiagnostic(off, derivative_uniformity);\n",
        }
    }
}
