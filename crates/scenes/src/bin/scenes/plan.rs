//! The scenes to draw, and their order.

use crate::choices::{BACKGROUNDS, Background, Style, held_out};
use crate::concepts::Concept;
use crate::random::Random;

/// Of every twenty images, this many show one object. Half of the others show two of the same object, half two
/// different ones.
const ALONE: usize = 14;
const TWINS: usize = 3;
const CYCLE: usize = ALONE + 2 * TWINS;

/// The stream of random numbers for the order; the images have the streams from 0 on.
const ORDER: u32 = u32::MAX;

/// The contents of an image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scene<'a> {
    pub(crate) object: &'a Concept,
    pub(crate) company: Company<'a>,
    pub(crate) background: Background,
    pub(crate) style: Style,
}

/// The object to the right of a scene's first object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Company<'a> {
    Nothing,
    Same,
    Other(&'a Concept),
}

/// One object in one style on one background.
pub(crate) type Combination<'a> = (&'a Concept, Style, Background);

/// The combinations that are held out from training, or the others, in the order of the table.
pub(crate) fn combinations(concepts: &[Concept], held: bool) -> Vec<Combination<'_>> {
    all(concepts).filter(|&(object, style, background)| held_out(object, style, background) == held).collect()
}

fn all(concepts: &[Concept]) -> impl Iterator<Item = Combination<'_>> {
    concepts.iter().flat_map(|concept| {
        Style::ALL.into_iter().flat_map(move |style| BACKGROUNDS.map(|background| (concept, style, background)))
    })
}

/// Every combination once, one object alone: the plain drawings.
pub(crate) fn drawings(concepts: &[Concept]) -> Vec<Scene<'_>> {
    all(concepts)
        .map(|(object, style, background)| Scene { object, company: Company::Nothing, background, style })
        .collect()
}

/// The number of images in which every combination occurs at least twice with a single object.
pub(crate) fn usual_count(concepts: &[Concept], held: bool) -> usize {
    (combinations(concepts, held).len() * 2).div_ceil(ALONE) * CYCLE
}

/// `count` scenes, either of held-out combinations or of the others.
///
/// Each kind of scene repeats all combinations of its object in one random order, so no combination occurs more than
/// once more often than another. A second, different object is chosen at random; in training, it is never held out on
/// this background and in this style.
pub(crate) fn scenes(concepts: &[Concept], held: bool, count: usize, seed: u32) -> Vec<Scene<'_>> {
    let mut order = combinations(concepts, held);
    let mut random = Random::new(seed, ORDER);
    random.shuffle(&mut order);
    let mut scene = |index: usize| {
        let (round, slot) = (index / CYCLE, index % CYCLE);
        let turn = if slot < ALONE { round * ALONE + slot } else { round * TWINS + (slot - ALONE) % TWINS };
        let (object, style, background) = order[turn % order.len()];
        let company = match slot {
            0..ALONE => Company::Nothing,
            _ if slot < ALONE + TWINS => Company::Same,
            _ => Company::Other(loop {
                let other = &concepts[random.below(concepts.len())];
                if other != object && (held || !held_out(other, style, background)) {
                    break other;
                }
            }),
        };
        Scene { object, company, background, style }
    };
    (0..count).map(&mut scene).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn training_shows_nothing_that_is_held_out_and_all_else() {
        let concepts = Concept::table().unwrap();
        let scenes = scenes(&concepts, false, usual_count(&concepts, false), 1);
        let mut alone = HashSet::new();
        for Scene { object, company, background, style } in &scenes {
            assert!(!held_out(object, *style, *background));
            match company {
                Company::Other(other) => assert!(!held_out(other, *style, *background) && other != object),
                Company::Nothing => _ = alone.insert((object.name, style.name(), background.name)),
                Company::Same => {}
            }
        }
        assert_eq!(alone.len(), concepts.len() * Style::ALL.len() * (BACKGROUNDS.len() - 1));
    }

    #[test]
    fn every_held_out_scene_has_an_object_that_is_held_out() {
        let concepts = Concept::table().unwrap();
        let scenes = scenes(&concepts, true, 600, 1);
        assert!(scenes.iter().all(|scene| held_out(scene.object, scene.style, scene.background)));
    }

    #[test]
    fn the_kinds_have_their_shares() {
        let concepts = Concept::table().unwrap();
        let scenes = scenes(&concepts, false, 2000, 5);
        let share = |kind: fn(&Company<'_>) -> bool| scenes.iter().filter(|scene| kind(&scene.company)).count();
        assert_eq!(share(|company| *company == Company::Nothing), 1400);
        assert_eq!(share(|company| *company == Company::Same), 300);
        assert_eq!(share(|company| matches!(company, Company::Other(_))), 300);
    }

    #[test]
    fn the_seed_decides() {
        let concepts = Concept::table().unwrap();
        assert_eq!(scenes(&concepts, false, 100, 1), scenes(&concepts, false, 100, 1));
        assert_ne!(scenes(&concepts, false, 100, 1), scenes(&concepts, false, 100, 2));
    }
}
