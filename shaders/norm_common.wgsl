// What the normalisations share.
//
// Constants: THREADS, a power of two. 4 THREADS bytes of workgroup memory.

var<workgroup> sums: array<f32, THREADS>;

// The sum of the values of a workgroup.
fn total(values: vec4<f32>, index: u32) -> f32 {
    sums[index] = dot(values, vec4<f32>(1.0));
    workgroupBarrier();
    for (var step = THREADS / 2u; step > 0u; step /= 2u) {
        if index < step {
            sums[index] += sums[index + step];
        }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&sums[0]);
}
