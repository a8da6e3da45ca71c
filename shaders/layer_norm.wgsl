// Brings every row to mean 0 and variance 1, then scales and shifts its columns (https://arxiv.org/abs/1607.06450). A
// workgroup takes a row.
//
// Constants: THREADS; LANES.

struct Parameters {
    rows: u32,
    width: u32, // a multiple of LANES
    epsilon: f32,
}

@group(0) @binding(1) var<storage, read_write> weight: array<Value>; // [width]
@group(0) @binding(2) var<storage, read_write> bias: array<Value>; // [width]
@group(0) @binding(3) var<storage, read_write> y: array<Value>; // [rows, width]
@group(0) @binding(4) var<storage, read_write> parameters: Parameters;

@compute @workgroup_size(THREADS, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let row = group.z * 65535u + group.x;
    let count = select(0u, parameters.width / LANES, row < parameters.rows);
    let first = row * count;
    let norm = statistics(first, count, parameters.epsilon, index); // mean, one over the deviation

    for (var i = index; i < count; i += THREADS) {
        let normed = (Wide(x[first + i]) - norm.x) * norm.y;
        y[first + i] = Value(normed * Wide(weight[i]) + Wide(bias[i]));
    }
}
