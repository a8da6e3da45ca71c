// Shared by the normalisations.
//
// Constants: THREADS, a power of two; LANES. 4 THREADS bytes of workgroup memory.

@group(0) @binding(0) var<storage, read_write> x: array<Value>; // rows, one after the other

var<workgroup> sums: array<f32, THREADS>;

// The mean of a row of `count` groups of LANES values from `first` on, and one over its deviation.
fn statistics(first: u32, count: u32, epsilon: f32, index: u32) -> vec2<f32> {
    let length = f32(LANES * count);
    var sum = Wide();
    for (var i = index; i < count; i += THREADS) {
        sum += Wide(x[first + i]);
    }
    let mean = total(sum, index) / length;
    var squares = Wide();
    for (var i = index; i < count; i += THREADS) {
        let distance = Wide(x[first + i]) - mean;
        squares += distance * distance;
    }
    return vec2<f32>(mean, inverseSqrt(total(squares, index) / length + epsilon));
}

// The sum of the values of a workgroup.
fn total(values: Wide, index: u32) -> f32 {
    sums[index] = add_up(values);
    workgroupBarrier();
    for (var step = THREADS / 2u; step > 0u; step /= 2u) {
        if index < step {
            sums[index] += sums[index + step];
        }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&sums[0]);
}
