//! The product of matrices.

use crate::parameters::layout;
use crate::{Epilogue, MatrixUnits, Program, Steps, Tiles};

/// The names of the tensors of the first three bindings.
pub const INPUTS: [&str; 3] = ["a", "b", "bias"];

layout! {
    /// Parameters of every form.
    Parameters {
        /// Rows of `a`.
        rows: u32,
        /// Columns of `b`, a multiple of four.
        columns: u32,
        /// Terms of a sum, a multiple of four.
        depth: u32,
        /// Steps of the addend.
        addend: Steps,
    }
}

/// A variant of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stage {
    form: Form,
    layer: Layer,
    epilogue: Epilogue,
}

/// A form of the shader, by the units that it computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// In registers, on tiles in workgroup memory: `matmul.wgsl`.
    Tiled(Tiles),
    /// On matrix units: `matmul_matrix.wgsl`.
    Matrix(MatrixUnits),
    /// In registers alone, for adapters that are a CPU: `matmul_software.wgsl`. Nothing may follow.
    Software,
}

/// The layer that the product computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// A convolution of single pixels: `a` is its weights, `b` is `[batch, depth, columns]`, and every row has a bias.
    Pointwise,
    /// A linear layer: `b` is its weights `[columns, depth]`, and every column has a bias.
    Linear,
}

const SOFTWARE_ROWS: u32 = 8;
const SOFTWARE_QUADS: u32 = 2;
const SOFTWARE_THREADS: u32 = 8;

impl Stage {
    /// The variant, if there is one.
    pub fn new(form: Form, layer: Layer, epilogue: Epilogue) -> Option<Self> {
        let exists = form != Form::Software || epilogue == Epilogue::Plain;
        exists.then_some(Self { form, layer, epilogue })
    }

    /// All variants.
    pub fn all() -> Vec<Self> {
        let tiled = Tiles::ALL.map(Form::Tiled).into_iter();
        let forms = tiled.chain(MatrixUnits::ALL.map(Form::Matrix)).chain([Form::Software]);
        let mut stages = Vec::new();
        for form in forms {
            for layer in [Layer::Pointwise, Layer::Linear] {
                let epilogues = [Epilogue::Plain, Epilogue::Add, Epilogue::Geglu].into_iter();
                stages.extend(epilogues.filter_map(|epilogue| Self::new(form, layer, epilogue)));
            }
        }
        stages
    }

    /// Rows and columns of a workgroup.
    pub fn tile(self) -> [usize; 2] {
        match self.form {
            Form::Tiled(tiles) => [tiles.side(); 2],
            Form::Matrix(_) => [MatrixUnits::SIDE; 2],
            Form::Software => [SOFTWARE_ROWS as usize, (4 * SOFTWARE_QUADS * SOFTWARE_THREADS) as usize],
        }
    }

    pub(crate) fn program(self) -> Program {
        const COMMON: &str = include_str!("../matmul_common.wgsl");
        let program = match self.form {
            Form::Tiled(tiles) => {
                Program::new("matmul", &[COMMON, include_str!("../matmul.wgsl")]).with(&tiles.constants())
            }
            Form::Matrix(units) => Program::on(units, "matmul_matrix", COMMON, include_str!("../matmul_matrix.wgsl")),
            Form::Software => Program::new("matmul_software", &[COMMON, include_str!("../matmul_software.wgsl")])
                .with(&[("ROWS", SOFTWARE_ROWS), ("QUADS", SOFTWARE_QUADS), ("THREADS", SOFTWARE_THREADS)]),
        };
        program.with(&[("LINEAR", u32::from(self.layer == Layer::Linear))]).followed_by(self.epilogue)
    }
}
