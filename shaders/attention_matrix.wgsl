// The attention of attention.wgsl on units that multiply small matrices. Sums that a subgroup holds together cannot be
// scaled row by row, so that the keys are gone through twice: for the softmax's maximum and sum, then for the result.
//
// Constants: HEAD_DIM, at least the tensors' own, a multiple of TILE; TILE, 32 queries, keys, and dimensions at a time. 128 invocations; 14.4 KiB of workgroup memory, 10.4 KiB for f16.

const SIDE = TILE / MATRIX;
const PARTS = HEAD_DIM / TILE;
const SHARE = SIDE * SIDE / 2u; // matrices of a tile for a subgroup of 64 invocations, the widest

var<workgroup> left: array<Elem, TILE * TILE>; // queries, or weights of keys
var<workgroup> right: array<Elem, TILE * TILE>; // keys, or values
var<workgroup> scores: array<f32, TILE * TILE>;
var<workgroup> highest: array<f32, TILE>;
var<workgroup> total: array<f32, TILE>;

@compute @workgroup_size(128, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let tokens = parameters.tokens;
    let keys = parameters.keys;
    let dims4 = parameters.head_dim / 4u;
    let q0 = group.x * TILE;
    let v_first = group.z * parameters.v.batch + group.y * parameters.v.head;
    let end = select(keys, min(keys, q0 + TILE), parameters.causal == 1u);
    if index < TILE {
        highest[index] = LOWEST;
        total[index] = 0.0;
    }

    for (var key0 = 0u; key0 < end; key0 += TILE) {
        compare(group, q0, key0, index, subgroup, subgroups);
        if index < TILE {
            var high = highest[index];
            for (var i = 0u; i < TILE; i++) {
                high = max(high, score(q0, key0, index, i));
            }
            var added_up = total[index] * exp(highest[index] - high);
            for (var i = 0u; i < TILE; i++) {
                added_up += exp(score(q0, key0, index, i) - high);
            }
            highest[index] = high;
            total[index] = added_up;
        }
        workgroupBarrier();
    }

    var sum: array<Sum, PARTS * SHARE>;
    for (var key0 = 0u; key0 < end; key0 += TILE) {
        compare(group, q0, key0, index, subgroup, subgroups);
        for (var i = index; i < TILE * TILE; i += 128u) {
            let row = i / TILE;
            left[i] = Elem(exp(score(q0, key0, row, i % TILE) - highest[row]) / total[row]);
        }
        for (var part = 0u; part < PARTS; part++) {
            for (var i = index; i < TILE * TILE / 4u; i += 128u) {
                let quad = part * TILE / 4u + i % (TILE / 4u);
                let key = key0 + i / (TILE / 4u);
                var four = vec4<Elem>();
                if quad < dims4 && key < keys {
                    four = v[(v_first + key * parameters.v.token) / 4u + quad];
                }
                for (var c = 0u; c < 4u; c++) {
                    right[i * 4u + c] = four[c];
                }
            }
            workgroupBarrier();
            for (var share = 0u; share < SHARE; share++) {
                let place = share * subgroups + subgroup;
                if place < SIDE * SIDE {
                    let at = part * SHARE + share;
                    for (var i = 0u; i < TILE; i += MATRIX) {
                        let weights = coopLoadT<Left>(&left[place / SIDE * MATRIX * TILE + i], TILE);
                        let values = coopLoadT<Right>(&right[i * TILE + place % SIDE * MATRIX], TILE);
                        sum[at] = coopMultiplyAdd(weights, values, sum[at]);
                    }
                }
            }
            workgroupBarrier();
        }
    }

    for (var part = 0u; part < PARTS; part++) {
        for (var share = 0u; share < SHARE; share++) {
            let place = share * subgroups + subgroup;
            if place < SIDE * SIDE {
                let corner = place / SIDE * MATRIX * TILE + place % SIDE * MATRIX;
                coopStoreT(sum[part * SHARE + share], &scores[corner], TILE);
            }
        }
        workgroupBarrier();
        for (var i = index; i < TILE * TILE / 4u; i += 128u) {
            let query = q0 + i / (TILE / 4u);
            let quad = part * TILE / 4u + i % (TILE / 4u);
            if query < tokens && quad < dims4 {
                let four = vec4<f32>(scores[i * 4u], scores[i * 4u + 1u], scores[i * 4u + 2u], scores[i * 4u + 3u]);
                y[((group.z * tokens + query) * parameters.heads + group.y) * dims4 + quad] = vec4<Elem>(four);
            }
        }
        workgroupBarrier();
    }
}

// Multiplies a tile of queries with a tile of keys, into `scores`.
fn compare(group: vec3<u32>, q0: u32, key0: u32, index: u32, subgroup: u32, subgroups: u32) {
    let dims4 = parameters.head_dim / 4u;
    let q_first = group.z * parameters.q.batch + group.y * parameters.q.head;
    let k_first = group.z * parameters.k.batch + group.y * parameters.k.head;
    var sum: array<Sum, SHARE>;
    for (var part = 0u; part < PARTS; part++) {
        for (var i = index; i < TILE * TILE / 4u; i += 128u) {
            let quad = part * TILE / 4u + i % (TILE / 4u);
            let query = q0 + i / (TILE / 4u);
            let key = key0 + i / (TILE / 4u);
            var queries = vec4<Elem>();
            var four = vec4<Elem>();
            if quad < dims4 && query < parameters.tokens {
                queries = q[(q_first + query * parameters.q.token) / 4u + quad];
            }
            if quad < dims4 && key < parameters.keys {
                four = k[(k_first + key * parameters.k.token) / 4u + quad];
            }
            for (var c = 0u; c < 4u; c++) {
                left[i * 4u + c] = queries[c];
                right[i * 4u + c] = four[c];
            }
        }
        workgroupBarrier();
        for (var share = 0u; share < SHARE; share++) {
            let place = share * subgroups + subgroup;
            if place < SIDE * SIDE {
                for (var i = 0u; i < TILE; i += MATRIX) {
                    let queries = coopLoadT<Left>(&left[place / SIDE * MATRIX * TILE + i], TILE);
                    let transposed = coopLoad<Right>(&right[place % SIDE * MATRIX * TILE + i], TILE);
                    sum[share] = coopMultiplyAdd(queries, transposed, sum[share]);
                }
            }
        }
        workgroupBarrier();
    }
    for (var share = 0u; share < SHARE; share++) {
        let place = share * subgroups + subgroup;
        if place < SIDE * SIDE {
            coopStoreT(sum[share], &scores[place / SIDE * MATRIX * TILE + place % SIDE * MATRIX], TILE);
        }
    }
    workgroupBarrier();
}

// The score of a query for a key of a tile.
fn score(q0: u32, key0: u32, row: u32, column: u32) -> f32 {
    let hidden = key0 + column >= parameters.keys || (parameters.causal == 1u && key0 + column > q0 + row);
    return select(scores[row * TILE + column] * inverseSqrt(f32(parameters.head_dim)), LOWEST, hidden);
}
