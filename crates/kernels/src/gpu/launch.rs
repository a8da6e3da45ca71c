//! The way from tensors to a compute stage and back, through burn's dispatch and its fusion.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::template::{KernelSource, SourceKernel, SourceTemplate};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::{ExecutionMode, KernelId};
use cubecl::server::KernelArguments;
use cubecl::{CubeCount, CubeDim};
use pyrograph_shaders::attention::{Heads, Parameters};
use pyrograph_shaders::{Layout, Scalar, Stage};

use super::addend::Addend;
use super::dispatch::narrow;
use crate::operand::{Operand, assert_alike};

/// A stage with everything that it needs besides its input tensors.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    stage: Stage,
    workgroups: [usize; 3],
    /// Of the output, the binding after the inputs.
    shape: Shape,
    /// The bytes of the binding after the output.
    parameters: Vec<u8>,
}

impl Launch {
    pub(super) fn new(stage: Stage, workgroups: [usize; 3], shape: impl Into<Shape>) -> Self {
        Self { stage, workgroups, shape: shape.into(), parameters: Vec::new() }
    }

    pub(super) fn with_parameters(self, parameters: &impl Layout) -> Self {
        Self { parameters: bytemuck::bytes_of(parameters).to_vec(), ..self }
    }

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
        let [a_name, b_name, c_name] = self.stage.inputs();
        let inputs = [Operand::new(a_name, &a), Operand::new(b_name, &b), Operand::new(c_name, &c)];
        let addend_operand = addend.as_ref().map(|addend| Operand::new("addend", &addend.tensor));
        assert_alike(self.stage.name(), inputs.into_iter().chain(addend_operand));
        let [a, b, c] = [a.into_dispatch(), b.into_dispatch(), c.into_dispatch()];
        Tensor::from_dispatch(match addend {
            None => <Dispatch as Stages>::launch_3(a, b, c, self),
            Some(addend) => <Dispatch as Stages>::launch_4(a, b, c, addend.tensor.into_dispatch(), self),
        })
    }

    /// Runs the stage with queries, keys and values `[batch, heads, tokens, head_dim]`, views or not, whose strides complete the
    /// parameters.
    ///
    /// # Panics
    /// If their types or devices differ: a stage runs unchecked.
    pub(super) fn on_heads(self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, parameters: Parameters) -> Tensor<4> {
        assert_alike(self.stage.name(), [("q", &q), ("k", &k), ("v", &v)].map(|(name, x)| Operand::new(name, x)));
        let [q, k, v] = [q.into_dispatch(), k.into_dispatch(), v.into_dispatch()];
        Tensor::from_dispatch(<Dispatch as Stages>::launch_heads(q, k, v, self, parameters))
    }

    fn run(self, inputs: [CubeTensor; 3], addend: Option<CubeTensor>) -> CubeTensor {
        let (client, device, dtype) = (inputs[0].client.clone(), inputs[0].device.clone(), inputs[0].dtype);
        let handle = client.empty(self.shape.num_elements() * dtype.size());
        let output = CubeTensor::new_contiguous(client.clone(), device, self.shape, handle, dtype);
        let parameters = client.create_from_slice(&self.parameters);
        let last = [output.handle.clone().binding(), parameters.binding()];
        let last = last.into_iter().chain(addend.map(|addend| addend.handle.binding()));
        let [x, y, z] = self.workgroups.map(|count| count as u32);
        let scalar = if dtype == DType::F16 { Scalar::F16 } else { Scalar::F32 };
        let kernel = Kernel { stage: self.stage, scalar };
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
        parameters: Parameters,
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
        launch: Launch,
        parameters: Parameters,
    ) -> FloatTensor<Self> {
        let heads = [q, k, v].map(in_groups_of_four);
        let [q, k, v] = heads.each_ref().map(steps);
        launch.with_parameters(&Parameters { q, k, v, ..parameters }).run(heads, None)
    }
}

/// The same values where all steps but the last, which is one, are multiples of four.
fn in_groups_of_four(x: CubeTensor) -> CubeTensor {
    let steps = x.meta.strides();
    if steps[3] == 1 && steps[..3].iter().all(|step| step % 4 == 0) { x } else { into_contiguous(x) }
}

fn steps(x: &CubeTensor) -> Heads {
    let strides = x.meta.strides();
    Heads { batch: narrow(strides[0]), head: narrow(strides[1]), token: narrow(strides[2]) }
}

/// The stage as cubecl launches it.
#[derive(Clone, Copy, Debug)]
struct Kernel {
    stage: Stage,
    scalar: Scalar,
}

impl KernelSource for Kernel {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.stage.source(self.scalar))
    }

    fn id(&self) -> KernelId {
        let id = KernelId::new::<Self>().info((self.stage, self.scalar));
        id.mode(ExecutionMode::Unchecked) // else wgpu counts the turns of every loop, to end those that never would
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}
