// Matrices of 8 x 8, which a subgroup holds together.
const MATRIX = 8u;
alias Left = coop_mat8x8<Elem, A>;
alias Right = coop_mat8x8<Elem, B>;
alias Sum = coop_mat8x8<f32, C>;
