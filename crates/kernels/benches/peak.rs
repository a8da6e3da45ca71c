//! The measured peak of an adapter: the rate of multiply-adds in float32 and the bandwidth of its memory.

use std::time::Instant;

use burn::tensor::wgpu::{WgpuSetup, wgpu};
use wgpu::util::DeviceExt;

/// Turns of the chains in `FUSED`, without a loop that wgpu would bound.
const TURNS: usize = 64;
const CHAINS: usize = 8;
const WORKGROUPS: u32 = 16_384;
const THREADS: u32 = 64;
/// Bytes that are copied.
const COPIED: u64 = 64 << 20;

/// The highest rates seen.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// Floating-point operations per second, two for each multiply-add.
    pub flops: f64,
    /// Bytes per second, read and written.
    pub bandwidth: f64,
}

impl Peak {
    /// Takes the best of several runs on burn's own device.
    pub fn measure(setup: &WgpuSetup) -> Self {
        let operations = f64::from(WORKGROUPS * THREADS) * (2 * 4 * CHAINS * TURNS) as f64;
        let flops = operations / seconds(setup, &multiply_add(), [WORKGROUPS, 1], 16 * u64::from(WORKGROUPS * THREADS));
        let groups = (COPIED / 16 / u64::from(THREADS)) as u32;
        let bandwidth = 2.0 * COPIED as f64 / seconds(setup, &copy(), [groups / 16, 16], COPIED);
        Self { flops, bandwidth }
    }
}

/// Independent chains of multiply-adds, none of which waits for another.
fn multiply_add() -> String {
    let each = |line: &dyn Fn(usize) -> String| (0..CHAINS).map(line).collect::<String>();
    let start = each(&|i| format!("var s{i} = a * {i}.5;\n"));
    let turn = each(&|i| format!("s{i} = fma(s{i}, a, b);\n"));
    let sum = each(&|i| format!(" + s{i}"));
    stage(&format!("let a = x[at]; let b = a.wxyz;\n{start}{}y[at] = a{sum};", turn.repeat(TURNS)))
}

fn copy() -> String {
    stage("y[at] = x[at];")
}

fn stage(body: &str) -> String {
    format!(
        "@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>;
         @group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
         @compute @workgroup_size({THREADS}, 1, 1)
         fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {{
             let at = id.y * groups.x * {THREADS}u + id.x;
             {body}
         }}"
    )
}

/// The least time of a stage with an input and an output of so many bytes.
fn seconds(setup: &WgpuSetup, source: &str, [x, y]: [u32; 2], bytes: u64) -> f64 {
    let (device, queue) = (&setup.device, &setup.queue);
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("peak"),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("peak"),
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let buffers = [0, 1].map(|_| {
        device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("peak"),
            contents: &vec![0; bytes as usize],
            usage: wgpu::BufferUsages::STORAGE,
        })
    });
    let entries =
        [0, 1].map(|i| wgpu::BindGroupEntry { binding: i, resource: buffers[i as usize].as_entire_binding() });
    let layout = pipeline.get_bind_group_layout(0);
    let bindings = wgpu::BindGroupDescriptor { label: Some("peak"), layout: &layout, entries: &entries };
    let bindings = device.create_bind_group(&bindings);
    let run = || {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.dispatch_workgroups(x, y, 1);
        drop(pass);
        let start = Instant::now();
        queue.submit([encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely()).expect("the device works");
        start.elapsed().as_secs_f64()
    };
    run();
    (0..8).map(|_| run()).fold(f64::INFINITY, f64::min)
}
