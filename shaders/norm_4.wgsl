// Rows are read four values at a time.
const LANES = 4u;
alias Value = vec4<Elem>;
alias Wide = vec4<f32>;

fn add_up(values: Wide) -> f32 {
    return dot(values, vec4<f32>(1.0));
}
