// The attention of attention.wgsl for adapters that are a CPU, where workgroup memory and barriers cost more than they
// save: an invocation takes ROWS queries of a head through all keys.
//
// Constants: HEAD_DIM, the tensors' own; ROWS; THREADS.

const QUADS = HEAD_DIM / 4u;
const PART = (QUADS + 3u) / 4u; // of the groups of four dimensions: loops of more than forty turns are not unrolled

@compute @workgroup_size(THREADS, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let tokens = parameters.tokens;
    let keys = parameters.keys;
    let causal = parameters.causal == 1u;
    let scale = inverseSqrt(f32(HEAD_DIM));
    let q0 = (group.x * THREADS + index) * ROWS;
    let q_first = group.z * parameters.q.batch + group.y * parameters.q.head;
    let k_first = group.z * parameters.k.batch + group.y * parameters.k.head;
    let v_first = group.z * parameters.v.batch + group.y * parameters.v.head;

    var query: array<vec4<f32>, ROWS * QUADS>;
    var sum: array<vec4<f32>, ROWS * QUADS>;
    var highest: array<f32, ROWS>;
    var total: array<f32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        for (var i = 0u; i < QUADS; i++) {
            query[r * QUADS + i] = vec4<f32>(q[(q_first + min(q0 + r, tokens - 1u) * parameters.q.token) / 4u + i]) * scale;
        }
        highest[r] = LOWEST;
    }
    let end = select(keys, min(keys, q0 + ROWS), causal);
    for (var key = 0u; key < end; key++) {
        // Chrome does not make an array zero again, in every turn of the loop, unless it is told to.
        var product = array<vec4<f32>, ROWS>();
        let k_place = (k_first + key * parameters.k.token) / 4u;
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
        let v_place = (v_first + key * parameters.v.token) / 4u;
        collect(&sum, &shrink, &weight, v_place, 0u);
        collect(&sum, &shrink, &weight, v_place, PART);
        collect(&sum, &shrink, &weight, v_place, 2u * PART);
        collect(&sum, &shrink, &weight, v_place, 3u * PART);
    }

    for (var r = 0u; r < ROWS; r++) {
        if q0 + r < tokens {
            for (var i = 0u; i < QUADS; i++) {
                y[((group.z * tokens + q0 + r) * parameters.heads + group.y) * QUADS + i] = vec4<Elem>(sum[r * QUADS + i] / total[r]);
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
