// The product of matrices for adapters that are a CPU, where workgroup memory and barriers cost more than they save: an
// invocation holds ROWS rows of 4 QUADS columns. Nothing follows: a longer text keeps the last loop from being unrolled.
//
// Constants: ROWS; QUADS; THREADS.

@compute @workgroup_size(THREADS, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let rows = parameters.rows;
    let columns4 = parameters.columns / 4u;
    let depth4 = parameters.depth / 4u;
    let m0 = group.y * ROWS;
    let n0 = (group.x * THREADS + index) * QUADS;
    if n0 >= columns4 {
        return;
    }

    var sum: array<vec4<f32>, ROWS * QUADS>;
    for (var k = 0u; k < depth4; k++) {
        var right: array<mat4x4<f32>, QUADS>;
        for (var quad = 0u; quad < QUADS; quad++) {
            right[quad] = block(group.z, k, min(n0 + quad, columns4 - 1u));
        }
        for (var row = 0u; row < ROWS; row++) {
            let left = vec4<f32>(a[min(m0 + row, rows - 1u) * depth4 + k]);
            for (var quad = 0u; quad < QUADS; quad++) {
                sum[row * QUADS + quad] += right[quad] * left;
            }
        }
    }

    for (var row = 0u; row < ROWS; row++) {
        for (var quad = 0u; quad < QUADS; quad++) {
            finish(group.z, m0 + row, n0 + quad, sum[row * QUADS + quad], vec4<f32>());
        }
    }
}
