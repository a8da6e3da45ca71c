//! WGSL compute stages of pyrograph, plain WGSL that editors and naga accept. A stage is one file; what varies stands in
//! front: the scalar type, constants such as tile sizes, what the forms of an operation share, and what follows the result.
//!
//! Only what is listed here is ever put together, and a test translates every combination with naga for Vulkan, Metal and
//! DirectX 12.

pub mod attention;
pub mod conv2d;
pub mod group_norm;
pub mod layer_norm;
pub mod matmul;

/// All of them.
pub const STAGES: &[Stage] = &[
    attention::TILED,
    attention::MATRIX_8,
    attention::MATRIX_16,
    attention::SOFTWARE,
    conv2d::TILED,
    conv2d::MATRIX_8,
    conv2d::MATRIX_16,
    conv2d::SOFTWARE,
    matmul::TILED,
    matmul::MATRIX_8,
    matmul::MATRIX_16,
    matmul::SOFTWARE,
    group_norm::STAGE,
    layer_norm::STAGE,
];

/// The type of what a stage reads and writes. All stages accumulate in float32.
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

/// What follows the result of a stage.
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

/// What a device must be able to do for a stage, beside WebGPU's minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Units that multiply small matrices: wgpu's feature `wgpu_cooperative_matrix`.
    MatrixUnits,
}

impl Needs {
    /// The checks of uniformity are off for what needs matrix units: naga takes a branch for all invocations of a subgroup for
    /// one that some of a workgroup take.
    fn prelude(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::MatrixUnits => "enable wgpu_cooperative_matrix;\ndiagnostic(off, derivative_uniformity);\n",
        }
    }
}

/// For stages that multiply matrices of 8 x 8.
const MATRIX_8: &str = include_str!("../matrix_8.wgsl");
/// For stages that multiply matrices of 16 x 16.
const MATRIX_16: &str = include_str!("../matrix_16.wgsl");
/// For stages that make blocks of a product of them.
const MATRIX_COMMON: &str = include_str!("../matrix_common.wgsl");

/// Name and value of a constant.
pub type Constant = (&'static str, u32);

/// The value of a constant, 0 where it is not listed.
pub fn value(constants: &[Constant], name: &str) -> usize {
    constants.iter().find(|(listed, _)| *listed == name).map_or(0, |(_, value)| *value as usize)
}

/// Tiles of a product of matrices in workgroup memory: `TILE_M` rows x `TILE_N` columns of a workgroup, `TILE_K` terms at a
/// time, and `THREADS_M` x `THREADS_N` invocations of eight rows x eight columns, or of four x eight in the smallest. The largest
/// first: they load least, the smaller ones keep more of an adapter busy where the product is small.
const TILES: [[Constant; 5]; 3] = [tile([128, 128, 8, 16, 16]), tile([64, 64, 16, 8, 8]), tile([32, 32, 16, 8, 4])];

const fn tile([m, n, k, threads_m, threads_n]: [u32; 5]) -> [Constant; 5] {
    [("TILE_M", m), ("TILE_N", n), ("TILE_K", k), ("THREADS_M", threads_m), ("THREADS_N", threads_n)]
}

/// A compute stage.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// The file's name without its extension.
    pub name: &'static str,
    /// The file, behind what it shares with others.
    pub files: &'static [&'static str],
    /// What the tensors of the first three bindings are called.
    pub inputs: [&'static str; 3],
    /// The constants it may be compiled with.
    pub variants: &'static [&'static [Constant]],
    /// What may follow.
    pub epilogues: &'static [Epilogue],
    /// What it needs.
    pub needs: Needs,
}

impl Stage {
    /// The whole text: the stage for tensors of `scalar` with these constants.
    pub fn source(&self, scalar: Scalar, constants: &[Constant], epilogue: Epilogue) -> String {
        let constants: String = constants.iter().map(|(name, value)| format!("const {name} = {value}u;\n")).collect();
        [self.needs.prelude(), scalar.prelude()].concat() + &constants + epilogue.prelude() + &self.files.concat()
    }
}
