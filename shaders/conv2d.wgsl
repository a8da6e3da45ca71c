// A convolution as the product of the weights [channels_out, K] and the unfolded input [K, batch * pixels],
// K = channels_in * KERNEL * KERNEL, which is never stored: a workgroup multiplies tiles of the two.
//
// channels_in is a multiple of four.
//
// Constants: TILE_M x TILE_N output channels x pixels per workgroup, TILE_K terms at a time; THREADS_M x THREADS_N
// invocations, a multiple of TILE_N / 4. 4 (TILE_M + TILE_N) TILE_K bytes of workgroup memory.

alias Weights = vec4<Elem>;

const THREADS = THREADS_M * THREADS_N;
const TAPS = KERNEL * KERNEL;
const ROWS = TILE_M / THREADS_M; // output channels of an invocation
const QUADS = TILE_N / THREADS_N / 4u; // groups of four pixels of an invocation
const TILE_K4 = TILE_K / 4u;
const TILE_N4 = TILE_N / 4u;

var<workgroup> a: array<vec4<f32>, TILE_M * TILE_K4>; // weights, four terms of an output channel in a vector
var<workgroup> b: array<vec4<f32>, TILE_K * TILE_N4>; // input, four pixels of a term in a vector
var<workgroup> terms: u32;

@compute @workgroup_size(THREADS_N, THREADS_M, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let channels_in = parameters.channels_in;
    let size = vec2<i32>(i32(parameters.width), i32(parameters.height));
    let padding = vec2<i32>(i32(parameters.padding_left), i32(parameters.padding_top));
    let line = stored(parameters.width);
    let plane = stored(parameters.height) * line;
    let channels_out = parameters.channels_out;
    let width_out = parameters.width_out;
    let pixels = parameters.height_out * width_out;
    let columns = parameters.batch * pixels;
    if index == 0u {
        terms = channels_in * TAPS;
    }
    let depth = workgroupUniformLoad(&terms);
    let m0 = group.y * TILE_M;
    let n0 = (group.z * 65535u + group.x) * TILE_N;

    // The four pixels that this invocation loads: their place in the input before the kernel's offset.
    var first: array<u32, 4>; // of the image
    var corner: array<vec2<i32>, 4>;
    for (var j = 0u; j < 4u; j++) {
        let n = n0 + index % TILE_N4 * 4u + j;
        let pixel = n % pixels;
        first[j] = n / pixels * channels_in * plane;
        corner[j] = vec2<i32>(vec2<u32>(pixel % width_out, pixel / width_out) * parameters.stride) - padding;
        if n >= columns {
            first[j] = 0u;
            corner[j] = vec2<i32>(-1048576); // outside of every image
        }
    }

    var sum: array<vec4<f32>, ROWS * QUADS>;
    for (var k0 = 0u; k0 < depth; k0 += TILE_K) {
        for (var i = index; i < TILE_M * TILE_K4; i += THREADS) {
            let m = m0 + i / TILE_K4;
            let k = k0 + i % TILE_K4 * 4u;
            var four = vec4<f32>();
            if m < channels_out && k < depth {
                four = vec4<f32>(weight[(m * depth + k) / 4u]);
            }
            a[i] = four;
        }
        for (var i = index; i < TILE_K * TILE_N4; i += THREADS) {
            let k = k0 + i / TILE_N4;
            let channel = k / TAPS;
            let tap = vec2<i32>(vec2<u32>(k % KERNEL, k % TAPS / KERNEL));
            var four = vec4<f32>();
            for (var j = 0u; j < 4u; j++) {
                let at = corner[j] + tap;
                if k < depth && all(at >= vec2<i32>(0)) && all(at < size) {
                    let place = vec2<u32>(at) >> vec2<u32>(DOUBLED);
                    four[j] = f32(x[first[j] + channel * plane + place.y * line + place.x]);
                }
            }
            b[i] = four;
        }
        workgroupBarrier();
        accumulate(&sum, index / THREADS_N, index % THREADS_N);
        workgroupBarrier();
    }

    for (var row = 0u; row < ROWS; row++) {
        let m = m0 + row * THREADS_M + index / THREADS_N;
        for (var quad = 0u; quad < QUADS; quad++) {
            for (var j = 0u; j < 4u; j++) {
                let n = n0 + (quad * THREADS_N + index % THREADS_N) * 4u + j;
                if m < channels_out && n < columns {
                    finish(n / pixels, m, n % pixels, sum[row * QUADS + quad][j]);
                }
            }
        }
    }
}

// Adds the product of the two tiles. Invocations take every THREADS_M-th row and THREADS_N-th group of columns, so that
// neighbours read neighbouring vectors.
fn accumulate(sum: ptr<function, array<vec4<f32>, ROWS * QUADS>>, row0: u32, quad0: u32) {
    for (var k = 0u; k < TILE_K4; k++) {
        var left: array<vec4<f32>, ROWS>;
        for (var row = 0u; row < ROWS; row++) {
            left[row] = a[(row * THREADS_M + row0) * TILE_K4 + k];
        }
        for (var c = 0u; c < 4u; c++) {
            for (var quad = 0u; quad < QUADS; quad++) {
                let right = b[(k * 4u + c) * TILE_N4 + quad * THREADS_N + quad0];
                for (var row = 0u; row < ROWS; row++) {
                    (*sum)[row * QUADS + quad] += left[row][c] * right;
                }
            }
        }
    }
}
