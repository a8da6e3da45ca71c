use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

/// Values of the widest vector register, which the parts of a product fill.
const LANES: usize = 16;

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

    /// These rows of it.
    pub(super) fn rows(self, rows: Range<usize>) -> Self {
        Self::new(&self.values[rows.start * self.strides[0]..], [rows.len(), self.size[1]], self.strides)
    }

    /// These columns of it.
    pub(super) fn columns(self, columns: Range<usize>) -> Self {
        Self::new(&self.values[columns.start * self.strides[1]..], [self.size[0], columns.len()], self.strides)
    }
}

/// A matrix to write: rows of neighbouring values, `row_stride` apart.
#[derive(Debug)]
pub(super) struct MatrixMut<'a> {
    first: *mut f32,
    size: [usize; 2],
    row_stride: usize,
    values: PhantomData<&'a mut [f32]>,
}

// Safe because it is an exclusive borrow of its values, and the parts of a matrix have none in common.
#[expect(unsafe_code, reason = "parts of a matrix are written by several threads")]
unsafe impl Send for MatrixMut<'_> {}

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
        Self { first: values.as_mut_ptr(), size, row_stride, values: PhantomData }
    }

    /// The matrix in parts of `count` rows, the last of those that are left.
    pub(super) fn split_rows(self, count: usize) -> Vec<Self> {
        let [rows, columns] = self.size;
        let part = |start: usize| self.part(start * self.row_stride, [count.min(rows - start), columns]);
        (0..rows).step_by(count).map(part).collect()
    }

    /// The matrix in parts of `count` columns, the last of those that are left.
    pub(super) fn split_columns(self, count: usize) -> Vec<Self> {
        let [rows, columns] = self.size;
        let part = |start: usize| self.part(start, [rows, count.min(columns - start)]);
        (0..columns).step_by(count).map(part).collect()
    }

    /// The part of this size that begins `offset` values after the first, inside of this matrix.
    fn part(&self, offset: usize, size: [usize; 2]) -> Self {
        Self { first: self.first.wrapping_add(offset), size, ..*self }
    }
}

/// The use of the values that the result already holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Previous {
    Replace,
    Add,
}

/// `result = lhs rhs`, or `result += lhs rhs`, on all threads.
///
/// They share the longer side of the result, because each copies its part of one factor and all of the other into the order
/// of its loops.
pub(super) fn gemm_on_all_threads(result: MatrixMut, lhs: Matrix, rhs: Matrix, previous: Previous) {
    let [rows, columns] = result.size;
    let share = rows.max(columns).div_ceil(rayon::current_num_threads()).next_multiple_of(LANES);
    if rows < columns {
        result.split_columns(share).into_par_iter().enumerate().for_each(|(i, result)| {
            let columns = i * share..i * share + result.size[1];
            gemm(result, lhs, rhs.columns(columns), previous);
        });
    } else {
        result.split_rows(share).into_par_iter().enumerate().for_each(|(i, result)| {
            let rows = i * share..i * share + result.size[0];
            gemm(result, lhs.rows(rows), rhs, previous);
        });
    }
}

/// `result = lhs rhs`, or `result += lhs rhs`, on the calling thread.
pub(super) fn gemm(result: MatrixMut, lhs: Matrix, rhs: Matrix, previous: Previous) {
    let ([rows, columns], depth) = (result.size, lhs.size[1]);
    assert_eq!((lhs.size[0], rhs.size), (rows, [depth, columns]), "sizes of a matrix product");
    let [result_stride, lhs_row, lhs_column, rhs_row, rhs_column] =
        [result.row_stride, lhs.strides[0], lhs.strides[1], rhs.strides[0], rhs.strides[1]].map(usize::cast_signed);
    // Safe because both constructors have checked that every row and column lies inside its slice, the result's values
    // are borrowed exclusively and its rows do not overlap, and the sizes were compared above.
    #[expect(unsafe_code, reason = "the gemm crate takes raw pointers")]
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            result.first,
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

    /// Wide and tall results, whose parts leave rests.
    #[test]
    fn products_on_all_threads_match_the_definition() {
        for [rows, depth, columns] in [[3, 5, 100], [100, 5, 3], [1, 1, 1], [67, 2, 67]] {
            let lhs: Vec<f32> = (0..rows * depth).map(|i| (i % 7) as f32).collect();
            let rhs: Vec<f32> = (0..depth * columns).map(|i| (i % 5) as f32).collect(); // [columns, depth]
            let stride = columns + 2;
            let mut result = vec![1.0; rows * stride];
            let view = MatrixMut::new(&mut result, [rows, columns], stride);
            let (left, right) =
                (Matrix::new(&lhs, [rows, depth], [depth, 1]), Matrix::new(&rhs, [depth, columns], [1, depth]));
            gemm_on_all_threads(view, left, right, Previous::Add);
            for (i, value) in result.iter().enumerate() {
                let (row, column) = (i / stride, i % stride);
                let product =
                    |column: usize| (0..depth).map(|k| lhs[row * depth + k] * rhs[column * depth + k]).sum::<f32>();
                let expected = 1.0 + if column < columns { product(column) } else { 0.0 };
                assert_eq!(*value, expected, "{rows}x{depth}x{columns}: row {row}, column {column}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "leaves its slice")]
    fn a_matrix_larger_than_its_slice_is_refused() {
        Matrix::new(&[0.0; 11], [3, 4], [4, 1]);
    }
}
