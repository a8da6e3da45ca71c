// The product of matrices where a workgroup multiplies tiles that it shares.
//
// Constants: TILE_M x TILE_N rows x columns per workgroup, TILE_K terms at a time; THREADS_M x THREADS_N invocations.
// 4 (TILE_M + TILE_N) TILE_K bytes of workgroup memory.

const THREADS = THREADS_M * THREADS_N;
const ROWS = TILE_M / THREADS_M; // rows of an invocation
const QUADS = TILE_N / THREADS_N / 4u; // groups of four columns of an invocation
const TILE_K4 = TILE_K / 4u;
const TILE_N4 = TILE_N / 4u;

var<workgroup> left: array<vec4<f32>, TILE_M * TILE_K4>; // four terms of a row in a vector
var<workgroup> right: array<vec4<f32>, TILE_K * TILE_N4>; // four columns of a term in a vector
var<workgroup> terms: u32;

@compute @workgroup_size(THREADS_N, THREADS_M, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let rows = parameters.rows;
    let columns4 = parameters.columns / 4u;
    if index == 0u {
        terms = parameters.depth;
    }
    let depth = workgroupUniformLoad(&terms);
    let m0 = group.y * TILE_M;
    let n0 = group.x * TILE_N4 / (1u + GATED);
    let row0 = index / THREADS_N;
    let quad0 = index % THREADS_N;

    var sum: array<vec4<f32>, ROWS * QUADS>;
    for (var k0 = 0u; k0 < depth; k0 += TILE_K) {
        for (var i = index; i < TILE_M * TILE_K4; i += THREADS) {
            let m = m0 + i / TILE_K4;
            let k = k0 / 4u + i % TILE_K4;
            var four = vec4<f32>();
            if m < rows && k < depth / 4u {
                four = vec4<f32>(a[m * (depth / 4u) + k]);
            }
            left[i] = four;
        }
        for (var i = index; i < TILE_K4 * TILE_N4; i += THREADS) {
            // Neighbours read along the rows of `b`.
            let k = select(i / TILE_N4, i % TILE_K4, LINEAR == 1u);
            let slot = select(i % TILE_N4, i / TILE_K4, LINEAR == 1u);
            let n = column(n0, slot, THREADS_N);
            var four = mat4x4<f32>();
            if k0 / 4u + k < depth / 4u && n < columns4 {
                four = block(group.z, k0 / 4u + k, n);
            }
            for (var c = 0u; c < 4u; c++) {
                right[(k * 4u + c) * TILE_N4 + slot] = four[c];
            }
        }
        workgroupBarrier();
        for (var k = 0u; k < TILE_K4; k++) {
            var terms: array<vec4<f32>, ROWS>;
            for (var row = 0u; row < ROWS; row++) {
                terms[row] = left[(row * THREADS_M + row0) * TILE_K4 + k];
            }
            for (var i = 0u; i < 4u; i++) {
                for (var quad = 0u; quad < QUADS; quad++) {
                    let four = right[(k * 4u + i) * TILE_N4 + quad * THREADS_N + quad0];
                    for (var row = 0u; row < ROWS; row++) {
                        sum[row * QUADS + quad] += terms[row][i] * four;
                    }
                }
            }
        }
        workgroupBarrier();
    }

    for (var row = 0u; row < ROWS; row++) {
        for (var quad = 0u; quad < QUADS; quad += 1u + GATED) {
            let n = column(n0, quad * THREADS_N + quad0, THREADS_N);
            let i = row * QUADS + quad;
            finish(group.z, m0 + row * THREADS_M + row0, n, sum[i], sum[i + GATED]);
        }
    }
}
