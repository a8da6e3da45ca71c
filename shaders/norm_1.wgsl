// Rows are read value by value.
const LANES = 1u;
alias Value = Elem;
alias Wide = f32;

fn add_up(values: Wide) -> f32 {
    return values;
}
