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
use pyrograph_shaders::{Constant, Scalar, Stage};

/// WebGPU's limit on the workgroups of a dimension.
pub(super) const LARGEST_COUNT: usize = 65_535;

/// Workgroups for so many columns and rows of tiles. A stage finds its column as `z * 65535 + x`.
pub(super) fn across(columns: usize, rows: usize) -> [usize; 3] {
    [columns.min(LARGEST_COUNT), rows, columns.div_ceil(LARGEST_COUNT)]
}

/// A stage, and all that it needs beside its input tensors.
#[derive(Clone, Debug)]
pub(super) struct Launch<const D: usize> {
    pub(super) stage: &'static Stage,
    pub(super) constants: &'static [Constant],
    pub(super) workgroups: [usize; 3],
    /// The last binding.
    pub(super) sizes: Vec<usize>,
    /// Of the output, the binding before.
    pub(super) shape: [usize; D],
    pub(super) scalar: Scalar,
}

impl<const D: usize> Launch<D> {
    /// Runs the stage with three inputs, which are made contiguous.
    pub(super) fn on_three<const A: usize, const B: usize, const C: usize>(
        self,
        a: Tensor<A>,
        b: Tensor<B>,
        c: Tensor<C>,
    ) -> Tensor<D> {
        let [a, b, c] = [a.into_dispatch(), b.into_dispatch(), c.into_dispatch()];
        Tensor::from_dispatch(<Dispatch as Stages>::launch_3(a, b, c, self.erased(false)))
    }

    /// Runs the stage with queries, keys and values `[batch, heads, tokens, head_dim]`, views or not; their steps along
    /// the first three dimensions are put behind the sizes.
    pub(super) fn on_heads(self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<D> {
        let [q, k, v] = [q.into_dispatch(), k.into_dispatch(), v.into_dispatch()];
        Tensor::from_dispatch(<Dispatch as Stages>::launch_3(q, k, v, self.erased(true)))
    }

    fn erased(self, views: bool) -> Erased {
        let sizes =
            self.sizes.iter().map(|&size| u32::try_from(size).expect("tensors are smaller than 4 Gi")).collect();
        Erased {
            kernel: Kernel { stage: self.stage, constants: self.constants, scalar: self.scalar },
            workgroups: self.workgroups.map(|count| count as u32),
            sizes,
            shape: Shape::from(self.shape),
            views,
        }
    }
}

/// A [`Launch`] without its rank, as the extension of the backend needs it.
#[derive(Clone, Debug)]
pub(super) struct Erased {
    kernel: Kernel,
    workgroups: [u32; 3],
    sizes: Vec<u32>,
    shape: Shape,
    views: bool,
}

impl Erased {
    fn run(mut self, inputs: Vec<CubeTensor>) -> CubeTensor {
        let (client, device, dtype) = (inputs[0].client.clone(), inputs[0].device.clone(), inputs[0].dtype);
        let handle = client.empty(self.shape.num_elements() * dtype.size());
        let output = CubeTensor::new_contiguous(client.clone(), device, self.shape.clone(), handle, dtype);
        let inputs: Vec<_> = inputs.into_iter().map(|input| self.readable(input)).collect();
        let inputs = inputs.into_iter().map(|input| input.handle.binding());
        let sizes = client.create_from_slice(bytemuck::cast_slice(&self.sizes));
        let last = [output.handle.clone().binding(), sizes.binding()];
        let [x, y, z] = self.workgroups;
        client.launch(
            Box::new(SourceKernel::new(self.kernel, CubeDim::new_single())),
            CubeCount::Static(x, y, z),
            KernelArguments::new().with_buffers(inputs.chain(last).collect()),
        );
        output
    }

    /// The input as the stage can read it. Views are read in groups of four.
    fn readable(&mut self, input: CubeTensor) -> CubeTensor {
        if !self.views {
            return into_contiguous(input);
        }
        let steps = input.meta.strides();
        let (last, outer) = steps.split_last().expect("heads have four dimensions");
        let input = if *last == 1 && outer.iter().all(|step| step % 4 == 0) { input } else { into_contiguous(input) };
        self.sizes.extend(input.meta.strides()[..3].iter().map(|&step| step as u32));
        input
    }
}

/// Stages by the number of their inputs.
#[backend_extension(Cube, Fusion)]
pub(super) trait Stages: Backend {
    #[fusion(dtype = a, shape = launch.shape.clone())]
    fn launch_3(a: FloatTensor<Self>, b: FloatTensor<Self>, c: FloatTensor<Self>, launch: Erased) -> FloatTensor<Self>;
}

impl Stages for CubeBackend {
    fn launch_3(a: FloatTensor<Self>, b: FloatTensor<Self>, c: FloatTensor<Self>, launch: Erased) -> FloatTensor<Self> {
        launch.run(vec![a, b, c])
    }
}

/// The stage as cubecl launches it.
#[derive(Clone, Copy, Debug)]
struct Kernel {
    stage: &'static Stage,
    constants: &'static [Constant],
    scalar: Scalar,
}

impl KernelSource for Kernel {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.stage.source(self.scalar, self.constants))
    }

    fn id(&self) -> KernelId {
        let id = KernelId::new::<Self>().info((self.stage.name, self.constants, self.scalar));
        id.mode(ExecutionMode::Unchecked) // else wgpu counts the turns of every loop, to end those that never would
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}
