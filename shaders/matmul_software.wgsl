// The product of matmul.wgsl for adapters that are a CPU, where workgroup memory and barriers cost more than they save: an
// invocation holds ROWS rows of 4 QUADS columns.
//
// Constants: BIAS_COLUMNS, 1 where every column has a bias, 0 where every row has; ROWS; QUADS; THREADS.

@group(0) @binding(0) var<storage, read_write> a: array<vec4<Elem>>; // [rows, depth]
@group(0) @binding(1) var<storage, read_write> b: array<vec4<Elem>>; // [batch, depth, columns]
@group(0) @binding(2) var<storage, read_write> bias: array<Elem>; // [rows] or [columns]
@group(0) @binding(3) var<storage, read_write> c: array<vec4<Elem>>; // [batch, rows, columns]
@group(0) @binding(4) var<storage, read_write> sizes: array<u32, 3>; // rows, columns, depth; the last two multiples of four

@compute @workgroup_size(THREADS, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let rows = sizes[0];
    let columns4 = sizes[1] / 4u;
    let depth4 = sizes[2] / 4u;
    let m0 = group.y * ROWS;
    let n0 = (group.x * THREADS + index) * QUADS;
    let first = group.z * sizes[2] * columns4;
    if n0 >= columns4 {
        return;
    }

    var sum: array<vec4<f32>, ROWS * QUADS>;
    for (var k = 0u; k < depth4; k++) {
        var right: array<vec4<f32>, 4u * QUADS>;
        for (var i = 0u; i < 4u; i++) {
            for (var quad = 0u; quad < QUADS; quad++) {
                right[i * QUADS + quad] = vec4<f32>(b[first + (k * 4u + i) * columns4 + min(n0 + quad, columns4 - 1u)]);
            }
        }
        for (var row = 0u; row < ROWS; row++) {
            let left = vec4<f32>(a[min(m0 + row, rows - 1u) * depth4 + k]);
            for (var quad = 0u; quad < QUADS; quad++) {
                sum[row * QUADS + quad] += left.x * right[quad] + left.y * right[QUADS + quad]
                    + left.z * right[2u * QUADS + quad] + left.w * right[3u * QUADS + quad];
            }
        }
    }

    for (var row = 0u; row < ROWS; row++) {
        for (var quad = 0u; quad < QUADS; quad++) {
            let m = m0 + row;
            let n = n0 + quad;
            if m < rows && n < columns4 {
                c[(group.z * rows + m) * columns4 + n] = vec4<Elem>(sum[row * QUADS + quad] + shift(m, n * 4u));
            }
        }
    }
}

// The bias of a row, or of four columns.
fn shift(row: u32, column: u32) -> vec4<f32> {
    if BIAS_COLUMNS == 1u {
        return vec4<f32>(vec4<Elem>(bias[column], bias[column + 1u], bias[column + 2u], bias[column + 3u]));
    }
    return vec4<f32>(f32(bias[row]));
}
