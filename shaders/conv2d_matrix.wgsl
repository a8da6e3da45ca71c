// The convolution of conv2d.wgsl on units that multiply small matrices. channels_in is a multiple of four.
//
// Constants: TILE, 64 output channels and pixels of a workgroup.

alias Weights = vec4<Elem>;

const TAPS = KERNEL * KERNEL;

@compute @workgroup_size(128, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let size = vec2<i32>(i32(parameters.width), i32(parameters.height));
    let padding = vec2<i32>(i32(parameters.padding_left), i32(parameters.padding_top));
    let line = stored(parameters.width);
    let plane = stored(parameters.height) * line;
    let channels_out = parameters.channels_out;
    let width_out = parameters.width_out;
    let pixels = parameters.height_out * width_out;
    let columns = parameters.batch * pixels;
    let depth = parameters.channels_in * TAPS;
    let m0 = group.y * TILE;
    let n0 = (group.z * 65535u + group.x) * TILE;

    // The pixel that this invocation loads: its place in the input before the kernel's offset.
    let n = n0 + index % TILE;
    let first = n / pixels * parameters.channels_in * plane;
    var corner = vec2<i32>(vec2<u32>(n % pixels % width_out, n % pixels / width_out) * parameters.stride) - padding;
    if n >= columns {
        corner = vec2<i32>(-1048576); // outside of every image
    }

    var sum: Sums;
    for (var k0 = 0u; k0 < depth; k0 += DEPTH) {
        for (var i = index; i < TILE * DEPTH / 4u; i += 128u) {
            let m = m0 + i / (DEPTH / 4u);
            let k = k0 + i % (DEPTH / 4u) * 4u;
            var four = vec4<Elem>();
            if m < channels_out && k < depth {
                four = weight[(m * depth + k) / 4u];
            }
            for (var c = 0u; c < 4u; c++) {
                left[i * 4u + c] = four[c];
            }
        }
        for (var i = index; i < DEPTH * TILE; i += 128u) {
            let k = k0 + i / TILE;
            let at = corner + vec2<i32>(vec2<u32>(k % KERNEL, k % TAPS / KERNEL));
            var value = Elem(0.0);
            if k < depth && all(at >= vec2<i32>(0)) && all(at < size) {
                let place = vec2<u32>(at) >> vec2<u32>(DOUBLED);
                value = x[first + k / TAPS * plane + place.y * line + place.x];
            }
            right[i] = value;
        }
        workgroupBarrier();
        multiply(&sum, subgroup, subgroups);
        workgroupBarrier();
    }

    for (var strip = 0u; strip < TILE / BLOCK; strip++) {
        lay_out(&sum, strip, subgroup, subgroups);
        workgroupBarrier();
        for (var i = index; i < TILE * BLOCK; i += 128u) {
            let m = m0 + i / BLOCK;
            let n = n0 + strip * BLOCK + i % BLOCK;
            if m < channels_out && n < columns {
                finish(n / pixels, m, n % pixels, result[i]);
            }
        }
        workgroupBarrier();
    }
}
