//! The way from tensors to a compute stage and back, through burn's dispatch and its fusion.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::template::{KernelSource, SourceKernel, SourceTemplate};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::{ExecutionMode, KernelId};
use cubecl::server::KernelArguments;
use cubecl::{CubeCount, CubeDim};
use pyrograph_shaders::{Constant, Epilogue, Scalar, Stage};

use super::addend::Addend;
use crate::operand::{Operand, assert_alike};

/// A stage, and all that it needs beside its input tensors.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) stage: &'static Stage,
    pub(super) constants: &'static [Constant],
    pub(super) epilogue: Epilogue,
    pub(super) workgroups: [usize; 3],
    /// The binding after the output.
    pub(super) sizes: Vec<usize>,
    /// Of the output, the binding after the inputs.
    pub(super) shape: Shape,
    pub(super) scalar: Scalar,
}

impl Launch {
    /// Runs the stage with three inputs, and the addend of [`Epilogue::Add`]; they are made contiguous.
    ///
    /// # Panics
    /// If their types or devices differ: a stage runs unchecked.
    pub(super) fn on_three<const A: usize, const B: usize, const C: usize, const D: usize>(
        self,
        a: Tensor<A>,
        b: Tensor<B>,
        c: Tensor<C>,
        addend: Option<Addend>,
    ) -> Tensor<D> {
        let [a_name, b_name, c_name] = self.stage.inputs;
        let inputs = [Operand::new(a_name, &a), Operand::new(b_name, &b), Operand::new(c_name, &c)];
        let addend_operand = addend.as_ref().map(|addend| Operand::new("addend", &addend.tensor));
        assert_alike(self.stage.name, inputs.into_iter().chain(addend_operand));
        let [a, b, c] = [a.into_dispatch(), b.into_dispatch(), c.into_dispatch()];
        Tensor::from_dispatch(match addend {
            None => <Dispatch as Stages>::launch_3(a, b, c, self),
            Some(addend) => <Dispatch as Stages>::launch_4(a, b, c, addend.tensor.into_dispatch(), self),
        })
    }

    /// Runs the stage with queries, keys and values `[batch, heads, tokens, head_dim]`, views or not; their steps along
    /// the first three dimensions are put behind the sizes.
    ///
    /// # Panics
    /// If their types or devices differ: a stage runs unchecked.
    pub(super) fn on_heads(self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
        assert_alike(self.stage.name, [("q", &q), ("k", &k), ("v", &v)].map(|(name, x)| Operand::new(name, x)));
        let [q, k, v] = [q.into_dispatch(), k.into_dispatch(), v.into_dispatch()];
        Tensor::from_dispatch(<Dispatch as Stages>::launch_heads(q, k, v, self))
    }

    fn run(self, inputs: [CubeTensor; 3], addend: Option<CubeTensor>) -> CubeTensor {
        let (client, device, dtype) = (inputs[0].client.clone(), inputs[0].device.clone(), inputs[0].dtype);
        let handle = client.empty(self.shape.num_elements() * dtype.size());
        let output = CubeTensor::new_contiguous(client.clone(), device, self.shape, handle, dtype);
        let sizes: Vec<u32> =
            self.sizes.iter().map(|&size| u32::try_from(size).expect("tensors are smaller than 4 Gi")).collect();
        let sizes = client.create_from_slice(bytemuck::cast_slice(&sizes));
        let last = [output.handle.clone().binding(), sizes.binding()];
        let last = last.into_iter().chain(addend.map(|addend| addend.handle.binding()));
        let [x, y, z] = self.workgroups.map(|count| count as u32);
        let kernel =
            Kernel { stage: self.stage, constants: self.constants, epilogue: self.epilogue, scalar: self.scalar };
        client.launch(
            Box::new(SourceKernel::new(kernel, CubeDim::new_single())),
            CubeCount::Static(x, y, z),
            KernelArguments::new()
                .with_buffers(inputs.map(|input| input.handle.binding()).into_iter().chain(last).collect()),
        );
        output
    }
}

/// The ways of a [`Launch`] through burn's dispatch.
#[backend_extension(Cube, Fusion: cfg(feature = "fusion"))]
pub(super) trait Stages: Backend {
    #[fusion(dtype = a, shape = launch.shape.clone())]
    fn launch_3(a: FloatTensor<Self>, b: FloatTensor<Self>, c: FloatTensor<Self>, launch: Launch) -> FloatTensor<Self>;

    #[fusion(dtype = a, shape = launch.shape.clone())]
    fn launch_4(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        addend: FloatTensor<Self>,
        launch: Launch,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = q, shape = launch.shape.clone())]
    fn launch_heads(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        launch: Launch,
    ) -> FloatTensor<Self>;
}

impl Stages for CubeBackend {
    fn launch_3(a: FloatTensor<Self>, b: FloatTensor<Self>, c: FloatTensor<Self>, launch: Launch) -> FloatTensor<Self> {
        launch.run([a, b, c].map(into_contiguous), None)
    }

    fn launch_4(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        addend: FloatTensor<Self>,
        launch: Launch,
    ) -> FloatTensor<Self> {
        launch.run([a, b, c].map(into_contiguous), Some(into_contiguous(addend)))
    }

    fn launch_heads(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        mut launch: Launch,
    ) -> FloatTensor<Self> {
        let heads = [q, k, v].map(in_groups_of_four);
        launch.sizes.extend(heads.iter().flat_map(|x| x.meta.strides()[..3].iter().copied()));
        launch.run(heads, None)
    }
}

/// The same values where all steps but the last, which is one, are multiples of four.
fn in_groups_of_four(x: CubeTensor) -> CubeTensor {
    let steps = x.meta.strides();
    if steps[3] == 1 && steps[..3].iter().all(|step| step % 4 == 0) { x } else { into_contiguous(x) }
}

/// The stage as cubecl launches it.
#[derive(Clone, Copy, Debug)]
struct Kernel {
    stage: &'static Stage,
    constants: &'static [Constant],
    epilogue: Epilogue,
    scalar: Scalar,
}

impl KernelSource for Kernel {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.stage.source(self.scalar, self.constants, self.epilogue))
    }

    fn id(&self) -> KernelId {
        let id = KernelId::new::<Self>().info((self.stage.name, self.constants, self.epilogue, self.scalar));
        id.mode(ExecutionMode::Unchecked) // else wgpu counts the turns of every loop, to end those that never would
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}
