//! Backgrounds and styles, and the combinations that are held out from training.

use sha2::{Digest, Sha256};

use crate::concepts::Concept;

/// A plain colour behind the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Background {
    /// Its word in the caption.
    pub(crate) name: &'static str,
    /// sRGB.
    pub(crate) color: [u8; 3],
}

const fn background(name: &'static str, color: [u8; 3]) -> Background {
    Background { name, color }
}

/// The ten backgrounds. Any two differ by at least 80 of 255 in one of the three channels.
pub(crate) const BACKGROUNDS: [Background; 10] = [
    background("red", [216, 36, 44]),
    background("orange", [248, 140, 28]),
    background("yellow", [252, 220, 60]),
    background("green", [52, 164, 76]),
    background("blue", [44, 104, 220]),
    background("purple", [124, 52, 184]),
    background("pink", [252, 156, 200]),
    background("white", [255, 255, 255]),
    background("gray", [136, 136, 136]),
    background("black", [16, 16, 16]),
];

/// The source of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Style {
    /// Fluent emoji, rendered in 3D.
    Solid,
    /// Fluent emoji, flat.
    Flat,
    /// Noto emoji.
    Noto,
}

impl Style {
    /// All styles.
    pub(crate) const ALL: [Self; 3] = [Self::Solid, Self::Flat, Self::Noto];

    /// Its word in the caption.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Solid => "3d",
            Self::Flat => "flat",
            Self::Noto => "noto",
        }
    }
}

/// Whether this object in this style on this background is held out from training.
///
/// The first four bytes of the SHA-256 of `object/style`, read as a big-endian number, modulo 10, give the index in
/// [`BACKGROUNDS`] of the background that is held out. A tenth of all combinations is therefore held out, and training
/// contains every object in every style on the nine other backgrounds.
pub(crate) fn held_out(concept: &Concept, style: Style, background: Background) -> bool {
    let digest = Sha256::digest(format!("{}/{}", concept.name, style.name()));
    let number = digest.iter().take(4).fold(0, |number, &byte| number << 8 | u64::from(byte));
    BACKGROUNDS[(number % 10) as usize] == background
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_background_of_each_object_and_style_is_held_out() {
        let table = Concept::table().unwrap();
        let mut times = [0; BACKGROUNDS.len()];
        for concept in &table {
            for style in Style::ALL {
                let places: Vec<usize> =
                    (0..BACKGROUNDS.len()).filter(|&place| held_out(concept, style, BACKGROUNDS[place])).collect();
                assert_eq!(places.len(), 1, "{} {}", concept.name, style.name());
                times[places[0]] += 1;
            }
        }
        // Every background is held out about equally often.
        let expected = table.len() * Style::ALL.len() / BACKGROUNDS.len();
        assert!(times.iter().all(|&times| times > expected / 2 && times < expected * 2), "{times:?}");
    }

    #[test]
    fn the_rule_stays_what_it_was() {
        let table = Concept::table().unwrap();
        let cat = table.iter().find(|concept| concept.name == "cat").unwrap();
        let of = |style| BACKGROUNDS.iter().find(|&&background| held_out(cat, style, background)).unwrap().name;
        // The first eight digits of `printf cat/3d | sha256sum`, modulo 10, and so on.
        assert_eq!(Style::ALL.map(of), ["yellow", "yellow", "purple"]);
    }

    #[test]
    fn backgrounds_are_far_apart() {
        for (place, one) in BACKGROUNDS.iter().enumerate() {
            for other in &BACKGROUNDS[..place] {
                let farthest = one.color.iter().zip(other.color).map(|(&a, b)| a.abs_diff(b)).max().unwrap();
                assert!(farthest >= 80, "{} and {}", one.name, other.name);
            }
        }
    }
}
