//! Right and wrong images of scenes.

use image::{Rgb, RgbImage};
use pyrograph_scenes::{Labels, SceneJudge, Scores, Verdict};

const BLUE: (&str, [u8; 3]) = ("blue", [30, 60, 220]);
const GRAY: (&str, [u8; 3]) = ("gray", [128, 128, 128]);

/// A disc or a tall bar, once or twice, on a background, moved to the right by `shift` pixels.
fn scene(object: &str, count: u32, background: [u8; 3], shift: u32) -> RgbImage {
    let inside = |x: u32, y: u32| match object {
        "disc" => x.abs_diff(32 / count).pow(2) + y.abs_diff(32).pow(2) < (22 / count).pow(2),
        _ => x.abs_diff(32 / count) < 8 / count && (6..58).contains(&y),
    };
    RgbImage::from_fn(64, 64, |x, y| {
        Rgb(if inside((x + 64 - shift) % (64 / count), y) { [250, 200, 20] } else { background })
    })
}

fn judge() -> SceneJudge {
    let mut judge = SceneJudge::default();
    for (background, color) in [BLUE, GRAY] {
        for object in ["disc", "bar"] {
            judge.add_drawing(&scene(object, 1, color, 0), Labels { object, background, count: 1 });
        }
    }
    judge
}

#[test]
fn right_and_wrong_images_are_told_apart() {
    let judge = judge();
    let disc = |image: RgbImage| judge.judge(&image, Labels { object: "disc", background: "blue", count: 1 });
    let bars = |image: RgbImage| judge.judge(&image, Labels { object: "bar", background: "gray", count: 2 });
    let of = |background, object, count| Verdict { background, object, count };
    let [(_, blue), (_, gray)] = [BLUE, GRAY];
    assert_eq!(disc(scene("disc", 1, blue, 3)), of(true, Some(true), true));
    assert_eq!(disc(scene("disc", 1, blue, 9)), of(true, Some(true), true));
    assert_eq!(disc(scene("disc", 1, [50, 50, 200], 0)), of(true, Some(true), true));
    assert_eq!(disc(scene("bar", 1, blue, 0)), of(true, Some(false), true));
    assert_eq!(disc(scene("disc", 1, gray, 0)), of(false, Some(true), true));
    assert!(!disc(scene("disc", 2, blue, 0)).count);
    assert_eq!(bars(scene("bar", 2, gray, 0)), of(true, None, true));
    assert_eq!(bars(scene("bar", 1, gray, 0)), of(true, None, false));
}

#[test]
fn shares_count_only_what_was_judged() {
    let mut scores = Scores::default();
    scores.add(Verdict { background: true, object: Some(false), count: true });
    scores.add(Verdict { background: false, object: None, count: true });
    let shares: Vec<_> = scores.shares().map(|(name, share)| (name, share.percent(), share.of)).collect();
    let expected =
        [("background", 50.0, 2), ("object, by the nearest drawing", 0.0, 1), ("number of objects", 100.0, 2)];
    assert_eq!(shares, expected);
    assert_eq!(scores.images(), 2);
}
