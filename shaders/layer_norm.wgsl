// Brings every row to mean 0 and variance 1, then scales and shifts its columns (https://arxiv.org/abs/1607.06450). A
// workgroup takes a row.
//
// Constants: THREADS.

@group(0) @binding(1) var<storage, read_write> gamma: array<vec4<Elem>>; // [width]
@group(0) @binding(2) var<storage, read_write> beta: array<vec4<Elem>>; // [width]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Elem>>; // [rows, width]
// rows, width (a multiple of four), epsilon as f32
@group(0) @binding(4) var<storage, read_write> sizes: array<u32, 3>;

@compute @workgroup_size(THREADS, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let row = group.z * 65535u + group.x;
    let quads = select(0u, sizes[1] / 4u, row < sizes[0]);
    let first = row * quads;
    let norm = statistics(first, quads, bitcast<f32>(sizes[2]), index); // mean, one over the deviation

    for (var i = index; i < quads; i += THREADS) {
        let normed = (vec4<f32>(x[first + i]) - norm.x) * norm.y;
        y[first + i] = vec4<Elem>(normed * vec4<f32>(gamma[i]) + vec4<f32>(beta[i]));
    }
}
