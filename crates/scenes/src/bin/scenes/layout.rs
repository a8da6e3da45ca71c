//! The places of objects in an image.

use crate::glyph::Glyph;
use crate::random::Random;

/// The rectangle of an object, in pixels from the upper left corner.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) width: f32,
    pub(crate) height: f32,
    pub(crate) mirrored: bool,
}

/// The largest distance of an object from the middle, as a fraction of the image's side.
const DRIFT: f32 = 0.08;

/// The same as a fraction of the distance to the edge; below 1, no object touches the edge.
const WAY: f32 = 0.75;

/// The longer side of an object on a plain drawing, as a fraction of the image's side.
const DRAWING: f32 = 0.8;

/// The place in the middle, with the same size for every drawing.
pub(crate) fn centered(glyph: &Glyph, size: usize) -> Place {
    let side = size as f32;
    let (width, height) = glyph.fitted(side * DRAWING);
    Place { left: (side - width) / 2.0, top: (side - height) / 2.0, width, height, mirrored: false }
}

/// The place of a single object: its longer side is 70 to 90 % of the image's side.
pub(crate) fn alone(glyph: &Glyph, mirror: bool, size: usize, random: &mut Random) -> Place {
    let part = random.between(0.70, 0.90);
    within(glyph, part, mirror, (0.0, size as f32), size, random)
}

/// The places of two objects, from left to right: their longer sides are 45 to 48 % of the image's side, and each is in
/// its own half.
pub(crate) fn beside(glyphs: [(&Glyph, bool); 2], size: usize, random: &mut Random) -> [Place; 2] {
    let half = size as f32 / 2.0;
    let part = random.between(0.45, 0.48);
    let [(left, left_mirror), (right, right_mirror)] = glyphs;
    [
        within(left, part, left_mirror, (0.0, half), size, random),
        within(right, part, right_mirror, (half, half), size, random),
    ]
}

/// A place near the middle of a column of the image, which is given by its left edge and its width.
fn within(glyph: &Glyph, part: f32, mirror: bool, column: (f32, f32), size: usize, random: &mut Random) -> Place {
    let side = size as f32;
    let (width, height) = glyph.fitted(side * part);
    let mut start = |from: f32, room: f32, extent: f32| {
        let free = (room - extent) / 2.0;
        from + free + random.between(-1.0, 1.0) * (WAY * free).min(side * DRIFT)
    };
    let (left, top) = (start(column.0, column.1, width), start(0.0, side, height));
    Place { left, top, width, height, mirrored: mirror && random.coin() }
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;

    fn glyph(width: u32, height: u32) -> Glyph {
        Glyph::trimmed(&RgbaImage::from_pixel(width, height, Rgba([255; 4]))).unwrap()
    }

    fn assert_inside(place: &Place, left: f32, right: f32) {
        assert!(place.left > left && place.left + place.width < right, "{place:?}");
        assert!(place.top > 0.0 && place.top + place.height < 64.0, "{place:?}");
    }

    #[test]
    fn objects_lie_inside() {
        let glyphs = [glyph(50, 50), glyph(50, 9), glyph(9, 50)];
        let mut random = Random::new(7, 0);
        for turn in 0..300 {
            let (one, other) = (&glyphs[turn % 3], &glyphs[turn / 3 % 3]);
            assert_inside(&centered(one, 64), 0.0, 64.0);
            let place = alone(one, true, 64, &mut random);
            assert_inside(&place, 0.0, 64.0);
            assert!((0.7 * 64.0 - 1e-3..=0.9 * 64.0 + 1e-3).contains(&place.width.max(place.height)));
            let [left, right] = beside([(one, true), (other, true)], 64, &mut random);
            assert_inside(&left, 0.0, 32.0);
            assert_inside(&right, 32.0, 64.0);
        }
    }

    #[test]
    fn only_what_may_be_is_mirrored() {
        let (glyph, mut random) = (glyph(20, 30), Random::new(1, 0));
        let mut mirrored = |mirror| (0..64).filter(|_| alone(&glyph, mirror, 64, &mut random).mirrored).count();
        assert_eq!(mirrored(false), 0);
        assert!((16..48).contains(&mirrored(true)));
    }
}
