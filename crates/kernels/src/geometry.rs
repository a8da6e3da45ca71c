use crate::Conv2d;

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) batch: usize,
    pub(crate) channels_in: usize,
    pub(crate) channels_out: usize,
    /// Height and width of the input.
    pub(crate) size_in: [usize; 2],
    /// Height and width of the output.
    pub(crate) size_out: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Zeros above and to the left.
    pub(crate) padding: [usize; 2],
}

impl Geometry {
    /// For an input `[batch, channels_in, height, width]`; `None` where the kernel is larger than the padded input.
    ///
    /// # Panics
    /// If the input has other channels than the layer.
    pub(crate) fn new([batch, channels_in, height, width]: [usize; 4], conv: &Conv2d) -> Option<Self> {
        let [top, left, bottom, right] = conv.padding;
        let [channels_out, expected, kernel_height, kernel_width] = conv.weight.dims();
        assert_eq!(channels_in, expected, "a convolution of {expected} channels takes no {channels_in}");
        let kernel = [kernel_height, kernel_width];
        let padded = [height + top + bottom, width + left + right];
        if padded[0] < kernel[0] || padded[1] < kernel[1] {
            return None;
        }
        let size_out = [0, 1].map(|axis| (padded[axis] - kernel[axis]) / conv.stride[axis] + 1);
        let (size_in, stride, padding) = ([height, width], conv.stride, [top, left]);
        Some(Self { batch, channels_in, channels_out, size_in, size_out, kernel, stride, padding })
    }

    /// `[batch, channels_out, height_out, width_out]`.
    pub(crate) fn shape_out(&self) -> [usize; 4] {
        let [height, width] = self.size_out;
        [self.batch, self.channels_out, height, width]
    }

    /// Pixels of one channel of the input.
    pub(crate) fn area_in(&self) -> usize {
        self.size_in[0] * self.size_in[1]
    }

    /// Pixels of one channel of the output.
    pub(crate) fn area_out(&self) -> usize {
        self.size_out[0] * self.size_out[1]
    }

    /// One channel of one image of the input.
    pub(crate) fn plane<'a>(&self, x: &'a [f32], image: usize, channel: usize) -> &'a [f32] {
        &x[(image * self.channels_in + channel) * self.area_in()..][..self.area_in()]
    }
}
