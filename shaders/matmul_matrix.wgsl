// The product of matrices on units that multiply small ones.
//
// Constants: TILE, 64 rows and columns of a workgroup.

@compute @workgroup_size(128, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let rows = parameters.rows;
    let columns4 = parameters.columns / 4u;
    let depth = parameters.depth;
    let m0 = group.y * TILE;
    let n0 = group.x * TILE / 4u / (1u + GATED);

    var sum: Sums;
    for (var k0 = 0u; k0 < depth; k0 += DEPTH) {
        for (var i = index; i < TILE * DEPTH / 4u; i += 128u) {
            let m = m0 + i / (DEPTH / 4u);
            let k = k0 / 4u + i % (DEPTH / 4u);
            var four = vec4<Elem>();
            if m < rows && k < depth / 4u {
                four = a[m * (depth / 4u) + k];
            }
            for (var c = 0u; c < 4u; c++) {
                left[i * 4u + c] = four[c];
            }
        }
        for (var i = index; i < TILE * DEPTH / 16u; i += 128u) {
            // Neighbours read along the rows of `b`.
            let k = select(i / (TILE / 4u), i % (DEPTH / 4u), LINEAR == 1u);
            let slot = select(i % (TILE / 4u), i / (DEPTH / 4u), LINEAR == 1u);
            let n = column(n0, slot, 4u);
            var four = mat4x4<f32>();
            if k0 / 4u + k < depth / 4u && n < columns4 {
                four = block(group.z, k0 / 4u + k, n);
            }
            for (var c = 0u; c < 16u; c++) {
                right[(k * 4u + c / 4u) * TILE + slot * 4u + c % 4u] = Elem(four[c / 4u][c % 4u]);
            }
        }
        workgroupBarrier();
        multiply(&sum, subgroup, subgroups);
        workgroupBarrier();
    }

    for (var strip = 0u; strip < TILE / BLOCK; strip++) {
        lay_out(&sum, strip, subgroup, subgroups);
        workgroupBarrier();
        for (var i = index; i < TILE * BLOCK / 4u; i += 128u) {
            let quad = i % (BLOCK / 4u);
            if GATED == 0u || quad / 4u % 2u == 0u {
                let n = column(n0, strip * (BLOCK / 4u) + quad, 4u);
                finish(group.z, m0 + i / (BLOCK / 4u), n, four_of(i), four_of(i + 4u * GATED));
            }
        }
        workgroupBarrier();
    }
}

fn four_of(i: u32) -> vec4<f32> {
    return vec4<f32>(result[i * 4u], result[i * 4u + 1u], result[i * 4u + 2u], result[i * 4u + 3u]);
}
