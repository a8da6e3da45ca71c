// Brings every group of channels to mean 0 and variance 1, then scales and shifts its channels
// (https://arxiv.org/abs/1803.08494). A group lies in memory as one row; a workgroup takes it.
//
// Constants: SILU, 1 where x * sigmoid(x) follows; THREADS.

struct Parameters {
    rows: u32, // batch * groups
    groups: u32,
    channels: u32, // of a group
    pixels: u32, // a multiple of four
    epsilon: f32,
}

@group(0) @binding(1) var<storage, read_write> weight: array<Elem>; // [groups, channels]
@group(0) @binding(2) var<storage, read_write> bias: array<Elem>; // [groups, channels]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Elem>>; // [rows, channels, pixels]
@group(0) @binding(4) var<storage, read_write> parameters: Parameters;

@compute @workgroup_size(THREADS, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let row = group.z * 65535u + group.x;
    let channels = parameters.channels;
    let pixels4 = parameters.pixels / 4u;
    let quads = select(0u, channels * pixels4, row < parameters.rows);
    let first = row * quads;
    let norm = statistics(first, quads, parameters.epsilon, index); // mean, one over the deviation

    for (var i = index; i < quads; i += THREADS) {
        let channel = row % parameters.groups * channels + i / pixels4;
        var value = (vec4<f32>(x[first + i]) - norm.x) * norm.y * f32(weight[channel]) + f32(bias[channel]);
        if SILU == 1u {
            value = value / (1.0 + exp(-value));
        }
        y[first + i] = vec4<Elem>(value);
    }
}
