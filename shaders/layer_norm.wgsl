// Brings every row to mean 0 and variance 1, then scales and shifts its columns (https://arxiv.org/abs/1607.06450). A
// workgroup takes a row.
//
// Constants: THREADS.

struct Parameters {
    rows: u32,
    width: u32, // a multiple of four
    epsilon: f32,
}

@group(0) @binding(1) var<storage, read_write> weight: array<vec4<Elem>>; // [width]
@group(0) @binding(2) var<storage, read_write> bias: array<vec4<Elem>>; // [width]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Elem>>; // [rows, width]
@group(0) @binding(4) var<storage, read_write> parameters: Parameters;

@compute @workgroup_size(THREADS, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let row = group.z * 65535u + group.x;
    let quads = select(0u, parameters.width / 4u, row < parameters.rows);
    let first = row * quads;
    let norm = statistics(first, quads, parameters.epsilon, index); // mean, one over the deviation

    for (var i = index; i < quads; i += THREADS) {
        let normed = (vec4<f32>(x[first + i]) - norm.x) * norm.y;
        y[first + i] = vec4<Elem>(normed * vec4<f32>(weight[i]) + vec4<f32>(bias[i]));
    }
}
