use crate::{Constant, Epilogue, MatrixUnits, Needs, Scalar};

/// The parts of a stage's text.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    pub(crate) epilogue: Epilogue,
    pub(crate) constants: Vec<Constant>,
    files: Vec<&'static str>,
}

impl Program {
    /// A file, behind the files that it shares with others.
    pub(crate) fn new(name: &'static str, files: &[&'static str]) -> Self {
        Self { name, needs: Needs::Nothing, epilogue: Epilogue::Plain, constants: Vec::new(), files: files.to_vec() }
    }

    /// A product of matrices or a convolution on matrix units.
    pub(crate) fn on(units: MatrixUnits, name: &'static str, common: &'static str, file: &'static str) -> Self {
        let files = [common, units.file(), include_str!("../matrix_common.wgsl"), file];
        Self::new(name, &files).with(&[("TILE", MatrixUnits::SIDE as u32)]).needing(Needs::MatrixUnits)
    }

    pub(crate) fn with(mut self, constants: &[Constant]) -> Self {
        self.constants.extend(constants);
        self
    }

    pub(crate) fn needing(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    pub(crate) fn followed_by(mut self, epilogue: Epilogue) -> Self {
        self.epilogue = epilogue;
        self
    }

    /// The whole text for tensors of `scalar`.
    pub(crate) fn source(&self, scalar: Scalar) -> String {
        let constants: String =
            self.constants.iter().map(|(name, value)| format!("const {name} = {value}u;\n")).collect();
        let preludes = [self.needs.prelude(), scalar.prelude(), &constants, self.epilogue.prelude()];
        preludes.concat() + &self.files.concat()
    }
}
