//! Attention.

use crate::parameters::layout;
use crate::{MatrixUnits, Needs, Program};

/// The names of the tensors of the first three bindings.
pub const INPUTS: [&str; 3] = ["q", "k", "v"];

layout! {
    /// Distances in a tensor of heads `[batch, heads, tokens, head_dim]`, in elements, multiples of four.
    Heads {
        /// Between batches.
        batch: u32,
        /// Between heads.
        head: u32,
        /// Between tokens.
        token: u32,
    }
}

layout! {
    /// Parameters of every form.
    Parameters {
        /// Heads of a batch.
        heads: u32,
        /// Queries of a head.
        tokens: u32,
        /// Keys of a head.
        keys: u32,
        /// Width of a head, a multiple of four.
        head_dim: u32,
        /// 1 where a query sees the keys up to its own position only, else 0.
        causal: u32,
        /// Steps of the queries.
        q: Heads,
        /// Steps of the keys.
        k: Heads,
        /// Steps of the values.
        v: Heads,
    }
}

/// The widest head of any form.
pub const WIDEST_HEAD: usize = 512;

/// A variant of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stage {
    form: Form,
    /// The width of heads that there is room for.
    head_dim: u32,
}

/// A form of the shader, by the units that it computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// In registers, on tiles in workgroup memory: `attention.wgsl`.
    Tiled,
    /// On matrix units: `attention_matrix.wgsl`.
    Matrix(MatrixUnits),
    /// In registers alone, for adapters that are a CPU: `attention_software.wgsl`, with so many queries of an invocation.
    Software { rows: u32 },
}

const TILED_HEADS: [u32; 4] = [64, 128, 192, WIDEST_HEAD as u32];
const MATRIX_HEADS: [u32; 3] = [64, 96, 160];
/// Width of heads and queries of an invocation. More queries at once are faster as long as the compiler unrolls the loops over
/// them, which Mesa does up to forty turns.
const SOFTWARE_HEADS: [(u32, u32); 10] =
    [(4, 4), (8, 4), (16, 4), (24, 6), (32, 6), (40, 6), (64, 6), (80, 6), (160, 4), (512, 1)];
/// Queries of a workgroup.
const TILE: u32 = 32;
const SOFTWARE_THREADS: u32 = 8;

impl Stage {
    /// For heads of this width, at most [`WIDEST_HEAD`].
    pub fn tiled(head_dim: usize) -> Option<Self> {
        narrowest(&TILED_HEADS, head_dim).map(|head_dim| Self { form: Form::Tiled, head_dim })
    }

    /// For heads of this width, where the sums of a workgroup fit its registers.
    pub fn matrix(units: MatrixUnits, head_dim: usize) -> Option<Self> {
        narrowest(&MATRIX_HEADS, head_dim).map(|head_dim| Self { form: Form::Matrix(units), head_dim })
    }

    /// For heads of this width, where a model has such.
    pub fn software(head_dim: usize) -> Option<Self> {
        let &(head_dim, rows) = SOFTWARE_HEADS.iter().find(|(width, _)| *width as usize == head_dim)?;
        Some(Self { form: Form::Software { rows }, head_dim })
    }

    /// All variants.
    pub fn all() -> Vec<Self> {
        let mut stages = Vec::from(TILED_HEADS.map(|head_dim| Self { form: Form::Tiled, head_dim }));
        for units in MatrixUnits::ALL {
            stages.extend(MATRIX_HEADS.map(|head_dim| Self { form: Form::Matrix(units), head_dim }));
        }
        stages.extend(SOFTWARE_HEADS.map(|(head_dim, rows)| Self { form: Form::Software { rows }, head_dim }));
        stages
    }

    /// Queries of a workgroup.
    pub fn queries(self) -> usize {
        match self.form {
            Form::Tiled | Form::Matrix(_) => TILE as usize,
            Form::Software { rows } => (rows * SOFTWARE_THREADS) as usize,
        }
    }

    pub(crate) fn program(self) -> Program {
        const COMMON: &str = include_str!("../attention_common.wgsl");
        let program = match self.form {
            Form::Tiled => {
                Program::new("attention", &[COMMON, include_str!("../attention.wgsl")]).with(&[("TILE_Q", TILE)])
            }
            Form::Matrix(units) => {
                let files = [COMMON, units.file(), include_str!("../attention_matrix.wgsl")];
                Program::new("attention_matrix", &files).with(&[("TILE", TILE)]).needing(Needs::MatrixUnits)
            }
            Form::Software { rows } => {
                Program::new("attention_software", &[COMMON, include_str!("../attention_software.wgsl")])
                    .with(&[("ROWS", rows), ("THREADS", SOFTWARE_THREADS)])
            }
        };
        program.with(&[("HEAD_DIM", self.head_dim)])
    }
}

fn narrowest(widths: &[u32], head_dim: usize) -> Option<u32> {
    widths.iter().copied().find(|&width| width as usize >= head_dim)
}
