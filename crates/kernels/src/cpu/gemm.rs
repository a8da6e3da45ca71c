/// A matrix to read, anywhere in a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    size: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// A matrix of `size = [rows, columns]` that begins at the slice's first value; `strides` are the steps from row to
    /// row and from column to column.
    pub(super) fn new(values: &'a [f32], size: [usize; 2], strides: [usize; 2]) -> Self {
        let [rows, columns] = size;
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * strides[0] + (columns - 1) * strides[1];
            assert!(last < values.len(), "a matrix of {rows} x {columns} with strides {strides:?} leaves its slice");
        }
        Self { values, size, strides }
    }
}

/// A matrix to write: rows of neighbouring values, `row_stride` apart.
#[derive(Debug)]
pub(super) struct MatrixMut<'a> {
    values: &'a mut [f32],
    size: [usize; 2],
    row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// A matrix of `size = [rows, columns]` that begins at the slice's first value.
    pub(super) fn new(values: &'a mut [f32], size: [usize; 2], row_stride: usize) -> Self {
        let [rows, columns] = size;
        assert!(rows < 2 || row_stride >= columns, "rows of {columns} values overlap {row_stride} apart");
        if rows > 0 {
            assert!(
                (rows - 1) * row_stride + columns <= values.len(),
                "a matrix of {rows} x {columns} leaves its slice"
            );
        }
        Self { values, size, row_stride }
    }
}

/// The use of the values that the result already holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Previous {
    Replace,
    Add,
}

/// `result = lhs rhs`, or `result += lhs rhs`, on the calling thread.
pub(super) fn gemm(result: MatrixMut, lhs: Matrix, rhs: Matrix, previous: Previous) {
    let ([rows, columns], depth) = (result.size, lhs.size[1]);
    assert_eq!((lhs.size[0], rhs.size), (rows, [depth, columns]), "sizes of a matrix product");
    let [result_stride, lhs_row, lhs_column, rhs_row, rhs_column] =
        [result.row_stride, lhs.strides[0], lhs.strides[1], rhs.strides[0], rhs.strides[1]].map(usize::cast_signed);
    // Safe because both constructors have checked that every row and column lies inside its slice, the result's slice
    // is borrowed exclusively and its rows do not overlap, and the sizes were compared above.
    #[expect(unsafe_code, reason = "the gemm crate takes raw pointers")]
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            result.values.as_mut_ptr(),
            1,
            result_stride,
            previous == Previous::Add,
            lhs.values.as_ptr(),
            lhs_column,
            lhs_row,
            rhs.values.as_ptr(),
            rhs_column,
            rhs_row,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_products_match_the_definition() {
        // lhs is a transposed 3 x 2 view, rhs leaves gaps between its rows, the result is padded to rows of 5.
        let lhs: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let rhs: Vec<f32> = (0..12).map(|i| (i * i) as f32).collect();
        let mut result = vec![1.0; 15];
        let product = |result: &mut [f32], previous| {
            let (lhs, rhs) = (Matrix::new(&lhs, [3, 2], [1, 3]), Matrix::new(&rhs, [2, 4], [6, 1]));
            gemm(MatrixMut::new(result, [3, 4], 5), lhs, rhs, previous);
        };
        product(&mut result, Previous::Replace);
        product(&mut result, Previous::Add);
        for row in 0..3 {
            for column in 0..4 {
                let expected: f32 = (0..2).map(|i| lhs[row + 3 * i] * rhs[6 * i + column]).sum();
                assert_eq!(result[5 * row + column], 2.0 * expected);
            }
        }
        assert_eq!([result[4], result[9], result[14]], [1.0; 3], "the padding is not touched");
    }

    #[test]
    #[should_panic(expected = "leaves its slice")]
    fn a_matrix_larger_than_its_slice_is_refused() {
        Matrix::new(&[0.0; 11], [3, 4], [4, 1]);
    }
}
