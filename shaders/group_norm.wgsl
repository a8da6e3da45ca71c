// Brings every group of channels to mean 0 and variance 1, then scales and shifts its channels
// (https://arxiv.org/abs/1803.08494). A group lies in memory as one row; a workgroup takes it.
//
// Constants: SILU, 1 where x * sigmoid(x) follows; THREADS; LANES.

struct Parameters {
    rows: u32, // batch * groups
    groups: u32,
    channels: u32, // of a group
    pixels: u32, // a multiple of LANES
    epsilon: f32,
}

@group(0) @binding(1) var<storage, read_write> weight: array<Elem>; // [groups, channels]
@group(0) @binding(2) var<storage, read_write> bias: array<Elem>; // [groups, channels]
@group(0) @binding(3) var<storage, read_write> y: array<Value>; // [rows, channels, pixels]
@group(0) @binding(4) var<storage, read_write> parameters: Parameters;

@compute @workgroup_size(THREADS, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let row = group.z * 65535u + group.x;
    let channels = parameters.channels;
    let pixels = parameters.pixels / LANES;
    let count = select(0u, channels * pixels, row < parameters.rows);
    let first = row * count;
    let norm = statistics(first, count, parameters.epsilon, index); // mean, one over the deviation

    for (var i = index; i < count; i += THREADS) {
        let channel = row % parameters.groups * channels + i / pixels;
        var value = (Wide(x[first + i]) - norm.x) * norm.y * f32(weight[channel]) + f32(bias[channel]);
        if SILU == 1u {
            value = value / (1.0 + exp(-value));
        }
        y[first + i] = Value(value);
    }
}
