// The attention of attention.wgsl for adapters that are a CPU, where workgroup memory and barriers cost more than they
// save: an invocation takes ROWS queries of a head through all keys.
//
// Constants: HEAD_DIM, the tensors' own; ROWS; THREADS.

@group(0) @binding(0) var<storage, read_write> q: array<vec4<Elem>>; // [batch, heads, tokens, head_dim]
@group(0) @binding(1) var<storage, read_write> k: array<vec4<Elem>>; // [batch, heads, keys, head_dim]
@group(0) @binding(2) var<storage, read_write> v: array<vec4<Elem>>; // [batch, heads, keys, head_dim]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Elem>>; // [batch, tokens, heads, head_dim]
// heads, tokens, keys, head_dim, causal (0 or 1); steps between batches, heads and tokens of q, k and v
@group(0) @binding(4) var<storage, read_write> sizes: array<u32, 14>;

const QUADS = HEAD_DIM / 4u;
const PART = (QUADS + 3u) / 4u; // of the groups of four dimensions: loops of more than forty turns are not unrolled
const LOWEST = -1e30;

@compute @workgroup_size(THREADS, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let tokens = sizes[1];
    let keys = sizes[2];
    let causal = sizes[4] == 1u;
    let scale = inverseSqrt(f32(HEAD_DIM));
    let q0 = (group.x * THREADS + index) * ROWS;
    let q_first = group.z * sizes[5] + group.y * sizes[6];
    let k_first = group.z * sizes[8] + group.y * sizes[9];
    let v_first = group.z * sizes[11] + group.y * sizes[12];

    var query: array<vec4<f32>, ROWS * QUADS>;
    var sum: array<vec4<f32>, ROWS * QUADS>;
    var highest: array<f32, ROWS>;
    var total: array<f32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        for (var i = 0u; i < QUADS; i++) {
            query[r * QUADS + i] = vec4<f32>(q[(q_first + min(q0 + r, tokens - 1u) * sizes[7]) / 4u + i]) * scale;
        }
        highest[r] = LOWEST;
    }
    let end = select(keys, min(keys, q0 + ROWS), causal);
    for (var key = 0u; key < end; key++) {
        // Chrome does not make an array zero again, in every turn of the loop, unless it is told to.
        var product = array<vec4<f32>, ROWS>();
        let k_place = (k_first + key * sizes[10]) / 4u;
        compare(&product, &query, k_place, 0u);
        compare(&product, &query, k_place, PART);
        compare(&product, &query, k_place, 2u * PART);
        compare(&product, &query, k_place, 3u * PART);
        var weight: array<f32, ROWS>;
        var shrink: array<f32, ROWS>;
        for (var r = 0u; r < ROWS; r++) {
            let score = select(dot(product[r], vec4<f32>(1.0)), LOWEST, causal && key > q0 + r);
            let high = max(highest[r], score);
            shrink[r] = exp(highest[r] - high);
            weight[r] = exp(score - high);
            highest[r] = high;
            total[r] = total[r] * shrink[r] + weight[r];
        }
        let v_place = (v_first + key * sizes[13]) / 4u;
        collect(&sum, &shrink, &weight, v_place, 0u);
        collect(&sum, &shrink, &weight, v_place, PART);
        collect(&sum, &shrink, &weight, v_place, 2u * PART);
        collect(&sum, &shrink, &weight, v_place, 3u * PART);
    }

    for (var r = 0u; r < ROWS; r++) {
        if q0 + r < tokens {
            for (var i = 0u; i < QUADS; i++) {
                y[((group.z * tokens + q0 + r) * sizes[0] + group.y) * QUADS + i] = vec4<Elem>(sum[r * QUADS + i] / total[r]);
            }
        }
    }
}

// Adds a part of the products of queries and a key.
fn compare(
    product: ptr<function, array<vec4<f32>, ROWS>>,
    query: ptr<function, array<vec4<f32>, ROWS * QUADS>>,
    place: u32,
    first: u32,
) {
    for (var i = first; i < min(first + PART, QUADS); i++) {
        let four = vec4<f32>(k[place + i]);
        for (var r = 0u; r < ROWS; r++) {
            (*product)[r] += (*query)[r * QUADS + i] * four;
        }
    }
}

// Takes a part of a value into the sums.
fn collect(
    sum: ptr<function, array<vec4<f32>, ROWS * QUADS>>,
    shrink: ptr<function, array<f32, ROWS>>,
    weight: ptr<function, array<f32, ROWS>>,
    place: u32,
    first: u32,
) {
    for (var i = first; i < min(first + PART, QUADS); i++) {
        let four = vec4<f32>(v[place + i]);
        for (var r = 0u; r < ROWS; r++) {
            (*sum)[r * QUADS + i] = (*sum)[r * QUADS + i] * (*shrink)[r] + (*weight)[r] * four;
        }
    }
}
