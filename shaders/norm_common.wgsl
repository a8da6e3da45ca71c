// Shared by the normalisations.
//
// Constants: THREADS, a power of two. 4 THREADS bytes of workgroup memory.

@group(0) @binding(0) var<storage, read_write> x: array<vec4<Elem>>; // rows, one after the other

var<workgroup> sums: array<f32, THREADS>;

// The mean of a row of `quads` groups of four values from `first` on, and one over its deviation.
fn statistics(first: u32, quads: u32, epsilon: f32, index: u32) -> vec2<f32> {
    let length = f32(4u * quads);
    var sum = vec4<f32>();
    for (var i = index; i < quads; i += THREADS) {
        sum += vec4<f32>(x[first + i]);
    }
    let mean = total(sum, index) / length;
    var squares = vec4<f32>();
    for (var i = index; i < quads; i += THREADS) {
        let distance = vec4<f32>(x[first + i]) - mean;
        squares += distance * distance;
    }
    return vec2<f32>(mean, inverseSqrt(total(squares, index) / length + epsilon));
}

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
