// softmax(q k^T / sqrt(head_dim)) v without the matrix of scores (https://arxiv.org/abs/2205.14135): a workgroup takes
// TILE_Q queries of a head through all keys, TILE_KEYS at a time, and keeps the running maximum and sum of the softmax.
//
// Constants: HEAD_DIM, at least the tensors' own; TILE_Q, 32. 64 invocations; 8.4 KiB of workgroup memory.

const TILE_KEYS = 32u;
const CHUNK = 4u; // groups of four dimensions that are multiplied at a time
const CHUNKS = (HEAD_DIM + 15u) / 16u;
const ROWS = 8u; // queries of an invocation in the output
const QUADS = (HEAD_DIM + 63u) / 64u; // groups of four dimensions of an invocation in the output

var<workgroup> left: array<vec4<f32>, TILE_Q * CHUNK>;
var<workgroup> right: array<vec4<f32>, TILE_KEYS * CHUNK>;
var<workgroup> scores: array<f32, TILE_Q * TILE_KEYS>;
var<workgroup> highest: array<f32, TILE_Q>;
var<workgroup> total: array<f32, TILE_Q>;
var<workgroup> shrink: array<f32, TILE_Q>;
var<workgroup> last: u32;

@compute @workgroup_size(64, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let heads = parameters.heads;
    let tokens = parameters.tokens;
    let keys = parameters.keys;
    let dims4 = parameters.head_dim / 4u;
    let q0 = group.x * TILE_Q;
    let scale = inverseSqrt(f32(parameters.head_dim));
    let q_first = group.z * parameters.q.batch + group.y * parameters.q.head;
    let k_first = group.z * parameters.k.batch + group.y * parameters.k.head;
    let v_first = group.z * parameters.v.batch + group.y * parameters.v.head;
    if index == 0u {
        last = select(keys, min(keys, q0 + TILE_Q), parameters.causal == 1u);
    }
    if index < TILE_Q {
        highest[index] = LOWEST;
        total[index] = 0.0;
    }
    let end = workgroupUniformLoad(&last);

    var sum: array<vec4<f32>, ROWS * QUADS>;
    for (var key0 = 0u; key0 < end; key0 += TILE_KEYS) {
        // Chrome does not make an array zero again, in every turn of the loop, unless it is told to.
        var score = array<vec4<f32>, 4>();
        for (var chunk = 0u; chunk < CHUNKS; chunk++) {
            for (var i = index; i < TILE_Q * CHUNK; i += 64u) {
                let quad = chunk * CHUNK + i % CHUNK;
                let query = q0 + i / CHUNK;
                let key = key0 + i / CHUNK;
                var fours = array<vec4<f32>, 2>();
                if quad < dims4 && query < tokens {
                    fours[0] = vec4<f32>(q[(q_first + query * parameters.q.token) / 4u + quad]);
                }
                if quad < dims4 && key < keys {
                    fours[1] = vec4<f32>(k[(k_first + key * parameters.k.token) / 4u + quad]);
                }
                left[i] = fours[0];
                right[i] = fours[1];
            }
            workgroupBarrier();
            for (var i = 0u; i < CHUNK; i++) {
                for (var c = 0u; c < 4u; c++) {
                    let key = right[(c * 8u + index % 8u) * CHUNK + i];
                    for (var r = 0u; r < 4u; r++) {
                        score[r][c] += dot(left[(r * 8u + index / 8u) * CHUNK + i], key);
                    }
                }
            }
            workgroupBarrier();
        }
        for (var r = 0u; r < 4u; r++) {
            for (var c = 0u; c < 4u; c++) {
                let row = r * 8u + index / 8u;
                let column = c * 8u + index % 8u;
                let hidden = key0 + column >= keys || (parameters.causal == 1u && key0 + column > q0 + row);
                scores[row * TILE_KEYS + column] = select(score[r][c] * scale, LOWEST, hidden);
            }
        }
        workgroupBarrier();
        if index < TILE_Q {
            soften(index);
        }
        workgroupBarrier();
        for (var r = 0u; r < ROWS; r++) {
            for (var i = 0u; i < QUADS; i++) {
                sum[r * QUADS + i] *= shrink[index / 16u * ROWS + r];
            }
        }
        for (var key = 0u; key < min(TILE_KEYS, keys - key0); key++) {
            for (var i = 0u; i < QUADS; i++) {
                let quad = i * 16u + index % 16u;
                var four = vec4<f32>();
                if quad < dims4 {
                    four = vec4<f32>(v[(v_first + (key0 + key) * parameters.v.token) / 4u + quad]);
                }
                for (var r = 0u; r < ROWS; r++) {
                    sum[r * QUADS + i] += scores[(index / 16u * ROWS + r) * TILE_KEYS + key] * four;
                }
            }
        }
    }

    for (var r = 0u; r < ROWS; r++) {
        let row = index / 16u * ROWS + r;
        for (var i = 0u; i < QUADS; i++) {
            let quad = i * 16u + index % 16u;
            if q0 + row < tokens && quad < dims4 {
                let place = ((group.z * tokens + q0 + row) * heads + group.y) * dims4 + quad;
                y[place] = vec4<Elem>(sum[r * QUADS + i] / total[row]);
            }
        }
    }
}

// Makes weights of a row's scores, and takes them into its maximum and sum.
fn soften(row: u32) {
    var high = highest[row];
    for (var i = 0u; i < TILE_KEYS; i++) {
        high = max(high, scores[row * TILE_KEYS + i]);
    }
    let factor = exp(highest[row] - high);
    var added = total[row] * factor;
    for (var i = 0u; i < TILE_KEYS; i++) {
        let weight = exp(scores[row * TILE_KEYS + i] - high);
        scores[row * TILE_KEYS + i] = weight;
        added += weight;
    }
    highest[row] = high;
    total[row] = added;
    shrink[row] = factor;
}
