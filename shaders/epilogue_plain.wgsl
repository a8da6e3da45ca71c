// Nothing follows.
const GATED = 0u;

fn added(at: u32) -> f32 {
    return 0.0;
}

fn gate(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(1.0);
}
