//! WGSL compute stages of pyrograph: one stage per file, plain WGSL that editors and naga accept, with a prelude in front
//! for what varies: the scalar type and constants such as tile sizes.
//!
//! Only what is listed here is ever put in front, and a test translates every combination with naga for Vulkan, Metal and
//! DirectX 12.

pub mod attention;
pub mod conv2d;
pub mod group_norm;
pub mod matmul;

/// All of them.
pub const STAGES: &[Stage] = &[
    attention::TILED,
    attention::SOFTWARE,
    conv2d::TILED,
    conv2d::SOFTWARE,
    matmul::TILED,
    matmul::SOFTWARE,
    group_norm::STAGE,
];

/// The type of what a stage reads and writes. All stages compute in float32.
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

/// Name and value of a constant.
pub type Constant = (&'static str, u32);

/// The value of a constant, 0 where it is not listed.
pub fn value(constants: &[Constant], name: &str) -> usize {
    constants.iter().find(|(listed, _)| *listed == name).map_or(0, |(_, value)| *value as usize)
}

/// A compute stage.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// The file's name without its extension.
    pub name: &'static str,
    /// The file.
    pub body: &'static str,
    /// The constants it may be compiled with.
    pub variants: &'static [&'static [Constant]],
}

impl Stage {
    /// The whole text: the stage for tensors of `scalar` with these constants.
    pub fn source(&self, scalar: Scalar, constants: &[Constant]) -> String {
        let constants: String = constants.iter().map(|(name, value)| format!("const {name} = {value}u;\n")).collect();
        [scalar.prelude(), &constants, self.body].concat()
    }
}
