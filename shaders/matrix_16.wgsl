// Matrices of 16 x 16, which a subgroup holds together.
const MATRIX = 16u;
alias Left = coop_mat16x16<Elem, A>;
alias Right = coop_mat16x16<Elem, B>;
alias Sum = coop_mat16x16<f32, C>;
